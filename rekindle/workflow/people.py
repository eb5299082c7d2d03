"""What models have learnt from people: asked when somebody is erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.products import PRODUCTS, RECOMMENDATION
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import SparkSession


def learnt_from(spark: SparkSession, user_ids: Collection[str]) -> list[dict[str, Any]]:
    """
    List the versions of models that may have learnt from some of the users, the latest first.

    That is each whose sample reached back to a weekly day on which one of them was in the population. Of a large population a
    sample is drawn, so that it need not have held them. What recommends has learnt from whom it knew an item of. Neither figures
    nor artifacts hold rows: a version names nobody.
    """
    from datetime import timedelta

    from pyspark.sql import functions as F

    from ml import behaviour, registry

    conf = settings()
    rows = [(user_id,) for user_id in sorted(user_ids)]
    ids = spark.createDataFrame(rows, "user_id string")
    found = []
    for product in (one for one in PRODUCTS if one.is_trained):
        member = spark.table(product.population).join(F.broadcast(ids), "user_id", "left_semi")
        weekly = member.where(F.weekday("day") == conf.training_weekday_number).select("day").distinct()
        days = [row["day"] for row in weekly.collect()]
        if not days:
            continue
        for version in registry.versions(product):
            if version.gate is None:
                continue
            first = version.trained_day - timedelta(weeks=2 * conf.training_weeks)
            if any(first <= day <= version.trained_day for day in days):
                found.append(
                    {"product": product.name, "version": version.version, "trained_day": str(version.trained_day)}
                )
    tiles = spark.table(behaviour.TILES).join(F.broadcast(ids), "user_id", "left_semi")
    had_on = [row["day"] for row in tiles.select("day").distinct().collect()]
    for version in registry.versions(RECOMMENDATION) if had_on else ():
        if version.gate is None:
            continue
        first = version.trained_day - timedelta(conf.recommend_memory_days - 1)
        if any(first <= day <= version.trained_day for day in had_on):
            about = {"product": RECOMMENDATION.name, "version": version.version}
            found.append({**about, "trained_day": str(version.trained_day)})
    return found
