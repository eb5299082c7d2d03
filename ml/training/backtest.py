"""
Backtest: every candidate and naive rule on rolling, dated blocks of test days, each fitted on what was known before.

Between the days that are learnt from and those that are chosen by, and between these and the test days, lies the whole reach of
a label: its horizon and the lateness allowance. All contenders are judged on the same rows, and so is the model, which is in each
block the candidate that the block's validation days choose. Intervals draw users with all their rows of all blocks, the same draw
for all contenders, so that what two of them share cancels out.

Judged is the first horizon of a product: the shortest leaves most blocks. Nothing is written or registered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.model.encoder import Encoded
from ml.objectives import OBJECTIVES, pictures
from ml.objectives.declaration import Thorough
from ml.training import evaluation, fitting, samples, segments
from ml.training.evaluation import Judged
from ml.training.tuned import DECLARED
from rekindle.errors import CheckFailedError
from rekindle.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from ml.objectives import Figures, Objective
    from ml.products import Product
    from ml.training.evaluation import Figure
    from ml.training.fitting import Fitted
    from ml.training.samples import Sample, Split
    from ml.training.tuned import Tuned
    from rekindle.progress import Progress
    from rekindle.settings import Settings

BLOCKS = 5
"""Blocks of test days: fewer say nothing about luck, more have a day each in a year of history."""

TEXTED = 0.1
"""The share that is texted, where nobody names another."""

MIN_ROWS, MIN_POSITIVES = 200, 30
"""Of a segment. With fewer rows, or rows with anything to find, its figures tell of chance."""

MODEL, TO_BEAT = "model", "to_beat"
"""What the validation days of each block choose: a candidate, and a naive rule."""


@dataclass(frozen=True)
class Block:
    """Test days, what was fitted before them, and what each contender said of their rows."""

    split: Split
    fitted: Fitted
    rows: pa.Table
    judged: Mapping[str, Judged]
    """By contender; `naive` is the rule to beat."""

    @property
    def chosen(self) -> str:
        """What validation days choose; where they refuse each candidate, the best naive rule."""
        return self.fitted.scorer.forecasts[0].candidate

    @property
    def rule(self) -> str:
        return self.fitted.contests[0].rule or "chance"


@dataclass(frozen=True)
class Measured:
    """Figures by contender and figure: an array with a row for the rows as they are and for each draw, a column a block."""

    compared: tuple[str, ...]
    by_contender: Mapping[str, Mapping[str, np.ndarray]]

    def of(self, contender: str, block: int | None = None) -> dict[str, Figure]:
        """Return the figures of a block, or their means over all; none of a contender that was not in all of them."""
        return _figures(self.by_contender[contender], block)

    def difference(self, block: int | None = None) -> dict[str, Figure]:
        """Return model minus rule to beat."""
        model, rule = self.by_contender[MODEL], self.by_contender[TO_BEAT]
        return _figures({name: model[name] - rule[name] for name in self.compared}, block)


@dataclass(frozen=True)
class Backtested:
    """What came of a backtest."""

    product: Product
    day: date
    horizon_days: int
    share: float
    blocks: tuple[Block, ...]
    refused: Mapping[str, str]
    """Why a block was not judged, by its days."""
    measured: Measured

    def to_json(self) -> dict[str, Any]:
        """For `--json`, and for the page."""
        primary, difference = self._objective.figures.primary, self.measured.difference()
        better = [self.measured.difference(n)[primary].value > 0 for n in range(len(self.blocks))]
        return {
            "product": self.product.name,
            "title": self.product.title,
            "objective": self.product.objective,
            "day": self.day.isoformat(),
            "horizon_days": self.horizon_days,
            "figure": primary,
            "share_texted": self.share,
            "candidates": list(self.product.candidates),
            "blocks": [self._block(n, block) for n, block in enumerate(self.blocks)],
            "refused_blocks": dict(self.refused),
            "blocks_better": sum(better),
            "mean": {name: _plain(self.measured.of(name)) for name in self.measured.by_contender},
            "mean_noise": _means([self._noise(block.judged[MODEL]) for block in self.blocks]),
            "mean_differences": _plain(difference),
            "mean_difference": vars(difference[primary]),
            "verdict": "better than the naive rule" if difference[primary].value > 0 else "loses to the naive rule",
            "segments": list(_by_segment(self._objective.figures, self.blocks)),
            "segment_needs": {"rows": MIN_ROWS, "positives": MIN_POSITIVES},
        }

    def drawn(self) -> dict[str, str]:
        """Draw the pictures of the objective over the rows of all blocks, by file name."""
        return pictures.drawn(self._objective, pooled(self.blocks))

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[self.product.objective]

    def _block(self, n: int, block: Block) -> dict[str, Any]:
        judged, (contest,) = block.judged[MODEL], block.fitted.contests
        return {
            "days": block.split.to_json(),
            "rows": len(judged.outcome),
            "users": len(np.unique(judged.users)),
            "rate": float(judged.outcome.mean()),
            "zero_share": float((judged.outcome <= 0).mean()),
            "model": block.chosen,
            "to_beat": block.rule,
            "validation": dict(contest.validation),
            "refused": dict(contest.refused),
            "contenders": {name: _plain(self.measured.of(name, n)) for name in block.judged},
            "difference": _plain(self.measured.difference(n)),
            "noise": {name: self._noise(judged) for name, judged in block.judged.items()},
        }

    def _noise(self, judged: Judged) -> dict[str, float]:
        noise = thorough(self._objective).noise
        return {name: floor(judged.outcome, judged.prediction) for name, floor in noise.items()}


def backtest(
    product: Product,
    sample: Sample,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    share: float = TEXTED,
    rounds: int | None = None,
    tuned: Tuned = DECLARED,
    progress: Progress = SILENT,
) -> Backtested:
    """
    Fit and judge on rolling blocks of all the history that the sample knows; `rounds` draws of users make the intervals.

    Blocks that the search for `tuned` has looked at are fitted as learners declare.

    A block in which there is too little to learn from is left out by name. Raises CheckFailedError `not_enough_history` where
    there is no block, and what refused the last one where all were refused.
    """
    sample, rounds = of_first_target(sample), rounds or evaluation.RESAMPLES
    blocks, refused, why = [], {}, None
    days = samples.blocks(sample, settings, BLOCKS, first=first, last=last)
    with progress.step("blocks of days", total=len(days)) as step:
        for some in days:
            try:
                blocks.append(_block(product, sample, samples.split_before(sample, some, settings), tuned))
            except CheckFailedError as error:
                refused[f"{some[0]} to {some[-1]}"], why = error.what, error
            step.advance()
    if why and not blocks:
        raise why
    with progress.step("figures and their intervals", total=rounds + 1) as step:
        measured = measure(thorough(OBJECTIVES[product.objective]), blocks, share, rounds, step.advance)
    return Backtested(product, sample.day, sample.targets[0].to_day, share, tuple(blocks), refused, measured)


def of_first_target(sample: Sample) -> Sample:
    """Leave the labels of later horizons out: days on which only the first is known can be judged, too."""
    first, *others = sample.targets
    return replace(sample.without([target.label for target in others]), targets=(first,))


def thorough(objective: Objective) -> Thorough:
    """Return the figures of a backtest; of an objective that declares none, those of the gate."""
    figures = objective.figures

    def of(outcome: np.ndarray, raw: np.ndarray, prediction: np.ndarray, _share: float) -> dict[str, float]:
        ranking = {name: metric(outcome, raw) for name, metric in figures.ranking.items()}
        return ranking | {name: metric(outcome, prediction) for name, metric in figures.level.items()}

    return objective.thorough or Thorough(of, tuple(figures.ranking), figures.noise)


def measure(
    figures: Thorough, blocks: Sequence[Block], share: float, rounds: int, advance: Callable[[], None] = lambda: None
) -> Measured:
    """Compute the figures of each contender in each block, over the rows as they are and over draws of users."""
    users = np.concatenate([block.judged[MODEL].users for block in blocks])
    edges = np.cumsum([0, *(len(block.rows) for block in blocks)])
    found: list[list[dict[str, dict[str, float]]]] = []
    # A draw of users may have nobody who returned: its figures are then none, and no part of an interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in (np.arange(len(users)), *evaluation.draws(users, rounds)):
            drawn = [rows[(rows >= a) & (rows < b)] - a for a, b in pairwise(edges)]
            found.append([_values(figures, block, some, share) for block, some in zip(blocks, drawn, strict=True)])
            advance()

    def of(name: str, metric: str) -> np.ndarray:
        return np.array([[by_name.get(name, {}).get(metric, np.nan) for by_name in of_draw] for of_draw in found])

    names = dict.fromkeys(name for block in blocks for name in block.judged)
    return Measured(
        figures.compared, {name: {metric: of(name, metric) for metric in found[0][0][MODEL]} for name in names}
    )


def pooled(blocks: Sequence[Block]) -> Judged:
    """
    Put the blocks' rows together, with the predictions of the model and of the rule to beat in the places of raw scores.

    Raw scores of two fits have no common scale; predictions have.
    """

    def all_of(name: str, part: str) -> np.ndarray:
        return np.concatenate([getattr(block.judged[name], part) for block in blocks])

    prediction, users = all_of(MODEL, "prediction"), all_of(MODEL, "users")
    base = float(np.mean([block.judged[MODEL].base for block in blocks]))
    return Judged(users, all_of(MODEL, "outcome"), prediction, prediction, all_of(TO_BEAT, "prediction"), base)


def _block(product: Product, sample: Sample, split: Split, tuned: Tuned) -> Block:
    """Fit what is known before the test days, and let each contender say its prediction of them."""
    sample = fitting.settled(product, sample, split)
    fitted = fitting.fit(product, sample, split, tuned)
    rows = sample.judged(split.test)
    encoded, longest, (contenders,) = Encoded(rows), fitted.longest, fitted.contenders
    by_name = {}
    for name, forecast in contenders.items():
        raw = forecast.raw(encoded)
        by_name[name] = replace(longest, raw=raw, prediction=forecast.calibration.predict(raw))
    model, rule = by_name[fitted.scorer.forecasts[0].candidate], fitted.contests[0].rule
    chance = replace(longest, raw=np.zeros(len(longest.raw)), prediction=np.full(len(longest.raw), longest.base))
    return Block(split, fitted, rows, {**by_name, MODEL: model, TO_BEAT: by_name[rule] if rule else chance})


def _values(figures: Thorough, block: Block, rows: np.ndarray, share: float) -> dict[str, dict[str, float]]:
    """Return the figures of each contender on some rows of a block; the model is one of them, and computed once."""
    found: dict[int, dict[str, float]] = {}
    for judged in block.judged.values():
        if id(judged) not in found and len(rows):
            some = judged.take(rows)
            found[id(judged)] = figures.of(some.outcome, some.raw, some.prediction, share)
    return {name: found.get(id(judged), {}) for name, judged in block.judged.items()}


def _by_segment(figures: Figures, blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
    """Yield the figures that the gate reads by segment, over the rows of all blocks; of few users none is named."""
    judged = pooled(blocks)
    for one, cut, names in segments.dimensions_of(pa.concat_tables([block.rows for block in blocks])):
        for name in names:
            some = judged.take(np.flatnonzero(cut == name))
            if segments.count_users(some.users) >= segments.LEAST_USERS:
                yield {"dimension": one.name, "says": one.says, "segment": name, **_of_segment(figures, some)}


def _of_segment(figures: Figures, judged: Judged) -> dict[str, Any]:
    positives = int((judged.outcome > 0).sum())
    counts = {"rows": len(judged.outcome), "users": segments.count_users(judged.users), "positives": positives}
    if len(judged.outcome) < MIN_ROWS or positives < MIN_POSITIVES:
        return {**counts, "insufficient_data": True}
    found = evaluation.evaluate_by(figures, judged)
    tables = {name: _plain(getattr(found, name)) for name in ("model", "naive", "difference")}
    return {**counts, "insufficient_data": False, "rate": found.rate, **tables, "noise": dict(found.noise)}


def _figures(by_metric: Mapping[str, np.ndarray], block: int | None) -> dict[str, Figure]:
    over = {name: values.mean(axis=1) if block is None else values[:, block] for name, values in by_metric.items()}
    return {name: evaluation.figure(float(v[0]), v[1:]) for name, v in over.items() if np.isfinite(v[0])}


def _means(noise: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in noise])) for name in noise[0]}


def _plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, float]]:
    return {name: vars(figure) for name, figure in figures.items()}
