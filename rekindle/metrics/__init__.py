"""
What a monitor watches, in Prometheus' form: what is published and how fresh it is, runs, checks, deliveries, champions.

All of it is read from Postgres, and nothing names a person: labels are tables, sources, kinds, codes and versions.
"""

from rekindle.metrics.exposition import Metric, Sample, exposition
from rekindle.metrics.gathering import gather, gather_or_down
from rekindle.metrics.serving import serve, server

__all__ = ["Metric", "Sample", "exposition", "gather", "gather_or_down", "serve", "server"]
