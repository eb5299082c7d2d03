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

    from ml.model.scorer import Scorer
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
    """
    Say how the champion's recipe, fitted on the training days, ranks the test rows by the features that the champion knows.

    As it stands it has perhaps learnt the test days, and would rank them better than is honest; and with a new feature its
    recipe would know what that knows. None where there is no champion to ask.
    """
    if incumbent is None or incumbent.model is None or incumbent.stored is None:
        return None
    figures = OBJECTIVES[product.objective].figures
    try:
        incumbent.stored.check_signature(sample.rows.schema)
        recipe = _by_known(product, sample, split, incumbent.model, incumbent.stored)
    except RekindleError:
        return None
    if recipe is None:
        return None
    its = list(fitting.judge(recipe, sample, split, [None] * len(sample.targets)).values())[-1]
    return figures.ranking[figures.primary](its.outcome, its.raw)


def _by_known(product: Product, sample: Sample, split: Split, recipe: Scorer, stored: Scorer) -> Scorer | None:
    """Return a champion's recipe; where it reads what the champion does not read, fitted again without that."""
    known = _read(stored)
    if not (new := [source for source in _read(recipe) if source not in known]):
        return recipe
    without = replace(sample, kept_out=(*sample.kept_out, *new))
    again = fitting.fit_recipe(product, without, split, stored)
    # Of features that are the same in every row one is read: without the first it is the second.
    return again and _by_known(product, without, split, again, stored)


def _read(scorer: Scorer) -> dict[str, None]:
    return dict.fromkeys(source for encoder in scorer.encoders for source in encoder.columns)


def _columns(sample: Sample, split: Split) -> dict[str, np.ndarray]:
    """Return what the dense encoder makes of the test rows, by the names that people know."""
    dense = fitting.encoders_of(sample, split).of(Dense)
    values = Encoded(sample.judged(split.test)).by(dense)
    return {
        f"{source}, {i}" if dense.columns.count(source) > 1 else source: values[:, i].astype(np.float64)
        for i, source in enumerate(dense.columns)
        # Who was sent a message is no feature, and the same of all rows that are judged.
        if source != sample.messaged
    }


def _shuffled(product: Product, sample: Sample, split: Split, fitted: Fitted, asked: Criteria) -> Iterator[float]:
    """Fit the recipe on outcomes that were dealt anew among all rows, and say how it ranks those of the test days."""
    figures = OBJECTIVES[product.objective].figures
    step = _step(sample, asked.shuffle_rows)
    if step is None or not asked.shuffles:
        return
    # Of the plain sample: what came of a row that was drawn by it would still be told by how much it counts.
    few = replace(sample.plain, rows=sample.rows.take(np.arange(0, sample.rows.num_rows, step)))
    draw = np.random.default_rng(0)
    # Outcomes are dealt, features are not: what encodes them is the same each time.
    encoders = fitting.encoders_of(few, split)
    for _ in range(asked.shuffles):
        dealt = replace(few, rows=_dealt(few, draw))
        scorer = fitting.fit_recipe(product, dealt, split, fitted.scorer, encoders)
        if scorer is not None:
            its = list(fitting.judge(scorer, dealt, split, [None] * len(dealt.targets)).values())[-1]
            yield figures.ranking[figures.primary](its.outcome, its.raw)


def _step(sample: Sample, row_count: int) -> int | None:
    """
    Say of how many rows one is taken, to have about so many: of fewer, where positives are rare.

    Rows are taken until each target has positives enough; None where all rows have too few.
    """
    positive = [np.flatnonzero(_outcomes(sample, target) > 0) for target in sample.targets]
    most = max(1, -(-sample.rows.num_rows // row_count))
    enough = (step for step in range(most, 0, -1) if all((at % step == 0).sum() >= MIN_POSITIVES for at in positive))
    return next(enough, None)


def _outcomes(sample: Sample, target: Target) -> np.ndarray:
    """Return the label of each row, NaN where it is not known."""
    return sample.rows[target.label].cast(pa.float64()).to_numpy()


def _dealt(sample: Sample, draw: np.random.Generator) -> pa.Table:
    """Deal the known labels of each target anew; what is not known stays unknown."""
    rows = sample.rows
    for target in sample.targets:
        values = _outcomes(sample, target).copy()
        known = np.flatnonzero(~np.isnan(values))
        values[known] = values[draw.permutation(known)]
        column = pa.array(values, pa.float64(), from_pandas=True)
        rows = rows.set_column(rows.column_names.index(target.label), target.label, column)
    return rows
