"""
A new calibration for a model that stays as it is, by the labels that have become known since it was trained.

For each target the calibration is fitted to some of the days that the champion has never learnt from, and judged, beside the
champion's, on later ones that neither was fitted on. Between them lies the whole reach of a label, as between all parts of a
sample. What is let in is then fitted to as many of the latest days, the judged ones among them. So a champion is calibrated anew
three weeks after it was trained or calibrated at the soonest, where a label is known after ten days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model import calibration
from ml.objectives import OBJECTIVES
from ml.training import evaluation, fitting, outlooks
from ml.training.card import Tested
from ml.training.evaluation import Judged
from ml.training.gate import Pair, recalibrated, served
from ml.training.gate.verdict import Verdict
from rekindle.days import Days

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.learners import Examples
    from ml.model.scorer import Forecast, Scorer
    from ml.products import Product, Target
    from ml.training.evaluation import Evaluation
    from ml.training.gate import Criteria
    from ml.training.gate.verdict import Criterion
    from ml.training.samples import Sample

WEEKS = 4
"""At most so many weekly days are calibrated by, and judged on: older ones tell of a level that the business has left."""

NEWEST = 2
"""On so many of the newest days the champion's level is looked at: a single week may be that of a holiday."""


@dataclass(frozen=True)
class RipeDays:
    """The days of a target whose label has become known since a champion was trained, or calibrated anew."""

    new: tuple[date, ...]
    """All of them, in order: it was fitted to none."""
    fitted: tuple[date, ...] = ()
    """Which a new calibration is fitted to, to be judged; none where too few weeks have passed."""
    judged: tuple[date, ...] = ()
    served: tuple[date, ...] = ()
    """Which it is fitted to, to score: as many, and the newest."""


def ripe_days(known: Sequence[date], reach: timedelta, trained_day: date) -> RipeDays:
    """
    Choose from the days with a known label, in order, those to calibrate by and those to judge on: about as many of both.

    All are days whose label was not known yet at the end of `trained_day`. Of two splits that are as even the later is taken: it
    judges a calibration that is as fresh as the one that will score.
    """
    new = [day for day in known if day + reach > trained_day]
    choices = [
        (abs(len(fitted) - len(judged)), -at, fitted, judged)
        for at, first in enumerate(new)
        if (fitted := [day for day in new if day + reach <= first][-WEEKS:])
        for judged in [new[at:][-WEEKS:]]
    ]
    if not choices:
        return RipeDays(tuple(new))
    _, _, fitted, judged = min(choices)
    return RipeDays(tuple(new), tuple(fitted), tuple(judged), tuple(new[-len(fitted) :]))


@dataclass(frozen=True)
class Attempt:
    """What became of the calibration of one target."""

    label: str
    days: RipeDays
    level: Criterion | None
    """Whether the champion's level holds on the newest days; None where they have too few rows to tell."""
    forecast: Forecast | None = None
    """The champion's, calibrated anew, as it would score; None where it stays as it is."""
    judged: Forecast | None = None
    """The same, calibrated by earlier days, as the verdict is about it."""
    verdict: Verdict | None = None
    figures: Evaluation | None = None
    champion: Evaluation | None = None
    """Its figures on the same rows."""
    tested: Tested | None = None
    """The rows that `judged` was judged on."""
    why_not: str = ""

    @property
    def is_let_in(self) -> bool:
        return self.verdict is not None and self.verdict.passed

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level and self.level.to_json(),
            "days": {name: [day.isoformat() for day in days] for name, days in vars(self.days).items()},
            "gate": self.verdict and ("passed" if self.verdict.passed else "failed"),
            "why": self.verdict.why if self.verdict else self.why_not,
            "criteria": [one.to_json() for one in self.verdict.criteria] if self.verdict else [],
        }


@dataclass(frozen=True)
class Recalibrated:
    """What became of a model: the targets of which another calibration was let in, and the model with these."""

    attempts: tuple[Attempt, ...]
    scorer: Scorer
    judged: Scorer
    intervals: tuple[str, ...] = ()
    """The horizons of which intervals were learnt again; the others keep theirs."""

    @property
    def let_in(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.attempts if attempt.is_let_in)

    @property
    def is_off(self) -> bool:
        """Whether the champion's level does not hold any more."""
        return any(attempt.level and not attempt.level.passed for attempt in self.attempts)

    @property
    def verdict(self) -> Verdict:
        """What the gate said of what it has let in; where that is nothing, of what it was asked about."""
        asked = self.let_in or tuple(attempt for attempt in self.attempts if attempt.verdict)
        criteria = [one for attempt in asked if attempt.verdict for one in attempt.verdict.criteria]
        if not criteria:
            return Verdict(passed=False, why=self.why_not, route="recalibration")
        return Verdict.of(criteria, "recalibration")

    @property
    def why_not(self) -> str:
        """Say why nothing was judged, by target."""
        return "; ".join(f"{attempt.label}: {attempt.why_not}" for attempt in self.attempts if attempt.why_not)


def recalibrate(
    product: Product, sample: Sample, scorer: Scorer, trained_day: date, *, lateness_days: int, criteria: Criteria
) -> Recalibrated:
    """
    Look at the level of a champion, and try another calibration of each of its targets.

    What was known at the end of `trained_day` it may have learnt from, its calibration too.
    """
    attempts = []
    for target, forecast in zip(sample.targets, scorer.forecasts, strict=True):
        reach = timedelta(days=target.to_day + lateness_days)
        days = ripe_days(sample.days_known(target), reach, trained_day)
        attempts.append(_attempt(product, sample, target, forecast, days=days, criteria=criteria))
    parts = [(attempt, forecast) for attempt, forecast in zip(attempts, scorer.forecasts, strict=True)]
    new, judged = (
        tuple((getattr(attempt, name) or old) if attempt.is_let_in else old for attempt, old in parts)
        for name in ("forecast", "judged")
    )
    scoring, intervals = outlooks.again(sample, replace(scorer, forecasts=new), interval_days(attempts))
    return Recalibrated(tuple(attempts), scoring, replace(scorer, forecasts=judged), intervals)


def interval_days(attempts: Sequence[Attempt]) -> dict[str, Days]:
    """
    Say on which days the intervals of what was calibrated anew may be learnt again, by label.

    On those that have become known since, but for those that a calibration that adds to the horizon was fitted to. A horizon to
    which none adds that was let in keeps its intervals.
    """
    found, fitted = {}, set[date]()
    for attempt in attempts:
        fitted |= set(attempt.days.served) if attempt.is_let_in else set()
        days = tuple(day for day in attempt.days.new if day not in fitted)
        if fitted and days:
            found[attempt.label] = Days(days)
    return found


def _attempt(
    product: Product, sample: Sample, target: Target, forecast: Forecast, *, days: RipeDays, criteria: Criteria
) -> Attempt:
    if not days.new:
        return Attempt(target.label, days, None, why_not="no label has become known since the champion was trained")
    sample = _settled(product, sample, target, days)
    newest = Days(days.new[-NEWEST:])
    level = None
    if _are_enough(product, seen := _examples(sample, target, newest)):
        told = evaluation.evaluate(product.objective, _judged(forecast, forecast, seen, seen.outcome))
        level = recalibrated.holds(told, f"{target.label} of {newest}{sample.about_messages}", criteria)
    found = Attempt(target.label, days, level)
    if not days.fitted:
        return replace(found, why_not="too few weeks have passed to fit a calibration and judge it")
    return _tried(product, sample, target, forecast, found=found, criteria=criteria)


def _tried(
    product: Product, sample: Sample, target: Target, old: Forecast, *, found: Attempt, criteria: Criteria
) -> Attempt:
    """Fit another calibration to earlier days, let the gate judge it on later ones, and fit it again to the latest."""
    objective = OBJECTIVES[product.objective]
    before, after, latest = (
        _examples(sample, target, Days(days)) for days in (found.days.fitted, found.days.judged, found.days.served)
    )
    if not all(_are_enough(product, rows) for rows in (before, after)):
        return replace(found, why_not="the days whose labels have become known since have too few rows")
    judged, new = (_calibrated(old, rows) for rows in (before, latest))
    if why := calibration.why_refused(judged.calibration) or calibration.why_refused(new.calibration):
        return replace(found, why_not=f"another calibration contradicts the model: {why}")
    challenger, champion, scoring = (_judged(one, old, after, before.outcome) for one in (judged, old, new))
    figures, before_it = (evaluation.evaluate(product.objective, one) for one in (challenger, champion))
    verdict = recalibrated.judge_recalibration(objective.figures, figures, Pair(challenger, champion), criteria)
    verdict = verdict.unless(*served.like_judged(scoring, challenger, criteria))
    told = recalibrated.about(verdict, f"{target.label}{sample.about_messages}")
    tested = Tested(Days(found.days.judged), after.rows.rows, challenger)
    return replace(found, forecast=new, judged=judged, verdict=told, figures=figures, champion=before_it, tested=tested)


def _calibrated(forecast: Forecast, rows: Examples) -> Forecast:
    """
    Fit anew what a few weeks tell: all of a chance's calibration, of an amount's the level.

    To choose a way by halves of these days, as `fitting.calibrate` does, would say of a level that falls that none holds.
    """
    fitted = forecast.calibration.again(forecast.uncalibrated(rows.rows), rows.outcome)
    return replace(forecast, calibration=fitted)


def _judged(forecast: Forecast, champion: Forecast, rows: Examples, before: np.ndarray) -> Judged:
    """Put what a forecast says beside what came true; its raw score is that before any calibration."""
    users = rows.rows.rows["user_id"].to_numpy(zero_copy_only=False)
    raw, naive = forecast.uncalibrated(rows.rows), champion.predict(rows.rows)
    return Judged(users, rows.outcome, raw, forecast.predict(rows.rows), naive, float(np.mean(before)))


def _settled(product: Product, sample: Sample, target: Target, days: RipeDays) -> Sample:
    """Calibrate by users who were sent no message; by all where those are too few on some of the days, and say so."""
    if sample.messaged is None:
        return sample
    parts = (days.fitted, days.judged) if days.fitted else (days.new[-NEWEST:],)
    if all(_are_enough(product, _examples(sample, target, Days(some))) for some in parts):
        return replace(sample, about_messages=", of users who were sent no message")
    return sample.as_days_were(", of users who were sent messages, too: those who were not are too few")


def _examples(sample: Sample, target: Target, days: Days) -> Examples:
    return fitting.examples_of(sample.unmessaged(days, target), target)


def _are_enough(product: Product, rows: Examples) -> bool:
    return fitting.are_enough(product.objective, rows.outcome)


def figures_of(attempts: Sequence[Attempt]) -> dict[str, Mapping[str, Any]]:
    """Lay out the figures of what was let in, by horizon; no naive rule was fitted, and the champion stands beside them."""
    return {
        _horizon(attempt.label): {
            **attempt.figures.to_json(),
            "naive": {},
            "difference": {},
            "is_rule": False,
            "to_beat": [],
            "verdict": "better calibrated",
        }
        for attempt in attempts
        if attempt.figures
    }


def beside(attempts: Sequence[Attempt], champion: str, trained_day: date) -> dict[str, Any]:
    """Lay out the last target that was let in beside the champion, on the same rows, for the version's page."""
    last = attempts[-1]
    if last.figures is None or last.champion is None:
        return {"why_not": "nothing was judged"}
    told = {"this": last.figures.model, "champion": last.champion.model}
    return {
        "version": champion,
        "trained_day": trained_day.isoformat(),
        "about": f"The same raw scores as version {champion}'s, calibrated by labels that have become known since; both judged "
        f"on days that neither calibration was fitted to ({last.label}).",
        "difference": {},
        **{name: {key: vars(figure) for key, figure in some.items()} for name, some in told.items()},
    }


def _horizon(label: str) -> str:
    """`active_1_7` is about days 1 to 7."""
    return "_".join(label.rsplit("_", 2)[-2:])
