"""
From a sample and a split to a model and its evaluation: nothing here knows of Spark, MLflow or Postgres.

For each target the product's candidates and its naive rules are fitted on the training days, calibrated and compared on
the validation days. The best candidate becomes that part of the model, the best rule is what the model has to beat, and
what is published where it does not. All of them are then shown on the same test days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.model import calibration, learners
from ml.model.encoder import Encoder
from ml.model.learners import SAYS, Examples
from ml.model.scorer import Part, Scorer
from ml.objectives import OBJECTIVES
from ml.training import evaluation
from ml.training.evaluation import Evaluation, Judged
from ml.training.rules import fit_rule
from rekindle.errors import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.calibration import Level, Platt
    from ml.model.learners import Learner
    from ml.products import Product, Target
    from ml.training.samples import RefitDays, Sample, Split

MIN_ROWS = 200
"""Of each part. Ten bins of twenty rows: with fewer, neither a calibration nor its check means anything."""

MIN_OF_A_KIND = 10
"""Rows of the rarer kind in each part: on fewer, the interval of a figure is as wide as its scale."""

GIVEN_AWAY = 1 - 1e-9
"""A feature that alone ranks as well as this is the label, or was made from it."""

LOOKED_AT = 20_000
"""Rows on which features are compared with the label: no honest feature ranks so many without a mistake."""


@dataclass(frozen=True)
class Contest:
    """The candidates and naive rules for one target: figures of the validation days, the test days' primary figure."""

    label: str
    chosen: str | None
    """The candidate; None where each was refused."""
    validation: Mapping[str, float]
    """What candidates are chosen by."""
    test: Mapping[str, float]
    refused: Mapping[str, str]
    """Why a candidate, or a naive rule, is not let in."""
    rule: str | None
    """The naive rule to beat; None where none ranks better than chance, which is then to be beaten."""
    rules: Mapping[str, float]
    """The primary figure of each naive rule on validation days."""


@dataclass(frozen=True)
class Fitted:
    """A model, how its parts were chosen, and how it did on the test days."""

    scorer: Scorer
    """The model; where no candidate was let in for some target, the best naive rules."""
    has_model: bool
    rule: Scorer | None
    """The best naive rules that may predict, calibrated; None where there is none for some target."""
    contests: tuple[Contest, ...]
    judged: Mapping[str, Judged]
    """Test rows by horizon, the longest last."""
    evaluations: Mapping[str, Evaluation]
    to_beat: tuple[Part | None, ...]
    """The naive rule of each target that `judged` compares with."""

    @property
    def primary(self) -> Evaluation:
        """The evaluation that the gate reads: of the longest horizon."""
        return list(self.evaluations.values())[-1]

    @property
    def longest(self) -> Judged:
        """The test rows behind `primary`."""
        return list(self.judged.values())[-1]

    @property
    def why_no_model(self) -> str:
        """Why candidates were not let in."""
        return "; ".join(f"{name} for {c.label}: {why}" for c in self.contests for name, why in c.refused.items())

    def to_json(self) -> dict[str, Any]:
        return {
            "candidates": {contest.label: vars(contest) for contest in self.contests},
            "evaluations": {
                horizon: {**result.to_json(), **self._makers(n)}
                for n, (horizon, result) in enumerate(self.evaluations.items(), 1)
            },
        }

    def _makers(self, parts: int) -> dict[str, Any]:
        """Say for people what a horizon, of so many targets, is predicted by, and by what it had to be beaten."""
        made = dict.fromkeys(part.candidate for part in self.scorer.parts[:parts])
        beaten = dict.fromkeys(contest.rule or "chance" for contest in self.contests[:parts])
        return {
            "is_rule": not self.has_model,
            "made_by": [SAYS.get(name, name) for name in made],
            "to_beat": list(beaten),
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
    encoder = encoder_of(sample, split)
    contested = []
    for target in sample.targets:
        rows = _Rows(
            training=_examples(encoder, train[target.label], target),
            validation=_examples(encoder, sample.of(split.validation[target.label], target), target),
            test=_examples(encoder, sample.judged(split.test), target),
        )
        for days, examples in vars(rows).items():
            check_examples(product.objective, days, examples)
        check_no_label(product.objective, encoder, rows.training)
        contested.append(_contest(product, encoder, target, rows))
    contests = tuple(c.contest for c in contested)
    model, rule = (
        _scorer(product, encoder, parts) for parts in zip(*((c.model, c.rule) for c in contested), strict=True)
    )
    fitted = model or rule
    if fitted is None:
        told = "; ".join(f"{name} for {c.label}: {why}" for c in contests for name, why in c.refused.items())
        raise _refused(
            "no_signal", f"On the validation days neither candidate nor naive rule is fit to predict. {told}."
        )
    to_beat = tuple(c.to_beat for c in contested)
    return judged_as(product, sample, split, Fitted(fitted, model is not None, rule, contests, {}, {}, to_beat))


def encoder_of(sample: Sample, split: Split) -> Encoder:
    """Fit the encoder on the training rows of all targets."""
    train = [sample.of(split.train[target.label], target) for target in sample.targets]
    encoder = Encoder.fit(pa.concat_tables(train), leave_out=[t.label for t in sample.targets])
    if not encoder.features:
        raise _refused("features_constant", "No feature differs between any two training rows.")
    return encoder


def as_rule(product: Product, sample: Sample, split: Split, fitted: Fitted) -> Fitted:
    """Put the best naive rules in the place of the model, judged on the same rows."""
    return judged_as(product, sample, split, replace(fitted, scorer=fitted.rule or fitted.scorer, has_model=False))


def judged_as(product: Product, sample: Sample, split: Split, fitted: Fitted) -> Fitted:
    """Judge what was fitted, by horizon."""
    judged = judge(fitted.scorer, sample, split, fitted.to_beat)
    evaluations = {horizon: evaluation.evaluate(product.objective, rows) for horizon, rows in judged.items()}
    return replace(fitted, judged=judged, evaluations=evaluations)


def judge(scorer: Scorer, sample: Sample, split: Split, to_beat: Sequence[Part | None]) -> dict[str, Judged]:
    """Put predictions and naive rule beside what came true, by horizon: increments add up from the first target on."""
    rows = sample.judged(split.test)
    matrix = scorer.encoder.encode(rows)
    users = rows["user_id"].to_numpy(zero_copy_only=False)
    outcome, raw, prediction, naive = (np.zeros(rows.num_rows) for _ in range(4))
    base, judged = 0.0, {}
    for target, part, rule in zip(sample.targets, scorer.parts, to_beat, strict=True):
        part_raw = part.raw(matrix)
        outcome = outcome + _outcomes(rows, target)
        raw = raw + part_raw
        prediction = prediction + part.calibration.predict(part_raw)
        naive = naive + (rule.learner.raw(matrix) if rule else 0.0)
        base += float(_outcomes(sample.of(split.validation[target.label], target), target).mean())
        judged[f"1_{target.to_day}"] = Judged(users, outcome, raw, prediction, naive, base)
    return judged


@dataclass(frozen=True)
class Refitted:
    """What scores: the recipe that was judged, fitted again on all days; or, where that failed, what was judged."""

    scorer: Scorer
    days: RefitDays | None
    why_not: str | None = None

    def to_json(self) -> dict[str, Any]:
        days = self.days.everything if self.days else {}
        return {"days": {label: str(some) for label, some in days.items()}, "why_not": self.why_not}


def refit(product: Product, sample: Sample, judged: Scorer, days: RefitDays) -> Refitted:
    """
    Fit the recipe of a judged model again, on every day with a known label: the same learner with as many trees.

    Calibrated is it as it will be used: the recipe, fitted on what was known when the first test day was scored, foretells
    the test days, and how those came out corrects it. The parameters of the validation days would correct twice for what
    the business did since the training days, which the new fit has seen; and on its own rows every learner is right.
    """
    everything = [sample.of(days.everything[target.label], target) for target in sample.targets]
    encoder = Encoder.fit(pa.concat_tables(everything), leave_out=[t.label for t in sample.targets])
    parts = []
    for target, part, rows in zip(sample.targets, judged.parts, everything, strict=True):
        learner = _again(product, target, part, encoder, rows)
        fitted = _out_of_time(product, sample, target, part, days)
        if fitted is None or learner is None:
            return Refitted(
                judged, None, f"{part.candidate} for {target.label}: on other days it ranks the wrong way round"
            )
        if why := calibration.why_refused(fitted):
            return Refitted(judged, None, f"{part.candidate} for {target.label}: {why}")
        parts.append(Part(target.label, part.candidate, learner, fitted))
    return Refitted(Scorer(product.name, encoder, tuple(parts)), days)


def _again(product: Product, target: Target, part: Part, encoder: Encoder, rows: pa.Table) -> Learner | None:
    """Fit a candidate, or a naive rule, by its name on other rows; there are no rows left to stop its trees by."""
    examples = _examples(encoder, rows, target)
    for rule in target.rules:
        if rule.name == part.candidate:
            return fit_rule(rule, encoder.features, OBJECTIVES[product.objective], examples)
    return learners.CANDIDATES[part.candidate](
        encoder.features, OBJECTIVES[product.objective].loss, examples, part.learner.trees
    )


def _out_of_time(product: Product, sample: Sample, target: Target, part: Part, days: RefitDays) -> Platt | Level | None:
    """Calibrate a recipe by days that come as long after those it was fitted on as scored days will."""
    before, after = (sample.of(some[target.label], target) for some in (days.before, days.after))
    encoder = Encoder.fit(before, leave_out=[t.label for t in sample.targets])
    learner = _again(product, target, part, encoder, before)
    if learner is None:
        return None
    examples = _examples(encoder, after, target)
    return OBJECTIVES[product.objective].calibrate(learner.raw(examples.matrix), examples.outcome)


def check_examples(objective: str, days: str, examples: Examples) -> None:
    """Refuse too few rows, or rows that all came to the same."""
    outcome = examples.outcome
    if len(outcome) < MIN_ROWS:
        raise _refused("too_few_rows", f"There are {len(outcome)} rows on the {days} days; {MIN_ROWS} are needed.")
    if (outcome == outcome[0]).all():
        raise _refused("one_class", f"All {len(outcome)} rows on the {days} days came to the same: {outcome[0]:g}.")
    rarer = OBJECTIVES[objective].rarer(outcome)
    if rarer < MIN_OF_A_KIND:
        what = (
            f"Only {rarer} of {len(outcome)} rows on the {days} days are of the rarer kind; {MIN_OF_A_KIND} are needed."
        )
        raise _refused("too_few_of_a_kind", what)


def check_no_label(objective: str, encoder: Encoder, train: Examples) -> None:
    """Refuse a feature that knows the outcome: it was made from what happened after its day."""
    figures, step = OBJECTIVES[objective].figures, max(1, len(train.outcome) // LOOKED_AT)
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


@dataclass(frozen=True)
class _Contested:
    """What came of a contest: the candidate and the naive rule that may predict, and the rule to beat."""

    contest: Contest
    model: Part | None
    rule: Part | None
    to_beat: Part | None


def _contest(product: Product, encoder: Encoder, target: Target, rows: _Rows) -> _Contested:
    """Fit every candidate and rule, calibrate it on the validation days and choose by them; the test days only show."""
    fits = {
        name: learners.CANDIDATES[name](
            encoder.features, OBJECTIVES[product.objective].loss, rows.training, rows.validation
        )
        for name in product.candidates
    }
    by_rule = {
        rule.name: fit_rule(rule, encoder.features, OBJECTIVES[product.objective], rows.training)
        for rule in target.rules
    }
    told = {
        name: "its features do not vary, or rank the wrong way round" for name, fit in by_rule.items() if fit is None
    }
    fits |= {name: learner for name, learner in by_rule.items() if learner is not None}
    parts = {name: _calibrated(product, target, name, learner, rows.validation) for name, learner in fits.items()}
    rank = OBJECTIVES[product.objective].figures.ranking[OBJECTIVES[product.objective].figures.primary]
    ranks = {name: rank(rows.validation.outcome, part.raw(rows.validation.matrix)) for name, part in parts.items()}
    why = {name: _why_refused(product, part, ranks[name]) for name, part in parts.items()}

    by_validation = {
        name: OBJECTIVES[product.objective].choose_by(
            rows.validation.outcome, _predicted(parts[name], rows.validation.matrix)
        )
        for name in product.candidates
        if why[name] is None
    }
    rules = sorted((name for name in by_rule if name in parts), key=lambda name: -ranks[name])
    to_beat = next((name for name in rules if ranks[name] > OBJECTIVES[product.objective].figures.chance), None)
    chosen = max(by_validation, key=by_validation.__getitem__, default=None)
    contest = Contest(
        label=target.label,
        chosen=chosen,
        validation=by_validation,
        test={name: rank(rows.test.outcome, part.raw(rows.test.matrix)) for name, part in parts.items()},
        refused={**{name: reason for name, reason in why.items() if reason}, **told},
        rule=to_beat,
        rules={name: ranks[name] for name in rules},
    )
    allowed = next((name for name in rules if why[name] is None), None)
    return _Contested(contest, *(parts.get(name) if name else None for name in (chosen, allowed, to_beat)))


def _calibrated(product: Product, target: Target, name: str, learner: Learner, validation: Examples) -> Part:
    fitted = OBJECTIVES[product.objective].calibrate(learner.raw(validation.matrix), validation.outcome)
    return Part(target.label, name, learner, fitted)


def _why_refused(product: Product, part: Part, ranked: float) -> str | None:
    """Say why a candidate or a rule must not predict: it contradicts the validation days, or says nothing about them."""
    if why := calibration.why_refused(part.calibration):
        return why
    figures = OBJECTIVES[product.objective].figures
    if not ranked > figures.chance:
        return f"{figures.primary} {ranked:.3f} on validation days is no better than chance"
    return None


def _predicted(part: Part, matrix: np.ndarray) -> np.ndarray:
    return part.calibration.predict(part.raw(matrix))


def _scorer(product: Product, encoder: Encoder, parts: Sequence[Part | None]) -> Scorer | None:
    there = tuple(part for part in parts if part is not None)
    return Scorer(product.name, encoder, there) if len(there) == len(parts) else None


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
