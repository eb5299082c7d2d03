"""Scoring beside what the model's own library takes for the same numbers, one thread each."""

from __future__ import annotations

from itertools import product as product_of
from typing import TYPE_CHECKING

import pyarrow as pa

from bench.measured import Measured, clock
from bench.world import YEAR, learned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.model.scorer import Scorer
    from ml.products import Product
    from rekindle.days import Days

ROWS, BATCH = 200_000, 10_000
AT_MOST = 1.43
"""Of the seconds of the predictors alone: 70 % of their rate."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aim c."""
    from ml.inputs import wording
    from ml.model.encoder import Encoded
    from ml.model.scorer import Scorer
    from ml.products import PRODUCTS
    from ml.registry.champions import find_champion
    from ml.registry.versions import files_of
    from rekindle.settings import settings

    world = learned()
    day = world.days(YEAR, YEAR)
    for product in (one for one in PRODUCTS if one.is_trained):
        version = find_champion(product)
        if version is None:
            print(f"  {product.name}: no champion to measure", flush=True)
            continue
        scorer = Scorer.from_files(files_of(version))
        batches = _batches(product, scorer, day)
        # Encoding is no part of their limit, and is timed with ours.
        encoded = [Encoded(batch) for batch in batches]
        for one, encoder in product_of(encoded, scorer.encoders):
            one.by(encoder)
        with clock() as own:
            for one, forecast in product_of(encoded, scorer.forecasts):
                forecast.uncalibrated(one)
        with clock() as plain:
            for batch in batches:
                scorer.predict(batch)
        said = wording(product, settings())
        with clock() as reasoned:
            for batch in batches:
                scorer.score(batch, said, product.key, product.besides(settings()))
        kinds = " and ".join(dict.fromkeys(part.predictor.kind for one in scorer.forecasts for part in one.parts))
        what = f"{product.name} of {ROWS:,} rows ({kinds})"
        yield Measured("c", what, plain[0], own[0], "its predictors alone", AT_MOST)
        yield Measured("c", f"{what}, with reasons", reasoned[0], own[0], "its predictors alone")


def _batches(product: Product, scorer: Scorer, day: Days) -> list[pa.RecordBatch]:
    """The population of a day again and again, until there are rows enough."""
    from ml.inputs import with_features
    from rekindle.warehouse.spark import session
    from rekindle.warehouse.tables import read_days

    spark = session()
    rows = with_features(product, read_days(spark, product.population, day), lambda table: read_days(spark, table, day))
    table = rows.select(*product.key, "day", *[name for name in scorer.inputs if name in rows.columns]).toArrow()
    many = pa.concat_tables([table] * (1 + ROWS // table.num_rows)).slice(0, ROWS).combine_chunks()
    return many.to_batches(max_chunksize=BATCH)
