"""What a monitor watches of the service; labels are routes, methods and statuses, and name nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from serving.holding import Holding

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """The figures of one process."""

    CONTENT_TYPE = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rekindle_requests", "Requests that were answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rekindle_request_seconds", "Seconds to an answer.", ["route"], buckets=BUCKETS, registry=self._registry
        )
        self._published_at = self._gauge(
            "rekindle_held_published_timestamp_seconds", "When what is held was published."
        )
        self._valid_until = self._gauge("rekindle_held_valid_until_timestamp_seconds", "Until when it may be used.")
        self._known_at = self._gauge(
            "rekindle_held_known_timestamp_seconds",
            "When Postgres last said who was erased, and whose keys are in force.",
        )
        self._users = Gauge("rekindle_held_rows", "Rows that are held.", ["product"], registry=self._registry)

    def _gauge(self, name: str, help_: str) -> Gauge:
        return Gauge(name, help_, registry=self._registry)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self, holding: Holding) -> bytes:
        """Return all figures as Prometheus reads them."""
        if held := holding.held:
            self._published_at.set(held.published_at.timestamp())
            self._valid_until.set(held.valid_until.timestamp())
            for name, offer in held.offers.items():
                self._users.labels(name).set(offer.rows.batch.num_rows)
        if known := holding.known:
            self._known_at.set(known.at.timestamp())
        return generate_latest(self._registry)
