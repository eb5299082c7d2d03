"""
Recommendations: which items to show whom. A product whose population is user by item, and which is no score of users.

So it is none of `PRODUCTS`: it shares with them the registry, the gate's verdict, the promotion log and how it is published.
Standard library only: DAG files import this.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml.products.declaration import Modelled


@dataclass(frozen=True)
class Recommendation(Modelled):
    """What is declared of recommendations."""

    name: str
    title: str
    table: str
    """Where it stands who is recommended what; the others are made beside it."""
    tables: tuple[str, ...]
    """All that a day makes, by one learning."""
    published: str
    """Of these, the one that tools are shown."""
    sources: tuple[str, ...]
    """Landing sources without which there is nothing to learn from."""
    test_days: int
    """So many last days judge a training, which has learnt from those before."""
    use: tuple[str, ...]
    limits: tuple[str, ...]
    is_trained: bool = True


RECOMMENDATION = Recommendation(
    name="recommendation",
    title="Items to show a user",
    table="recs.ranked_daily",
    tables=(
        "recs.c2i",
        "recs.i2i",
        "recs.item_daily",
        "recs.message_daily",
        "recs.ranked_daily",
        "recs.u2i",
    ),
    published="recs.message_daily",
    sources=(),
    test_days=28,
    use=(
        "Show a user who comes back what they are likely to want: `GET /v1/users/{id}/recommendations`.",
        "Name three items in the text of a message: `sms.recommendations`.",
    ),
    limits=(
        "It is likely to be had next, which is not what a message or a page causes: that, the holdout of campaigns measures.",
        "Who did nothing yet gets what is popular among users alike, and each row says so.",
        "An item without interactions is shown only behind others of its category.",
    ),
)
