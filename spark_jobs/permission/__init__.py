"""Permission: what delivered phones and replies are."""
