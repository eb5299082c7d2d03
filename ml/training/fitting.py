"""
From a sample and a split to a model and its evaluation: nothing here knows of Spark, MLflow or Postgres.

For each target the product's candidates and its naive rules are fitted on the training days, calibrated and compared on
the validation days. Candidates are also compared on earlier blocks of days, fitted anew before each, and a simpler one stays
where the best is ahead of it by less than a standard error of paired rows. The chosen becomes that part of the model, the best
rule is what the model has to beat, and what is published where it does not. All of them are then shown on the same test days.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from ml.model import calibration
from ml.model.encoder import Dense, Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.scorer import Forecast, Scorer, raw_of
from ml.objectives import OBJECTIVES
from ml.training import evaluation, new_users, outlooks, seasons
from ml.training.evaluation import Evaluation, Judged
from ml.training.memory import ALL, HALF_LIVES, HISTORIES, Memory, latest, weeks_of
from ml.training.new_users import FIGURES, Start
from ml.training.rules import fit_rule
from ml.training.tuned import DECLARED
from rekindle.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ml.model.calibration import Calibration
    from ml.model.learners.declaration import Hyper, Stop
    from ml.model.part import Part
    from ml.model.season import Season
    from ml.objectives import Objective
    from ml.objectives.declaration import Metric
    from ml.products import Product, Rule, Target
    from ml.training.samples import RefitDays, Sample, Split
    from ml.training.tuned import Tuned
    from rekindle.days import Days

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
    """The candidate; None where each was refused, or the best naive rule does better: that stands in its place."""
    validation: Mapping[str, float]
    """What candidates are chosen by, the mean over blocks of validation days."""
    test: Mapping[str, float]
    refused: Mapping[str, str]
    """Why a candidate, or a naive rule, is not let in."""
    rule: str | None
    """The naive rule to beat; None where none ranks better than chance, which is then to be beaten."""
    rules: Mapping[str, float]
    """The primary figure of each naive rule on validation days."""
    history_weeks: int | None = None
    """How much of the history the candidate learns from; None is all there is."""
    half_life_weeks: int | None = None
    """After so many weeks a row of it counts half; None where all count alike."""
    hyper: Mapping[str, Hyper] = field(default_factory=dict)
    """The hyper-parameters of candidates that were not fitted as they declare."""
    new_users: Start | None = None
    """What came of beginning with registration data; None of a product that declares none."""
    season: seasons.Found | None = None
    """What came of letting levels follow the year; None of a target that declares no total, and where nothing was chosen."""

    def to_json(self) -> dict[str, Any]:
        told = {
            "new_users": self.new_users and self.new_users.to_json(),
            "season": self.season and self.season.to_json(),
        }
        return {**vars(self), **told}


@dataclass(frozen=True)
class Fitted:
    """A model, how its parts were chosen, and how it did on the test days."""

    scorer: Scorer
    """The model; of a target for which no candidate was let in, the best naive rule."""
    has_model: bool
    rule: Scorer | None
    """The best naive rules that may predict, calibrated; None where there is none for some target."""
    contests: tuple[Contest, ...]
    judged: Mapping[str, Judged]
    """Test rows by horizon, the longest last."""
    evaluations: Mapping[str, Evaluation]
    to_beat: tuple[Forecast | None, ...]
    """The naive rule of each target that `judged` compares with."""
    contenders: tuple[Mapping[str, Forecast], ...] = ()
    """Of each target all candidates and rules that were fitted, also those that were refused."""
    intervals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How many outcomes of the test rows the intervals of each horizon hold; none of a product without horizons."""

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
        refused = ((c.label, name, why) for c in self.contests for name, why in c.refused.items() if name in LEARNERS)
        return "; ".join(f"{name} for {label}: {why}" for label, name, why in refused)

    def to_json(self) -> dict[str, Any]:
        return {
            "candidates": {contest.label: contest.to_json() for contest in self.contests},
            "evaluations": {
                horizon: {**result.to_json(), **self._makers(n), **self._held(horizon)}
                for n, (horizon, result) in enumerate(self.evaluations.items(), 1)
            },
        }

    def _held(self, horizon: str) -> dict[str, Any]:
        return {"intervals": self.intervals[horizon]} if horizon in self.intervals else {}

    def _makers(self, parts: int) -> dict[str, Any]:
        """Say for people what a horizon, of so many targets, is predicted by, and by what it had to be beaten."""
        made = dict.fromkeys(_says(forecast) for forecast in self.scorer.forecasts[:parts])
        beaten = dict.fromkeys(contest.rule or "chance" for contest in self.contests[:parts])
        return {
            "is_rule": not self.has_model,
            "made_by": list(made),
            "to_beat": list(beaten),
        }


def _says(forecast: Forecast) -> str:
    learner = LEARNERS.get(forecast.candidate)
    what = learner.says if learner else forecast.candidate
    days = forecast.handover_days
    return f"{what}; of new users linear regression on registration data, until {days} active days" if days else what


@dataclass(frozen=True)
class _Rows:
    """The rows of one target, by what they are for."""

    training: Examples
    validation: Examples
    test: Examples
    earlier: tuple[tuple[Examples, Examples], ...] = ()
    """Training and validation rows of earlier days that candidates are chosen by, too."""


def fit(product: Product, sample: Sample, split: Split, tuned: Tuned = DECLARED) -> Fitted:
    """
    Fit, choose and judge, with hyper-parameters from a search that has not seen the test days.

    Refuses, by name, a sample that no model should be made of.
    """
    if len(sample.targets) > 1 and not OBJECTIVES[product.objective].adds_up:
        raise InputError(
            f"{product.name} has several targets, and predictions of the objective {product.objective} do not add up.",
            todo="Declare one product a target.",
            safe="The champion stays as it was.",
            code="several_targets",
        )
    if len(sample.targets) > 1 and sample.messaged:
        raise InputError(
            f"{product.name} has several targets, and a model of one that is about users without a message reads of one window.",
            todo="Declare one product a target.",
            safe="The champion stays as it was.",
            code="several_targets",
        )
    encoders, test = encoders_of(sample, split), Encoded(sample.judged(split.test))
    contested: list[_Contested] = []
    for target in sample.targets:
        training, validation = before_and_after(sample, target, split.train, split.validation)
        rows = _Rows(
            training=training,
            validation=validation,
            test=Examples(test, _outcomes(test.rows, target)),
            earlier=tuple(earlier(product, sample, split, target)),
        )
        for days in ("training", "validation", "test"):
            check_examples(product.objective, days, getattr(rows, days))
        check_no_label(product.objective, encoders.of(Dense), rows.training)
        newest = _OfTrial(encoders, rows.training, rows.validation, tuned.unseen(split.test))
        contested.append(_contest(product, sample, target, rows, newest, _lent(target, sample, contested)))
    contests = tuple(c.contest for c in contested)
    model, rule = (_scorer(product, found) for found in zip(*((c.model, c.rule) for c in contested), strict=True))
    fitted = model or rule
    if fitted is None:
        told = "; ".join(f"{name} for {c.label}: {why}" for c in contests for name, why in c.refused.items())
        raise _refused(
            "no_signal", f"On the validation days neither candidate nor naive rule is fit to predict. {told}."
        )
    to_beat = tuple(c.to_beat for c in contested)
    contenders = tuple(c.contenders for c in contested)
    has_model = model is not None and any(contest.chosen for contest in contests)
    found = Fitted(fitted, has_model, rule, contests, {}, {}, to_beat, contenders)
    return judged_as(product, sample, split, found)


def settled(product: Product, sample: Sample, split: Split) -> Sample:
    """
    Say what a sample makes of messages that were sent on the days that its labels are about.

    Candidates are chosen, calibrated and judged on who was sent none. Where these are too few to do so, days are learnt from as
    they were: what is then foretold is a return under messages such as were sent.
    """
    if sample.messaged is None:
        return sample
    all_rows = sample.as_days_were().judged(split.test).num_rows
    judged = sample.judged(split.test)
    enough = (
        are_enough(product.objective, _outcomes(rows, target))
        for target in sample.targets
        for rows in (judged, sample.unmessaged(split.validation[target.label], target))
    )
    rows = f"{judged.num_rows:,} of {all_rows:,} test rows"
    if all(enough):
        return replace(
            sample, about_messages=f"Chosen, calibrated and judged on users who were sent no message: {rows}."
        )
    return sample.as_days_were(
        f"Learnt from days as they were, with the messages that were sent: users who were sent none are too few, {rows}."
    )


def encoders_of(sample: Sample, split: Split) -> Encoders:
    """Return the encoders of the training rows of all targets."""
    encoders = encoders_on(sample, [sample.to_learn(split.train[target.label], target) for target in sample.targets])
    if not encoders.of(Dense).features:
        raise _refused("features_constant", "No feature differs between any two training rows.")
    return encoders


def encoders_on(sample: Sample, rows: Sequence[pa.Table]) -> Encoders:
    """Return the encoders of some rows, which read no label and nothing that no model may read."""
    left_out = [*(target.label for target in sample.targets), *sample.kept_out]
    return Encoders(pa.concat_tables(rows), leave_out=left_out, messaged=sample.messaged)


def fit_recipe(
    product: Product, sample: Sample, split: Split, recipe: Scorer, encoders: Encoders | None = None
) -> Scorer | None:
    """
    Fit what a model is made of on the training days of a split, and calibrate it on its validation days.

    Whoever fits again and again gives the encoders of the training rows. None where a naive rule in it ranks the training
    days the wrong way round.
    """
    encoders, forecasts = encoders or encoders_of(sample, split), []
    for target, forecast in zip(sample.targets, recipe.forecasts, strict=True):
        train, validation = before_and_after(sample, target, split.train, split.validation)
        if (parts := _again(product, target, forecast, encoders, train)) is None:
            return None
        season = _season_again(product, sample, target, forecast)
        again = _calibrated(product, target, forecast.candidate, parts, validation, season)
        forecasts.append(replace(again, hyper=forecast.hyper, **Memory.of(forecast)._asdict()))
    return Scorer(product.name, tuple(forecasts))


def recalibrated(product: Product, sample: Sample, scorer: Scorer, days: Mapping[str, Days]) -> Scorer | None:
    """
    Calibrate a model by other days, given by label, and leave all else: its raw scores stay as they are.

    None where a calibration that contradicts the model comes of it.
    """
    forecasts = []
    for target, forecast in zip(sample.targets, scorer.forecasts, strict=True):
        rows = examples_of(sample.unmessaged(days[target.label], target), target)
        fitted = calibrate(OBJECTIVES[product.objective], forecast.uncalibrated(rows.rows), rows)
        if calibration.why_refused(fitted):
            return None
        forecasts.append(replace(forecast, calibration=fitted))
    return replace(scorer, forecasts=tuple(forecasts))


def as_rule(product: Product, sample: Sample, split: Split, fitted: Fitted) -> Fitted:
    """Put the best naive rules in the place of the model, judged on the same rows."""
    return judged_as(product, sample, split, replace(fitted, scorer=fitted.rule or fitted.scorer, has_model=False))


def judged_as(product: Product, sample: Sample, split: Split, fitted: Fitted) -> Fitted:
    """Judge what was fitted, by horizon."""
    judged = judge(fitted.scorer, sample, split, fitted.to_beat)
    evaluations = {horizon: evaluation.evaluate(product.objective, rows) for horizon, rows in judged.items()}
    looking = outlooks.for_test(product, sample, split, fitted.scorer)
    intervals = outlooks.measured(sample, split, looking)
    return replace(fitted, judged=judged, evaluations=evaluations, intervals=intervals)


def judge(scorer: Scorer, sample: Sample, split: Split, to_beat: Sequence[Forecast | None]) -> dict[str, Judged]:
    """Put predictions and naive rule beside what came true, by horizon: increments add up from the first target on."""
    table = sample.judged(split.test)
    rows = Encoded(table)
    users = table["user_id"].to_numpy(zero_copy_only=False)
    outcome, raw, prediction, naive = (np.zeros(table.num_rows) for _ in range(4))
    base, judged = 0.0, {}
    for target, forecast, rule in zip(sample.targets, scorer.forecasts, to_beat, strict=True):
        its_raw = forecast.raw(rows)
        outcome = outcome + _outcomes(table, target)
        raw = raw + its_raw
        prediction = prediction + forecast.calibration.predict(its_raw)
        naive = naive + (rule.uncalibrated(rows) if rule else 0.0)
        base += float(_outcomes(sample.unmessaged(split.validation[target.label], target), target).mean())
        judged[f"1_{target.to_day}"] = Judged(users, outcome, raw, prediction, naive, base)
    return judged


@dataclass(frozen=True)
class Refitted:
    """What scores: the recipe that was judged, fitted again on all days; or, where that failed, what was judged."""

    scorer: Scorer
    days: RefitDays | None
    why_not: str | None = None
    calibrated_by: Days | None = None
    """The test days, where what was judged scores and they calibrate it; else its validation days have."""

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
    everything = [sample.to_learn(days.everything[target.label], target) for target in sample.targets]
    encoders, forecasts = encoders_on(sample, everything), []
    for target, forecast, rows in zip(sample.targets, judged.forecasts, everything, strict=True):
        parts = _again(product, target, forecast, encoders, examples_of(rows, target, sample.weight(rows)))
        fitted = _out_of_time(product, sample, target, forecast, days)
        if fitted is None or parts is None:
            return Refitted(
                judged, None, f"{forecast.candidate} for {target.label}: on other days it ranks the wrong way round"
            )
        if why := calibration.why_refused(fitted):
            return Refitted(judged, None, f"{forecast.candidate} for {target.label}: {why}")
        forecasts.append(replace(forecast, parts=parts, calibration=fitted))
    return Refitted(Scorer(product.name, tuple(forecasts)), days)


def _again(
    product: Product, target: Target, forecast: Forecast, encoders: Encoders, examples: Examples
) -> tuple[Part, ...] | None:
    """Fit a candidate with its share of the history, or a naive rule, on other rows; none are left to stop its trees by."""
    for rule in target.rules:
        if rule.name == forecast.candidate:
            part = fit_rule(rule, OBJECTIVES[product.objective], examples)
            return (part,) if part else None
    train = Memory.of(forecast).kept(examples)
    parts = learnt(product, forecast.candidate, encoders, train, forecast.trees, forecast.hyper)
    return new_users.begun(product, encoders, parts, train, forecast.handover_days)


def learnt(  # noqa: PLR0917 - what a fit is made of
    product: Product, candidate: str, encoders: Encoders, train: Examples, stop: Stop, hyper: Hyper
) -> tuple[Part, ...]:
    """Fit a candidate by its name. Raises InputError for one that cannot minimise what the product's objective asks for."""
    learner, loss = LEARNERS[candidate], OBJECTIVES[product.objective].loss
    if learner.losses and loss not in learner.losses:
        raise InputError(
            f"{candidate} cannot learn what {product.name} is about: it minimises {' or '.join(learner.losses)}, not {loss}.",
            todo=f"Take it out of the candidates of {product.name}, or let it minimise {loss}.",
            safe="The champion stays as it was.",
            code="learner_without_loss",
        )
    parts = learner.fit(encoders, loss, train, stop, **hyper)
    made_of = {type(one) for part in parts for one in (part.encoder, part.predictor)}
    if foreign := made_of - {*learner.encoders, *learner.predictors}:
        raise InputError(
            f"{candidate} made parts of {', '.join(sorted(kind.__name__ for kind in foreign))}, which it does not declare.",
            todo="Name them among its predictors or encoders: nobody could read the stored model.",
            safe="The champion stays as it was.",
            code="undeclared_part",
        )
    return tuple(part.unmessaged(encoders.messaged) for part in parts) if encoders.messaged else parts


def _out_of_time(
    product: Product, sample: Sample, target: Target, forecast: Forecast, days: RefitDays
) -> Calibration | None:
    """Calibrate a recipe by days that come as long after those it was fitted on as scored days will."""
    before, after = before_and_after(sample, target, days.before, days.after)
    parts = _again(product, target, forecast, encoders_on(sample, [before.rows.rows]), before)
    if parts is None:
        return None
    return calibrate(OBJECTIVES[product.objective], raw_of(parts, after.rows, forecast.season), after)


def _season_again(product: Product, sample: Sample, target: Target, forecast: Forecast) -> Season | None:
    """Return the season of a recipe over the year that a sample knows."""
    return seasons.again(sample, target, forecast.season, multiplies=OBJECTIVES[product.objective].adds_up)


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


def check_no_label(objective: str, dense: Dense, train: Examples) -> None:
    """Refuse a feature that knows the outcome: it was made from what happened after its day."""
    figures, step = OBJECTIVES[objective].figures, max(1, len(train.outcome) // LOOKED_AT)
    rank, outcome = figures.ranking[figures.primary], train.outcome[::step]
    knowing = {
        feature.source
        for feature, values in zip(dense.features, train.rows.by(dense)[::step].T, strict=True)
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
    model: Forecast | None
    rule: Forecast | None
    to_beat: Forecast | None
    contenders: Mapping[str, Forecast]


def _lent(target: Target, sample: Sample, earlier: Sequence[_Contested]) -> float | None:
    """Return the coefficient of the season of the target before, where it is of the same totals."""
    if not earlier or sample.targets[len(earlier) - 1].total != target.total:
        return None
    before = earlier[-1].contest.season
    return before.season.coefficient if before and before.season else None


def _contest(  # noqa: PLR0917 - what is contested
    product: Product, sample: Sample, target: Target, rows: _Rows, newest: _OfTrial, lent: float | None
) -> _Contested:
    """Fit every candidate and rule, calibrate it on the validation days and choose by them; the test days only show."""
    objective, validation, tuned = OBJECTIVES[product.objective], rows.validation, newest.tuned
    trials = [newest]
    trials += [
        _OfTrial(encoders_on(sample, [before.rows.rows]), before, after, tuned) for before, after in rows.earlier
    ]
    fits = {name: newest.learnt(product, name) for name in product.candidates}
    by_rule = {rule.name: fit_rule(rule, objective, rows.training) for rule in target.rules}
    told = {
        name: "its features do not vary, or rank the wrong way round" for name, fit in by_rule.items() if fit is None
    }
    fits |= {name: (part,) for name, part in by_rule.items() if part is not None}
    learn = _Seasons(objective, sample, target, trials, lent)
    found = {name: learn.of_candidate(product, name) for name in product.candidates}
    found |= {rule.name: learn.of_rule(rule) for rule in target.rules if rule.name in fits}
    forecasts = {
        name: replace(
            _calibrated(product, target, name, parts, validation, found[name].season), hyper=tuned.get(name, {})
        )
        for name, parts in fits.items()
    }
    rank = objective.figures.ranking[objective.figures.primary]
    ranks = {name: rank(validation.outcome, its.raw(validation.rows)) for name, its in forecasts.items()}
    why = {name: _why_refused(product, its, ranks[name]) for name, its in forecasts.items()}

    allowed = [name for name in product.candidates if why[name] is None]
    blocks = [
        Told.of(objective, trial.after, {name: (trial.learnt(product, name), found[name].season) for name in allowed})
        for trial in trials
    ]
    rules = sorted((name for name in by_rule if name in forecasts), key=lambda name: -ranks[name])
    to_beat = next((name for name in rules if ranks[name] > objective.figures.chance), None)
    chosen = choose(objective.choose_by, blocks, allowed)
    rule = next((name for name in rules if why[name] is None), None)
    season = found[chosen].season if chosen else None
    memory = _memory(product, trials, blocks, chosen, season) if chosen else ALL
    beside: Sequence[Told] = blocks
    if chosen and any(memory):
        forgetful = [(trial.learnt(product, chosen, memory), season) for trial in trials]
        beside = _beside(objective, blocks, trials, chosen, forgetful)
    start, beside = _start(product, trials, beside, chosen, memory, season) if chosen else (Start(), beside)
    if chosen and (any(memory) or start.days):
        found[chosen] = learn.of_candidate(product, chosen, start.days, memory)
        parts = trials[0].begun(product, chosen, start.days, memory)
        calibrated = _calibrated(product, target, chosen, parts, validation, found[chosen].season)
        forecasts[chosen] = replace(calibrated, hyper=tuned.get(chosen, {}), **memory._asdict())
    if (
        chosen
        and rule
        and _is_rule_ahead(objective, beside, trials, chosen, _rule_named(target, rule), found[rule].season)
    ):
        told[chosen] = f"on validation days the naive rule {rule} is ahead of it by more than a standard error"
        chosen, memory = None, ALL
    contest = Contest(
        label=target.label,
        chosen=chosen,
        validation={
            name: float(np.mean([block.by(objective.choose_by, name) for block in blocks])) for name in allowed
        },
        test={name: rank(rows.test.outcome, its.raw(rows.test.rows)) for name, its in forecasts.items()},
        refused={**{name: reason for name, reason in why.items() if reason}, **told},
        rule=to_beat,
        rules={name: ranks[name] for name in rules},
        hyper={name: hyper for name, hyper in tuned.items() if name in fits},
        new_users=start if product.registration and chosen else None,
        season=found[made_by] if target.total and (made_by := chosen or rule) else None,
        **memory._asdict(),
    )
    model, allowed_rule, beaten = (forecasts.get(name) if name else None for name in (chosen or rule, rule, to_beat))
    return _Contested(contest, model, allowed_rule, beaten, forecasts)


def _rule_named(target: Target, name: str) -> Rule:
    return next(rule for rule in target.rules if rule.name == name)


def _is_rule_ahead(  # noqa: PLR0917 - what is compared
    objective: Objective,
    blocks: Sequence[Told],
    trials: Sequence[_OfTrial],
    chosen: str,
    rule: Rule,
    season: Season | None,
) -> bool:
    """
    Say whether a naive rule is ahead of the chosen candidate by more than a standard error, and ahead on the newest block too.

    Where it is not, the candidate stays: a rule ranks, and how much is to be expected of whom it cannot say. Blocks before the
    newest judge a candidate that had less to learn from, and a rule learns nothing: alone they turn no candidate away.
    """
    parts = [_by_rule(rule, objective, trial) for trial in trials]
    fits = [(some, season) for some in parts if some]
    if len(fits) < len(trials):
        return False
    newest, *_ = both = _beside(objective, blocks, trials, rule.name, fits)
    metric = objective.choose_by
    is_ahead = newest.by(metric, rule.name) > newest.by(metric, chosen)
    return is_ahead and choose(metric, both, [chosen, rule.name]) == rule.name


def _by_rule(rule: Rule, objective: Objective, trial: _OfTrial) -> tuple[Part, ...]:
    """Return the rule on the rows of a trial; no part where they do not vary in it, or it ranks the wrong way round."""
    part = fit_rule(rule, objective, trial.before)
    return (part,) if part else ()


def _beside(
    objective: Objective, blocks: Sequence[Told], trials: Sequence[_OfTrial], name: str, fits: Sequence[Fit]
) -> list[Told]:
    """Put what one more predicts, fitted anew for each block, beside what the others do."""
    return [
        replace(block, predictions={**block.predictions, **Told.of(objective, trial.after, {name: fit}).predictions})
        for block, trial, fit in zip(blocks, trials, fits, strict=True)
    ]


def _calibrated(  # noqa: PLR0917 - what a forecast is made of
    product: Product,
    target: Target,
    name: str,
    parts: tuple[Part, ...],
    validation: Examples,
    season: Season | None = None,
) -> Forecast:
    fitted = calibrate(OBJECTIVES[product.objective], raw_of(parts, validation.rows, season), validation)
    return Forecast(target.label, name, parts, fitted, season=season)


Fit: TypeAlias = "tuple[tuple[Part, ...], Season | None]"
"""What was fitted, and how its level follows the year."""


@dataclass(frozen=True)
class _OfTrial:
    """Encoders, and the rows that they were fitted on, before those of validation days."""

    encoders: Encoders
    before: Examples
    after: Examples
    tuned: Mapping[str, Hyper]

    fits: dict[tuple[str, Memory], tuple[Part, ...]] = field(default_factory=dict)
    """What was fitted already, by candidate and memory."""

    def learnt(self, product: Product, name: str, memory: Memory = ALL) -> tuple[Part, ...]:
        """Fit a candidate on what is kept of the training rows, all of them by default; once, however often it is asked."""
        if (name, memory) not in self.fits:
            self.fits[name, memory] = learnt(
                *(product, name, self.encoders, memory.kept(self.before), self.after, self.tuned.get(name, {}))
            )
        return self.fits[name, memory]

    def can_tell(self, objective: str, memory: Memory) -> bool:
        """Say whether what a memory forgets is a part of these rows, and what it keeps enough to learn from."""
        *longer, decides = [weeks for weeks in memory if weeks]
        there = latest(self.before, *longer) if longer else self.before
        is_much = weeks_of(there) > (decides if memory.half_life_weeks else 1.25 * decides)
        return is_much and are_enough(objective, latest(there, decides).outcome)

    def begun(self, product: Product, name: str, days: int | None, memory: Memory) -> tuple[Part, ...]:
        """Fit a candidate with a part of new users, which hands over within so many active days; without one at None."""
        return new_users.begun(
            product, self.encoders, self.learnt(product, name, memory), memory.kept(self.before), days
        )


def _memory(
    product: Product, trials: Sequence[_OfTrial], blocks: Sequence[Told], name: str, season: Season | None
) -> Memory:
    """
    Say how much of the past a candidate should learn from: the most that nothing less beats beyond chance.

    `blocks` hold what candidates that have learnt from all of it predict of each trial.
    """
    asked = _Asked(product, trials, blocks, name, season)
    found = ALL
    for weeks in HISTORIES:
        if asked.is_better(Memory(weeks), found):
            found = Memory(weeks)
    weighed = found
    for half_life in HALF_LIVES:
        faded = found._replace(half_life_weeks=half_life)
        if trials[0].can_tell(product.objective, faded) and not asked.beside(faded, weighed):
            break
        if asked.is_better(faded, weighed):
            weighed = faded
    return weighed


@dataclass(frozen=True)
class _Asked:
    """A candidate with more of the past and with less, beside each other on blocks of validation days, the newest first."""

    product: Product
    trials: Sequence[_OfTrial]
    blocks: Sequence[Told]
    name: str
    season: Season | None
    predictions: dict[tuple[int, Memory], np.ndarray] = field(default_factory=dict)
    """What was predicted already, by block and memory."""

    def is_better(self, less: Memory, more: Memory) -> bool:
        both = self.beside(less, more)
        return bool(both) and is_better(self._objective.choose_by, both, "less", "more")

    def beside(self, less: Memory, more: Memory) -> list[Told]:
        """Both on the blocks that can tell; none where the newest does not speak for less: older ones cost a fit each."""
        can_tell = (at for at, trial in enumerate(self.trials) if trial.can_tell(self.product.objective, less))
        both: list[Told] = []
        for at in can_tell:
            said = {"less": self._told(at, less), "more": self._told(at, more)}
            both.append(replace(self.blocks[at], predictions=said))
            if both[0].by(self._objective.choose_by, "less") <= both[0].by(self._objective.choose_by, "more"):
                return []
        return both

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[self.product.objective]

    def _told(self, at: int, memory: Memory) -> np.ndarray:
        if memory == ALL:
            return self.blocks[at].predictions[self.name]
        if (at, memory) not in self.predictions:
            after, parts = self.trials[at].after, self.trials[at].learnt(self.product, self.name, memory)
            self.predictions[at, memory] = calibrated_by_others(
                self._objective, raw_of(parts, after.rows, self.season), after
            )
        return self.predictions[at, memory]


def _start(  # noqa: PLR0917 - what a fit is made of
    product: Product,
    trials: Sequence[_OfTrial],
    blocks: Sequence[Told],
    name: str,
    memory: Memory,
    season: Season | None,
) -> tuple[Start, Sequence[Told]]:
    """
    Say whether a candidate should begin with registration data, and put what it then predicts in its place.

    Chosen among new users by the rule that chooses candidates, the soonest handover first and none before it. `blocks` hold what
    the candidate predicts of each trial.
    """
    objective = OBJECTIVES[product.objective]
    enough = [
        (trial, block)
        for trial, block in zip(trials, blocks, strict=True)
        if all(new_users.are_enough(product, some) for some in (memory.kept(trial.before), trial.after))
    ]
    if not product.registration or not enough:
        return Start(why_not="too few rows of users who were never active"), blocks
    told = [_by_handover(product, trial, block, name, memory, season) for trial, block in enough]
    among = [block.where(new_users.are_new(trial.after)) for (trial, _), block in zip(enough, told, strict=True)]
    names = [new_users.WITHOUT, *map(str, new_users.HANDOVERS)]
    validation = {
        one: {what: float(np.mean([block.by(figure, one) for block in among])) for what, figure in FIGURES.items()}
        for one in names
    }
    best = choose(FIGURES["nearness"], among, names)
    if best in {None, new_users.WITHOUT}:
        return Start(None, validation, "among new users none is nearer by more than a standard error"), blocks
    days = int(str(best))
    begun = [(trial.begun(product, name, days, memory), season) for trial in trials]
    return Start(days, validation), _beside(objective, blocks, trials, name, begun)


@dataclass(frozen=True)
class _Seasons:
    """Learns from all blocks of validation days whether the level of something should follow the year."""

    objective: Objective
    sample: Sample
    target: Target
    trials: Sequence[_OfTrial]
    lent: float | None

    def of_candidate(self, product: Product, name: str, days: int | None = None, memory: Memory = ALL) -> seasons.Found:
        """Say it of a candidate, fitted for each block as it is to predict."""
        return self._found([(trial.after, trial.begun(product, name, days, memory)) for trial in self._telling])

    def of_rule(self, rule: Rule) -> seasons.Found:
        """Say it of a naive rule, of the blocks before which it ranks at all."""
        return self._found([(trial.after, _by_rule(rule, self.objective, trial)) for trial in self._telling])

    @cached_property
    def _telling(self) -> list[_OfTrial]:
        """The trials with a block of which a year ago is known: of others nothing has to be fitted."""
        year = seasons.of_totals(self.sample, self.target, 1.0, multiplies=self.objective.adds_up)
        if year is None:
            return []
        return [
            trial
            for trial in self.trials
            if np.isfinite(year.log_of(trial.after.rows.rows["day"].to_numpy().astype("datetime64[D]"))).any()
        ]

    def _found(self, told: Sequence[tuple[Examples, tuple[Part, ...]]]) -> seasons.Found:
        """Learn from the blocks. Where the newest is not nearer with it, calibrated by others of its days, it is not taken."""
        blocks = [(raw_of(parts, after.rows), after) for after, parts in told if parts]
        found = seasons.learnt(self.objective, self.sample, self.target, blocks, self.lent)
        if found.season is None:
            return found
        raw, after = blocks[0]
        metric = self.objective.calibrate_by or self.objective.choose_by
        without, within = (
            metric(after.outcome, calibrated_by_others(self.objective, some, after))
            for some in (raw, found.season.put_on(raw, after.rows.rows))
        )
        return (
            found if within > without else replace(found, season=None, why_not="the newest days are no nearer with it")
        )


def _by_handover(  # noqa: PLR0917 - what a fit is made of
    product: Product, trial: _OfTrial, block: Told, name: str, memory: Memory, season: Season | None
) -> Told:
    """Put what a candidate predicts with each handover beside what it does without."""
    objective = OBJECTIVES[product.objective]
    fits = {str(days): (trial.begun(product, name, days, memory), season) for days in new_users.HANDOVERS}
    told = Told.of(objective, trial.after, fits)
    return replace(told, predictions={new_users.WITHOUT: block.predictions[name], **told.predictions})


@dataclass(frozen=True)
class Told:
    """What candidates predict of a block of validation days."""

    users: np.ndarray
    outcome: np.ndarray
    predictions: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, objective: Objective, after: Examples, fits: Mapping[str, Fit]) -> Told:
        told = {
            name: calibrated_by_others(objective, raw_of(parts, after.rows, season), after)
            for name, (parts, season) in fits.items()
        }
        return cls(after.rows.rows["user_id"].to_numpy(zero_copy_only=False), after.outcome, told)

    def where(self, rows: np.ndarray) -> Told:
        """Keep some of the rows."""
        predictions = {name: told[rows] for name, told in self.predictions.items()}
        return Told(self.users[rows], self.outcome[rows], predictions)

    def by(self, metric: Metric, name: str) -> float:
        return metric(self.outcome, self.predictions[name])

    def compared(self, this: str, other: str) -> evaluation.Compared:
        return evaluation.Compared(self.users, self.outcome, self.predictions[this], self.predictions[other])


def choose(metric: Metric, blocks: Sequence[Told], names: Sequence[str]) -> str | None:
    """
    Choose the first of some candidates, the simplest first, that the best is not ahead of by more than a standard error.

    Breiman, Friedman, Olshen and Stone 1984, Classification and Regression Trees, section 3.4.3: the one-standard-error rule.
    A test at 2.5 % instead keeps the simplest wherever days are few, however much better another did on them.
    """

    def mean(name: str) -> float:
        return float(np.mean([block.by(metric, name) for block in blocks]))

    def is_ahead(name: str) -> bool:
        compared = [block.compared(best, name) for block in blocks]
        return evaluation.paired(metric, compared, evaluation.ONE_ERROR).is_above_zero

    best = max(names, key=mean, default="")
    return next((name for name in names if name == best or not is_ahead(name)), None)


def is_better(metric: Metric, blocks: Sequence[Told], this: str, other: str) -> bool:
    """Say whether one is better than another beyond chance."""
    return evaluation.paired(metric, [block.compared(this, other) for block in blocks]).is_above_zero


def calibrate(objective: Objective, raw: np.ndarray, rows: Examples) -> Calibration:
    """
    Calibrate by some days in the way that helps most on others of them, the simplest where two are alike.

    Each way is fitted on one half of the days and judged on the other; the best is then fitted on all of them. A single day
    judges nothing: the objective's own is taken.
    """
    *simpler, full = ways = objective.ways_to_calibrate
    halves = _halves(rows)
    if not simpler or halves is None:
        return full(raw, rows.outcome)
    metric = objective.calibrate_by or objective.choose_by
    worth = [metric(rows.outcome, _crossed(way, raw, rows.outcome, halves)) for way in ways]
    return ways[int(np.argmax(worth))](raw, rows.outcome)


def calibrated_by_others(objective: Objective, raw: np.ndarray, rows: Examples) -> np.ndarray:
    """Predict each half of some days by a calibration of the other, so that no candidate is judged by what it was fitted on."""
    *_, full = objective.ways_to_calibrate
    halves = _halves(rows)
    if halves is not None:
        return _crossed(full, raw, rows.outcome, halves)
    fitted = full(raw, rows.outcome)
    return fitted.predict(fitted.scale(raw) * raw)


def _halves(rows: Examples) -> np.ndarray | None:
    """Say of each row whether its day is of the earlier half; None of a single day, or where a half has one kind of outcome."""
    days, codes = np.unique(rows.rows.rows["day"].to_numpy(), return_inverse=True)
    early = codes < len(days) // 2
    if len(days) == 1 or any(np.ptp(rows.outcome[half]) == 0 for half in (early, ~early)):
        return None
    return early


def _crossed(
    way: Callable[[np.ndarray, np.ndarray], Calibration], raw: np.ndarray, outcome: np.ndarray, early: np.ndarray
) -> np.ndarray:
    predicted = np.empty(len(raw))
    for half in (early, ~early):
        fitted = way(raw[~half], outcome[~half])
        predicted[half] = fitted.predict(fitted.scale(raw[half]) * raw[half])
    return predicted


def _why_refused(product: Product, forecast: Forecast, ranked: float) -> str | None:
    """Say why a candidate or a rule must not predict: it contradicts the validation days, or says nothing about them."""
    if why := calibration.why_refused(forecast.calibration):
        return why
    figures = OBJECTIVES[product.objective].figures
    if not ranked > figures.chance:
        return f"{figures.primary} {ranked:.3f} on validation days is no better than chance"
    return None


def _scorer(product: Product, forecasts: Sequence[Forecast | None]) -> Scorer | None:
    there = tuple(forecast for forecast in forecasts if forecast is not None)
    return Scorer(product.name, there) if len(there) == len(forecasts) else None


def earlier(product: Product, sample: Sample, split: Split, target: Target) -> Iterator[tuple[Examples, Examples]]:
    """Yield the rows of earlier days that candidates are chosen by; days with too few rows choose nothing."""
    for trial in split.earlier.get(target.label, ()):
        before, after = before_and_after(sample, target, {target.label: trial.train}, {target.label: trial.validation})
        if all(are_enough(product.objective, some.outcome) for some in (before, after)):
            yield before, after


def are_enough(objective: str, outcome: np.ndarray) -> bool:
    """Whether outcomes are enough to choose, calibrate or judge by."""
    return len(outcome) >= MIN_ROWS and OBJECTIVES[objective].rarer(outcome) >= MIN_OF_A_KIND


def before_and_after(
    sample: Sample, target: Target, before: Mapping[str, Days], after: Mapping[str, Days]
) -> tuple[Examples, Examples]:
    """
    Return the rows to learn a target from, and later ones to choose, calibrate and compare by; days by label.

    Messages that were sent are learnt from; the later rows are of who was sent none.
    """
    rows = sample.to_learn(before[target.label], target)
    compared_by = examples_of(sample.unmessaged(after[target.label], target), target)
    return examples_of(rows, target, sample.weight(rows)), compared_by


def examples_of(rows: pa.Table, target: Target, weight: np.ndarray | None = None) -> Examples:
    """Put what came true of a target beside rows, and how much each counts."""
    return Examples(Encoded(rows), _outcomes(rows, target), weight)


def _outcomes(rows: pa.Table, target: Target) -> np.ndarray:
    return rows[target.label].to_numpy().astype(np.float64)


def _refused(code: str, what: str) -> CheckFailedError:
    return CheckFailedError(
        what,
        todo="Train on a longer or larger history, or look at what the features hold.",
        safe="The champion stays as it was.",
        code=code,
    )
