"""
What is claimed of large numbers, checked at large numbers. `make quality`; small versions are in `make test`.

A check is a file in quality/checks with a function `figures(size)`: it yields what it measured (quality.figures.Figure), and
the thresholds. `size` is a share of the full numbers, so that a test can run the same code on fewer.
"""
