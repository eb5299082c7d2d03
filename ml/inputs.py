"""
What a model is given: the members of a population, each with its features.

Training reads it at the snapshots that it records, scoring as of now; there is no other way from features to a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.model.protected import Protected
from ml.model.reasons import Wording
from ml.objectives import OBJECTIVES
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyspark.sql import DataFrame

    from ml.products import Product
    from rekindle.settings import Settings


def with_features(product: Product, members: DataFrame, read: Callable[[str], DataFrame]) -> DataFrame:
    """
    Every member, a row per key and day, with the columns of the product's feature tables, which `read` reads.

    Of a member of whom a table has no row, it holds what its contract says of somebody of whom nothing is known: a population
    need not be in it.
    """
    return joined(members.select("day", *product.key), product.features, read)


def joined(members: DataFrame, tables: Iterable[str], read: Callable[[str], DataFrame]) -> DataFrame:
    """Every member, a row per key and day, with the columns of feature tables: see `with_features`."""
    from pyspark.sql import functions as F

    rows = members
    for table in tables:
        contract = contracts.load(table)
        rows = rows.join(read(table), list(contract.key), "left")
        nothing = {
            c.name: F.create_map().cast(c.spark_type) if c.empty == {} else F.lit(c.empty).cast(c.spark_type)
            for c in contract.columns
            if c.empty is not None
        }
        rows = rows.withColumns({name: F.coalesce(name, empty) for name, empty in nothing.items()})
    return rows


def wording(product: Product, settings: Settings) -> Wording:
    """How reasons of a product are said: in the words of its features' contracts, about what its objective predicts."""
    phrases = {name: words for table in product.features for name, words in contracts.load(table).phrases.items()}
    moves = OBJECTIVES[product.objective].moves
    return Wording(phrases, moves, settings.currency, Protected.of(settings))
