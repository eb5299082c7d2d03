"""Building a history of a simulated business, and models on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rekindle.days import Days


def learn(history: Days, say: Callable[..., None]) -> None:
    """
    Build raw, features and marts, and train each product that has a model; tell what came of it.

    A product for which the history is too short is not trained, and daily runs skip it.
    """
    from ml.products import PRODUCTS
    from ml.training.waiting import Waits, unless_waiting
    from rekindle.cli.models import trained
    from rekindle.progress import SILENT
    from rekindle.workflow import backfill

    say(backfill.build(history, None, say, SILENT, score=False).text)
    for product in (product for product in PRODUCTS if product.is_trained):
        done = unless_waiting(product, partial(trained, product, history.last, SILENT))
        if isinstance(done, Waits):
            say(f"  {product.name}: not trained: {done.why}")
            continue
        say(f"  {product.name}: {'champion' if done.promoted else 'not promoted'}: {done.verdict.why}")


def let_go_of_spark() -> None:
    """Stop the session: one that is left open calls the server when Python ends, and waits ten minutes for one that is gone."""
    from pyspark.sql import SparkSession

    if session := SparkSession.getActiveSession():
        session.stop()
