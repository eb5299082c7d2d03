"""From stored features and known labels to a registered, gated model, and from a model to reasons in plain words."""
