"""How fast it is. `make bench`; ratios are measured side by side in one run, because machines are noisy."""
