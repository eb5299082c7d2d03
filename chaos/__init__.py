"""What is promised when things break, tried on the real platform: `make chaos`. Every figure comes from simulated users."""
