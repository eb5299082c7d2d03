"""The leak screen of a training: its features one by one, and its recipe on outcomes that are dealt anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ml.model.encoder import Dense, Encoded
from ml.objectives import OBJECTIVES
from ml.training import fitting
from ml.training.gate import leaks
from rekindle.errors import RekindleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.products import Product, Target
    from ml.training.fitting import Fitted
    from ml.training.gate import Criteria, Criterion
    from ml.training.incumbent import Incumbent
    from ml.training.samples import Sample, Split
    from rekindle.settings import Settings

MIN_POSITIVES = 50
"""Among the rows whose outcomes are dealt anew: with fewer, some part of them may have none."""


def screen(
    product: Product,
    sample: Sample,
    split: Split,
    fitted: Fitted,
    incumbent: Incumbent | None,
    *,
    asked: Criteria,
    settings: Settings,
) -> list[Criterion]:
    """Ask what a training must not know."""
    figures = OBJECTIVES[product.objective].figures
    standing = _standing(product, sample, split, incumbent)
    naive = fitted.primary.naive[fitted.primary.primary].value
    return [
        leaks.label_days(split, {target.label: _reach(target, settings) for target in sample.targets}),
        leaks.single_features(
            *(figures, fitted.longest.outcome, _columns(sample, split)),
            *(naive if standing is None else standing, asked),
            is_champion=standing is not None,
        ),
        leaks.shuffled_labels(figures, list(_shuffled(product, sample, split, fitted, asked)), asked),
    ]


def _reach(target: Target, settings: Settings) -> timedelta:
    """Say how long after its day a label is known, without asking those who have made the split."""
    return timedelta(days=target.to_day + settings.lateness_days)


def _standing(product: Product, sample: Sample, split: Split, incumbent: Incumbent | None) -> float | None:
    """Say how the champion ranks the test rows as it stands: its recipe, fitted anew, would know a new feature."""
    if incumbent is None or incumbent.model is None or incumbent.stored is None:
        return None
    try:
        incumbent.stored.check_signature(sample.rows.schema)
    except RekindleError:
        return None
    figures = OBJECTIVES[product.objective].figures
    its = list(fitting.judge(incumbent.stored, sample, split, [None] * len(sample.targets)).values())[-1]
    return figures.ranking[figures.primary](its.outcome, its.raw)


def _columns(sample: Sample, split: Split) -> dict[str, np.ndarray]:
    """Return what the dense encoder makes of the test rows, by the names that people know."""
    dense = fitting.encoders_of(sample, split).of(Dense)
    values = Encoded(sample.judged(split.test)).by(dense)
    return {
        f"{source}, {i}" if dense.columns.count(source) > 1 else source: values[:, i].astype(np.float64)
        for i, source in enumerate(dense.columns)
    }


def _shuffled(product: Product, sample: Sample, split: Split, fitted: Fitted, asked: Criteria) -> Iterator[float]:
    """Fit the recipe on outcomes that were dealt anew among all rows, and say how it ranks those of the test days."""
    figures = OBJECTIVES[product.objective].figures
    step = max(1, -(-sample.rows.num_rows // asked.shuffle_rows))
    few = replace(sample, rows=sample.rows.take(np.arange(0, sample.rows.num_rows, step)))
    if any(_positives(few, target.label) < MIN_POSITIVES for target in sample.targets):
        return
    draw = np.random.default_rng(0)
    # Outcomes are dealt, features are not: what encodes them is the same each time.
    encoders = fitting.encoders_of(few, split) if asked.shuffles else None
    for _ in range(asked.shuffles):
        dealt = replace(few, rows=_dealt(few, draw))
        scorer = fitting.fit_recipe(product, dealt, split, fitted.scorer, encoders)
        if scorer is not None:
            its = list(fitting.judge(scorer, dealt, split, [None] * len(dealt.targets)).values())[-1]
            yield figures.ranking[figures.primary](its.outcome, its.raw)


def _positives(sample: Sample, label: str) -> int:
    return int((sample.rows[label].drop_null().to_numpy() > 0).sum())


def _dealt(sample: Sample, draw: np.random.Generator) -> pa.Table:
    """Deal the known labels of each target anew; what is not known stays unknown."""
    rows = sample.rows
    for target in sample.targets:
        values = rows[target.label].cast(pa.float64()).to_numpy().copy()
        known = np.flatnonzero(~np.isnan(values))
        values[known] = values[draw.permutation(known)]
        column = pa.array(values, pa.float64(), from_pandas=True)
        rows = rows.set_column(rows.column_names.index(target.label), target.label, column)
    return rows
