"""A tool that pulls by watermark beside 30 publishes, 5 of them killed, has a copy that equals the published table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quality.consumer import Consumer, publish_beside, published
from quality.database import own_database
from quality.figures import Figure, lots

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISHES, KILLS, USERS = 30, 5, 20_000


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Publish beside the consumer, then compare row by row."""
    with own_database() as url:
        with Consumer(url) as consumer:
            publish_beside(lots("Rekindle's publishes beside a consumer"), PUBLISHES, KILLS, round(USERS * size))
        there = published(url)
        differing = sum(consumer.copy.get(user) != row for user, row in there.items())
        yield Figure("rows of the published table that the copy has otherwise or not", differing, at_most=0, digits=0)
        yield Figure(
            "rows of the copy that are not published", len(consumer.copy.keys() - there.keys()), at_most=0, digits=0
        )
        yield Figure("rows", len(there), at_least=1, digits=0)
        yield Figure("pulls", consumer.pulls, at_least=PUBLISHES, digits=0)
