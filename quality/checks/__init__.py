"""The checks: one a file, found by their names."""
