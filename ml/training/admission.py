"""Who may score of what was fitted: the candidate that was chosen, the champion's recipe on newer days, or the best rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ml.training import fitting, gate
from ml.training.gate import Challenge, Pair, Verdict, served
from ml.training.incumbent import complexity, made_by, recipe_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.products import Product
    from ml.training.fitting import Fitted, Refitted
    from ml.training.gate import Criterion
    from ml.training.incumbent import Incumbent
    from ml.training.samples import Sample, Split

BANDS: Mapping[str, tuple[int, ...]] = {"recency_days": (15, 31, 91), "tenure_days": (31, 91, 366)}
"""First days of the bands after the first, of columns that segments are made of."""

LEVELS = ("channel", "country")
"""Columns of which each value is a segment."""


def judged(
    product: Product, sample: Sample, split: Split, fitted: Fitted, incumbent: Incumbent | None
) -> tuple[Fitted, Verdict]:
    """
    Let the gate judge the model; where it is out, the champion's recipe on newer days; then the best naive rule.

    A damaged file must not lower the bar: beside a champion that cannot be read what passes goes by a route of its own.
    """
    admitted, verdict = _judged(product, sample, split, fitted, incumbent)
    if incumbent is None or not incumbent.is_unreadable:
        return admitted, verdict
    told = f"version {incumbent.version.version}, the champion, cannot be read and is compared with nothing"
    return admitted, verdict.beside_unreadable(told)


def _judged(
    product: Product, sample: Sample, split: Split, fitted: Fitted, incumbent: Incumbent | None
) -> tuple[Fitted, Verdict]:
    lost: list[tuple[Fitted, Verdict]] = []
    for contender in _contenders(product, sample, split, fitted, incumbent):
        verdict = _verdict(product, sample, split, contender, incumbent)
        if verdict.passed:
            before = "; ".join(f"{_named(other)} did not pass: {its.why}" for other, its in lost)
            told = verdict.after(f"{before}; the champion's recipe, {_named(contender)}, goes on") if lost else verdict
            return contender, told
        lost.append((contender, verdict))
    return _by_rule(product, sample, split, fitted, lost)


def _by_rule(
    product: Product, sample: Sample, split: Split, fitted: Fitted, lost: list[tuple[Fitted, Verdict]]
) -> tuple[Fitted, Verdict]:
    """Put the best naive rule in the place of models that are out, where it may score."""
    best, verdict = lost[0] if lost else (fitted, Verdict(passed=False, why=fitted.why_no_model))
    if fitted.rule is None:
        return best, verdict
    rule = fitting.as_rule(product, sample, split, fitted)
    of_rule = gate.judge_rule(rule.primary, _named(rule), verdict.why)
    return (rule, of_rule) if of_rule.passed or not fitted.has_model else (best, verdict)


def _contenders(
    product: Product, sample: Sample, split: Split, fitted: Fitted, incumbent: Incumbent | None
) -> Iterator[Fitted]:
    """Yield the model that was chosen, and the champion's recipe where that is another."""
    if fitted.has_model:
        yield fitted
    if incumbent is None or incumbent.model is None or incumbent.judged is None:
        return
    if not (fitted.has_model and Pair(fitted.longest, incumbent.judged).is_same):
        yield fitting.judged_as(product, sample, split, replace(fitted, scorer=incumbent.model, has_model=True))


def _verdict(product: Product, sample: Sample, split: Split, fitted: Fitted, incumbent: Incumbent | None) -> Verdict:
    """Judge a model: against the champion's recipe where that is a model's, else against the best naive rule alone."""
    if incumbent is None or incumbent.model is None or incumbent.judged is None:
        return gate.judge(fitted.primary)
    one, other = (complexity(product.candidates, scorer) for scorer in (fitted.scorer, incumbent.model))
    challenge = Challenge(
        product.objective,
        Pair(fitted.longest, incumbent.judged),
        is_same_recipe=recipe_of(fitted.scorer) == recipe_of(incumbent.model),
        is_simpler=one != other and all(a <= b for a, b in zip(one, other, strict=True)),
        segments=segments_of(sample.judged(split.test)),
    )
    return gate.judge_challenger(fitted.primary, challenge)


def segments_of(rows: pa.Table) -> dict[str, np.ndarray]:
    """Name the segment of each row, by column; of a column that rows do not have there are none."""
    found = {}
    for column, edges in BANDS.items():
        if column in rows.column_names:
            days = rows[column].cast(pa.float64()).to_numpy().astype(np.float64)
            names = np.array(["from 0", *(f"from {edge}" for edge in edges)], dtype=object)
            found[column] = np.where(np.isnan(days), "unknown", names[np.digitize(np.nan_to_num(days), edges)])
    for column in LEVELS:
        if column in rows.column_names:
            found[column] = np.array([text or "unknown" for text in rows[column].to_pylist()], dtype=object)
    return found


def as_judged(
    product: Product, sample: Sample, split: Split, fitted: Fitted, refitted: Refitted
) -> tuple[Refitted, tuple[Criterion, ...]]:
    """
    Let a refit score only if it says about the same of the test days as what was judged; else that scores.

    Its ranking stays, and only its calibration is of the test days, which came as long after those that it learnt from as
    scored days will.
    """
    if refitted.days is None:
        return refitted, ()
    again = list(fitting.judge(refitted.scorer, sample, split, fitted.to_beat).values())[-1]
    criteria = served.like_judged(again, fitted.longest, gate.criteria())
    if all(criterion.passed for criterion in criteria):
        return refitted, criteria
    why = "; ".join(criterion.told for criterion in criteria if not criterion.passed)
    instead = fitting.recalibrated(
        product, sample, fitted.scorer, {target.label: split.test for target in sample.targets}
    )
    told = f"{why}; what was judged scores, calibrated by the {'test' if instead else 'validation'} days"
    return fitting.Refitted(instead or fitted.scorer, None, told, split.test if instead else None), criteria


def _named(fitted: Fitted) -> str:
    return " and ".join(dict.fromkeys(made_by(fitted.scorer)))
