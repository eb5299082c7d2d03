"""
From a sample and a split to a model and its evaluation: nothing here knows of Spark, MLflow or Postgres.

For each target the product's candidates are fitted on the training days, calibrated and compared on the validation
days, and the better one becomes that part of the model. All of them are then shown on the same test days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import calibration, candidates, evaluation
from ml.candidates import Examples
from ml.encoder import Encoder
from ml.evaluation import FIGURES, Evaluation, Judged
from ml.scorer import Part, Scorer
from rekindle.errors import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.calibration import Level, Platt
    from ml.products import Product, Target
    from ml.samples import Sample, Split
    from rekindle.days import Days

MIN_ROWS = 200
"""Of each part. Ten bins of twenty rows: with fewer, neither a calibration nor its check means anything."""

MIN_OF_A_KIND = 10
"""Rows of the rarer kind in each part: on fewer, the interval of a figure is as wide as its scale."""

RARER: Mapping[str, Callable[[np.ndarray], int]] = {
    "probability": lambda outcome: min(int((outcome > 0).sum()), int((outcome <= 0).sum())),
    "amount": lambda outcome: int((outcome > 0).sum()),
}
"""How many rows are of the kind that may be too rare: either class, or those who spent."""

GIVEN_AWAY = 1 - 1e-9
"""A feature that alone ranks as well as this is the label, or was made from it."""

LOOKED_AT = 20_000
"""Rows on which features are compared with the label: no honest feature ranks so many without a mistake."""

CALIBRATE: Mapping[str, Callable[[np.ndarray, np.ndarray], Platt | Level]] = {
    "probability": calibration.Platt.fit,
    "amount": calibration.Level.fit,
}

CHOOSE_BY: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    # A proper score, after calibration: nobody wins by being overconfident, nor loses by what Platt repairs.
    "probability": lambda outcome, prediction: -evaluation.log_loss(outcome, prediction),
    # The squared error of amounts is that of a few large customers; the order of all is what the gate reads, too.
    "amount": evaluation.gini,
}


@dataclass(frozen=True)
class Contest:
    """The candidates for one target: what they were chosen by on validation days, and the test days' primary figure."""

    label: str
    chosen: str
    validation: Mapping[str, float]
    test: Mapping[str, float]
    refused: Mapping[str, str]
    """Why a candidate was not let in."""


@dataclass(frozen=True)
class Fitted:
    """A model, how its parts were chosen, and how it did on the test days."""

    scorer: Scorer
    contests: tuple[Contest, ...]
    judged: Mapping[str, Judged]
    """Test rows by horizon, the longest last."""
    evaluations: Mapping[str, Evaluation]

    @property
    def primary(self) -> Evaluation:
        """The evaluation that the gate reads: of the longest horizon."""
        return list(self.evaluations.values())[-1]

    @property
    def longest(self) -> Judged:
        """The test rows behind `primary`."""
        return list(self.judged.values())[-1]

    def to_json(self) -> dict[str, Any]:
        return {
            "candidates": {contest.label: vars(contest) for contest in self.contests},
            "evaluations": {horizon: result.to_json() for horizon, result in self.evaluations.items()},
        }


@dataclass(frozen=True)
class _Rows:
    """The rows of one target, by what they are for."""

    training: Examples
    validation: Examples
    test: Examples


def fit(product: Product, sample: Sample, split: Split) -> Fitted:
    """Fit, choose and judge. Refuses, by name, a sample that no model should be made of."""
    train = {t.label: sample.of(split.train[t.label], t) for t in sample.targets}
    encoder = Encoder.fit(pa.concat_tables(train.values()), leave_out=[t.label for t in sample.targets])
    if not encoder.features:
        raise _refused("features_constant", "No feature differs between any two training rows.")
    parts, contests = [], []
    for target in sample.targets:
        rows = _Rows(
            training=_examples(encoder, train[target.label], target),
            validation=_examples(encoder, sample.of(split.validation[target.label], target), target),
            test=_examples(encoder, _test_rows(sample, split.test), target),
        )
        for days, examples in vars(rows).items():
            check_examples(product.objective, days, examples)
        check_no_label(product.objective, encoder, rows.training)
        part, contest = _contest(product, encoder, target, rows)
        parts.append(part)
        contests.append(contest)
    scorer = Scorer(product.name, encoder, tuple(parts))
    judged = judge(scorer, sample, split.test)
    return Fitted(
        scorer, tuple(contests), judged, {h: evaluation.evaluate(product.objective, j) for h, j in judged.items()}
    )


def judge(scorer: Scorer, sample: Sample, test: Days) -> dict[str, Judged]:
    """Put predictions and naive rule beside what came true, by horizon: increments add up from the first target on."""
    rows = _test_rows(sample, test)
    matrix = scorer.encoder.encode(rows)
    users = rows["user_id"].to_numpy(zero_copy_only=False)
    outcome, raw, prediction, naive = (np.zeros(rows.num_rows) for _ in range(4))
    judged = {}
    for target, part in zip(sample.targets, scorer.parts, strict=True):
        part_raw = part.raw(matrix)
        outcome = outcome + _outcomes(rows, target)
        raw = raw + part_raw
        prediction = prediction + part.calibration.predict(part_raw)
        naive = naive + naive_rule(rows, target)
        judged[f"1_{target.to_day}"] = Judged(users, outcome, raw, prediction, naive)
    return judged


def naive_rule(rows: pa.Table, target: Target) -> np.ndarray:
    """Compute the rule that a model has to beat; a missing feature counts as nothing."""
    columns = {name: np.nan_to_num(rows[name].cast(pa.float64()).to_numpy()) for name in target.naive}
    return sum((weight * columns[name] for name, weight in target.naive.items()), np.zeros(rows.num_rows))


def check_examples(objective: str, days: str, examples: Examples) -> None:
    """Refuse too few rows, or rows that all came to the same."""
    outcome = examples.outcome
    if len(outcome) < MIN_ROWS:
        raise _refused("too_few_rows", f"There are {len(outcome)} rows on the {days} days; {MIN_ROWS} are needed.")
    if (outcome == outcome[0]).all():
        raise _refused("one_class", f"All {len(outcome)} rows on the {days} days came to the same: {outcome[0]:g}.")
    rarer = RARER[objective](outcome)
    if rarer < MIN_OF_A_KIND:
        what = (
            f"Only {rarer} of {len(outcome)} rows on the {days} days are of the rarer kind; {MIN_OF_A_KIND} are needed."
        )
        raise _refused("too_few_of_a_kind", what)


def check_no_label(objective: str, encoder: Encoder, train: Examples) -> None:
    """Refuse a feature that knows the outcome: it was made from what happened after its day."""
    figures, step = FIGURES[objective], max(1, len(train.outcome) // LOOKED_AT)
    rank, outcome = figures.ranking[figures.primary], train.outcome[::step]
    knowing = {
        feature.source
        for feature, values in zip(encoder.features, train.matrix[::step].T, strict=True)
        if max(rank(outcome, side) for side in _both_ways(values)) >= GIVEN_AWAY
    }
    if knowing:
        what = f"These features know the outcome beforehand, without a mistake: {', '.join(sorted(knowing))}."
        raise _refused("label_among_features", what)


def _both_ways(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a feature as a score, and turned around; missing ranks last."""
    up, down = values.copy(), -values
    up[np.isnan(values)] = down[np.isnan(values)] = -np.inf
    return up, down


def _contest(product: Product, encoder: Encoder, target: Target, rows: _Rows) -> tuple[Part, Contest]:
    """Fit every candidate, calibrate it on the validation days and choose by them; the test days only show."""
    parts, by_validation, by_test, refused = {}, {}, {}, {}
    figures = FIGURES[product.objective]
    for name in product.candidates:
        learner = candidates.CANDIDATES[name](encoder.features, product.objective, rows.training, rows.validation)
        fitted = CALIBRATE[product.objective](learner.raw(rows.validation.matrix), rows.validation.outcome)
        part = Part(target.label, name, learner, fitted)
        by_test[name] = figures.ranking[figures.primary](rows.test.outcome, part.raw(rows.test.matrix))
        if why := calibration.why_refused(fitted):
            refused[name] = why
        else:
            parts[name] = part
            prediction = fitted.predict(part.raw(rows.validation.matrix))
            by_validation[name] = CHOOSE_BY[product.objective](rows.validation.outcome, prediction)
    if not parts:
        told = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise _refused(
            "no_signal", f"On the validation days no candidate for {target.label} can be calibrated. {told}."
        )
    chosen = max(by_validation, key=by_validation.__getitem__)
    return parts[chosen], Contest(target.label, chosen, by_validation, by_test, refused)


def _test_rows(sample: Sample, test: Days) -> pa.Table:
    """Return the rows of the test days, on which every label is known: the same for whoever is judged."""
    rows = sample.rows.filter(pc.is_in(sample.rows["day"], value_set=pa.array(list(test), pa.date32())))
    for target in sample.targets:
        rows = rows.filter(pc.is_valid(rows[target.label]))
    return rows


def _examples(encoder: Encoder, rows: pa.Table, target: Target) -> Examples:
    return Examples(encoder.encode(rows), _outcomes(rows, target))


def _outcomes(rows: pa.Table, target: Target) -> np.ndarray:
    return rows[target.label].to_numpy().astype(np.float64)


def _refused(code: str, what: str) -> CheckFailedError:
    return CheckFailedError(
        what,
        todo="Train on a longer or larger history, or look at what the features hold.",
        safe="The champion stays as it was.",
        code=code,
    )
