"""
A search for hyper-parameters: trials on blocks of earlier days, and a later block that says whether what they found holds.

The best of many trials looks better than it is on the rows that it was the best on. So trials are compared on the blocks before
the validation days, and these, which no trial has seen, compare the best with what its learner declares: it is kept where it is
better beyond chance, as a shorter history is. One standard error, which chooses among candidates, let in what lost on later
days. The test days are not looked at: they judge the model that comes of it.

Trials are proposed by the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl 2011, Algorithms for
hyper-parameter optimization) of Optuna, seeded and one after the other: the same sample gives the same settings.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.learners import LEARNERS
from ml.objectives import OBJECTIVES
from ml.training import evaluation, fitting
from ml.training.fitting import Told
from ml.training.tuned import Found
from rekindle.errors import CheckFailedError, InputError
from rekindle.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from optuna import Trial

    from ml.model.encoder import Encoders
    from ml.model.learners import Examples, Range
    from ml.model.learners.declaration import Hyper
    from ml.products import Product
    from ml.training.evaluation import Figure
    from ml.training.samples import Sample, Split
    from rekindle.progress import Progress

TRIALS = 20
"""Each costs a fit on each block; the first is what the learner declares."""

SEED = 0

DIGITS = 3
"""Of a hyper-parameter: what is stored is what was tried, and nobody can tell more of them apart."""


@dataclass(frozen=True)
class Tried:
    """A trial: hyper-parameters by name, and what candidates are chosen by, the mean over blocks."""

    hyper: Hyper
    value: float


@dataclass(frozen=True)
class Searched:
    """What came of a search."""

    product: str
    day: date
    unseen_from: date
    """The first test day: nothing from it on was looked at."""
    learner: str
    """Whose hyper-parameters were searched: of those that declare some, what is best as it declares."""
    learners: Mapping[str, float]
    """How each of those did as it declares."""
    tried: tuple[Tried, ...]
    """The first is what the learner declares."""
    ahead: Figure | None
    """How far the best is ahead on the validation days, with a 95 % interval; None where it is the first."""

    @property
    def best(self) -> Tried:
        return max(self.tried, key=lambda one: one.value)

    @property
    def is_kept(self) -> bool:
        return self.ahead is not None and self.ahead.is_above_zero

    @property
    def hyper(self) -> Hyper:
        """What the learner is to be fitted with that is not as it declares; empty where the best is not kept."""
        return self.best.hyper if self.is_kept else {}

    @property
    def found(self) -> Found:
        """What is written to a file."""
        learners = {self.learner: dict(self.hyper)} if self.hyper else {}
        return Found(day=self.day, unseen_from=self.unseen_from, trials=len(self.tried), learners=learners)

    def to_json(self) -> dict[str, Any]:
        return {
            "product": self.product,
            "day": self.day.isoformat(),
            "unseen_from": self.unseen_from.isoformat(),
            "learner": self.learner,
            "learners": dict(self.learners),
            "trials": [{"value": one.value, "hyper": dict(one.hyper)} for one in self.tried],
            "ahead": self.ahead and vars(self.ahead),
            "kept": dict(self.hyper),
        }


@dataclass(frozen=True)
class _Block:
    """Rows to fit on and later ones to compare by, and an encoder of the first."""

    encoders: Encoders
    before: Examples
    after: Examples

    def told(self, product: Product, learner: str, **by_name: Hyper) -> Told:
        """Let a learner tell the later rows with hyper-parameters that have a name."""
        fits: dict[str, fitting.Fit] = {
            name: (fitting.learnt(product, learner, self.encoders, self.before, self.after, hyper), None)
            for name, hyper in by_name.items()
        }
        return Told.of(OBJECTIVES[product.objective], self.after, fits)


def search(
    product: Product, sample: Sample, split: Split, trials: int = TRIALS, progress: Progress = SILENT
) -> Searched:
    """
    Search hyper-parameters of a product's learner on the days before the test days of a split.

    Raises CheckFailedError `not_enough_history` where there is no block before the validation days, and InputError
    `nothing_to_search` where no candidate declares hyper-parameters.
    """
    names = [name for name in product.candidates if LEARNERS[name].hyper]
    if not names:
        raise InputError(
            f"No candidate of {product.name} declares hyper-parameters.",
            todo="Train it as it is; ml/model/learners/boosting.py shows how a learner declares some.",
            safe="Nothing was written.",
            code="nothing_to_search",
        )
    sample = fitting.settled(product, sample, split)
    blocks = [
        _Block(fitting.encoders_on(sample, [before.rows.rows]), before, after)
        for target in sample.targets
        for before, after in fitting.earlier(product, sample, split, target)
    ]
    if not blocks:
        raise CheckFailedError(
            f"There are too few days, or rows, before the validation days of {product.name} to compare trials on.",
            todo="Train it with what its learners declare, and search once the history is longer.",
            safe="Nothing was written; the champion stays as it was.",
            code="not_enough_history",
        )
    with progress.step("trials", total=trials) as step:
        learners = {name: _mean(product, name, blocks, {}) for name in names}
        learner = max(names, key=learners.__getitem__)
        tried = _tried(
            LEARNERS[learner].hyper,
            lambda hyper: _mean(product, learner, blocks, hyper) if hyper else learners[learner],
            trials,
            step.advance,
        )
    found = Searched(product.name, sample.day, split.test.first, learner, learners, tried, None)
    if not found.best.hyper:
        return found
    with progress.step("comparing the best on later days"):
        return replace(found, ahead=_ahead(product, learner, _newest(sample, split), found.best.hyper))


def _newest(sample: Sample, split: Split) -> list[_Block]:
    """Return the training and validation rows, by target."""
    encoders = fitting.encoders_of(sample, split)
    return [
        _Block(encoders, *fitting.before_and_after(sample, target, split.train, split.validation))
        for target in sample.targets
    ]


def _mean(product: Product, learner: str, blocks: Sequence[_Block], hyper: Hyper) -> float:
    metric = OBJECTIVES[product.objective].choose_by
    return float(np.mean([block.told(product, learner, one=hyper).by(metric, "one") for block in blocks]))


def _ahead(product: Product, learner: str, blocks: Sequence[_Block], hyper: Hyper) -> Figure:
    """Compare hyper-parameters with what a learner declares, on the same rows."""
    told = [block.told(product, learner, found=hyper, declared={}) for block in blocks]
    metric = OBJECTIVES[product.objective].choose_by
    return evaluation.paired(metric, [one.compared("found", "declared") for one in told])


def _tried(
    ranges: Mapping[str, Range], value: Callable[[Hyper], float], trials: int, advance: Callable[[], None]
) -> tuple[Tried, ...]:
    """Try so many hyper-parameters within their ranges, the declared ones first."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial({name: its.default for name, its in ranges.items()})
    found = []
    for _ in range(trials):
        trial = study.ask()
        hyper = _other(ranges, {name: _proposed(trial, name, its) for name, its in ranges.items()})
        found.append(Tried(hyper, value(hyper)))
        study.tell(trial, found[-1].value)
        advance()
    return tuple(found)


def _proposed(trial: Trial, name: str, its: Range) -> float:
    if its.is_whole:
        return trial.suggest_int(name, int(its.low), int(its.high), log=its.is_log)
    proposed = trial.suggest_float(name, its.low, its.high, log=its.is_log)
    return min(max(float(f"{proposed:.{DIGITS}g}"), its.low), its.high)


def _other(ranges: Mapping[str, Range], values: Hyper) -> Hyper:
    """Leave out what is as declared."""
    return {name: value for name, value in values.items() if value != ranges[name].default}
