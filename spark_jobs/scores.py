"""
Scores: the population of a day, scored by a registered model, one row per user.

Reads:  a product's population and the tables of its features, the model registry
Writes: the product's score table (scores.recall_daily and the like)

One file for all of them, because a product says in ml/products what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from ml import registry
from ml.inputs import with_features, wording
from ml.model import artifact
from ml.model.scorer import Scorer, archive_name, output_ddl, scoring_function
from rekindle import records
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage
from rekindle.warehouse.spark import send_file
from rekindle.warehouse.tables import read_days, replace_days, snapshot_id

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from ml.products import Product
    from ml.registry import Version
    from rekindle.days import Days


@dataclass(frozen=True)
class Scored:
    """What scoring did: rows of the days, and the version that scored them, None where the product has no model."""

    row_count: int
    model: Version | None


def scored(product: Product, population: DataFrame, predictions: DataFrame) -> DataFrame:
    """
    Rank the predictions within their day and lay them out as the product declares.

    `predictions` is what `ml.model.scorer` returns, `population` the product's dbt model; one row per key and day in both. Ties
    in the raw score are ordered by key, so that a re-run ranks the same.
    """
    best = Window.partitionBy("day").orderBy(F.desc("raw_score"), *product.key)
    everyone = F.count("*").over(Window.partitionBy("day"))
    ahead = F.row_number().over(best) - 1
    ranked = population.join(predictions, ["day", *product.key]).withColumns(
        {
            "percentile": (100 - F.floor(ahead * 100 / everyone)).cast("int"),
            "decile": (1 + F.floor(ahead * 10 / everyone)).cast("int"),
        }
    )
    return columns_of(product, ranked)


def columns_of(product: Product, rows: DataFrame) -> DataFrame:
    """Add the columns that only this product has."""
    return rows.withColumns({name: F.expr(column.sql) for name, column in product.columns(settings()).items()})


def main(
    spark: SparkSession,
    days: Days,
    run_id: str,
    *,
    product: Product,
    backfill: bool = False,
    version: str | None = None,
) -> Scored:
    """Score the product's population of some days: with a model, or, where the product has none, by its columns alone."""
    population = read_days(spark, product.population, days)
    model: Version | None = None
    if product.is_trained:
        model, is_backfilled = registry.model_for(product, days.last, backfill=backfill, version=version)
        table = _predicted(spark, product, population, days, model)
        about = registry.told_of(model, is_backfilled=is_backfilled)
    else:
        table, about = columns_of(product, population), {}
    table = table.withColumns({name: F.lit(value) for name, value in {**about, "run_id": run_id}.items()})
    inputs = {day: lineage.graph().windows(product.table, day) for day in days}
    records.record_snapshots(
        run_id, {name: at for name in inputs[days.first] if (at := snapshot_id(spark, name)) is not None}
    )
    done = replace_days(
        spark,
        product.table,
        table.select(*contracts.load(product.table).names),
        days,
        run_id=run_id,
        inputs=inputs,
        besides=about,
    )
    return Scored(done.row_count, model)


def _predicted(spark: SparkSession, product: Product, population: DataFrame, days: Days, model: Version) -> DataFrame:
    """The population's scores by a model, whose bytes are checked before they are loaded, here and on the workers."""
    files = registry.files_of(model)
    scorer = Scorer.from_files(files)
    rows = with_features(product, population, lambda table: read_days(spark, table, days))
    columns = [name for name in scorer.inputs if name in rows.columns]
    rows = rows.select(*product.key, "day", *columns)
    scorer.check_signature(rows.limit(0).toArrow().schema)
    _send(spark, model.digest, files)
    besides = product.besides(settings())
    function = scoring_function(model.digest, wording(product, settings()), product.key, besides)
    predictions = rows.mapInArrow(function, output_ddl(product.targets(settings()), product.key, besides))
    return scored(product, population, predictions)


def _send(spark: SparkSession, digest: str, files: dict[str, bytes]) -> None:
    """Give the model to the workers, once per session, as one file named by its digest."""
    folder = settings().home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / archive_name(digest)
    archive.write_bytes(artifact.pack(files))
    send_file(spark, archive)
