"""
vip_30: of those who will buy for the first time, so many are among the best 40 %, of simulated new users and of real customers.

The seed's figure is .67. The truth of a simulated business knows how readily each user buys, and whether they are about to stay
away, of which nothing that is delivered tells before the first purchase: no model comes near it. So the model is judged by what
can be known, which is estimated by a model that has learnt the true probabilities themselves. Caravan (CoIL 2000) has no time:
who holds a caravan policy is told in folds from what else customers hold, and from what was bought of their areas.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.scorer import raw_of
from ml.objectives import OBJECTIVES
from ml.objectives.figures import capture
from ml.training import evaluation, fitting, samples
from quality.figures import Figure
from quality.newcomers import PRODUCT, newcomers
from rekindle.days import Days
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quality.newcomers import Floats, Newcomers

SEED, OF_TRUTH = 0.67, 0.95
"""The seed's figure, and the share of what can be known that a model has to reach."""

USERS = 24_000
DAYS = Days.between(date(2024, 1, 1), date(2025, 2, 28))
TREES = 100

FILE, OUTCOME, FOLDS = "growth/Caravan.csv", "Purchase", 10
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "what customers hold": ("P", "A"),
    "what was bought of their areas": ("M",),
    "both": ("P", "A", "M"),
}
"""Beginnings of the names of columns."""


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Train as `rekindle train` does, on simulated new users; then let the same learners compete on real customers."""
    yield from of_newcomers(newcomers(max(round(USERS * size), 1_000), DAYS))
    path = settings().data and settings().data / FILE
    if not path or not path.is_file():
        yield Figure(f"{FILE} is not here (REKINDLE_DATA): not measured", float("nan"))
        return
    table = csv.read_csv(path)
    # One day for all, which a calibration asks for and no encoder reads.
    table = table.append_column("day", pa.repeat(DAYS.last, table.num_rows))
    for told, begins in COLUMNS.items():
        names = [name for name in table.column_names if name.startswith(begins) and name != OUTCOME]
        rows, outcome = table.select([*names, "day"]), (table[OUTCOME].to_numpy() == "Yes").astype(float)
        about = f"Caravan by {told} ({len(names)} columns): buyers among the best 40 %"
        name, value, _ = _captured(about, np.arange(len(outcome)), outcome, out_of_fold(rows, outcome))
        yield Figure(name, value)


def of_newcomers(found: Newcomers) -> Iterator[Figure]:
    """Fit, choose and judge in order of time, and hold what is captured against the truth and what can be known of it."""
    split = samples.split(found.sample, settings())
    fitted = fitting.fit(PRODUCT, found.sample, split)
    ((judged, evaluated),) = zip(fitted.judged.values(), fitted.evaluations.values(), strict=True)
    (contest,) = fitted.contests
    is_test = np.isin(found.sample.rows["day"].to_numpy(), np.array(list(split.test), "datetime64[D]"))
    known, truth = knowable(found, is_test), found.chance[is_test]
    yield Figure("simulated new users on test days", len(judged.outcome), digits=0)
    yield Figure("simulated: share of them who buy for the first time within 30 days", float(judged.outcome.mean()))
    told = f"simulated: buyers among the best 40 % by {contest.chosen}"
    name, value, high = _captured(told, judged.users, judged.outcome, judged.raw)
    yield Figure(f"{name}, seed's {SEED}: {_reached(value, SEED)}", value)
    yield Figure("simulated: upper end of that interval", high, SEED)
    ahead = evaluated.difference["capture_40"]
    yield Figure(f"simulated: ahead of the rule {contest.rule} ({ahead.low:.3f} to {ahead.high:.3f})", ahead.value)
    of_truth = value / capture(judged.outcome, truth)
    yield Figure(
        f"simulated: of what the true probabilities capture, {OF_TRUTH}: {_reached(of_truth, OF_TRUTH)}", of_truth
    )
    yield Figure("simulated: of what can be known of them", value / capture(judged.outcome, known), OF_TRUTH)


def knowable(found: Newcomers, is_test: np.ndarray) -> Floats:
    """Foretell the true probability of test rows, learnt from the true probabilities of all others."""
    rows, chance = found.sample.rows, found.chance
    others, test = (rows.filter(pa.array(which)) for which in (~is_test, is_test))
    (target,) = found.sample.targets
    encoders = Encoders(others, leave_out=[target.label, *found.sample.kept_out])
    parts = LEARNERS["boosting"].fit(encoders, "regression", Examples(Encoded(others), chance[~is_test]), TREES)
    return raw_of(parts, Encoded(test))


def out_of_fold(rows: pa.Table, outcome: Floats, folds: int = FOLDS) -> Floats:
    """
    Rank each row, from 0 to 1, among those of its fold, by the product's candidate that the fold after it chooses.

    Candidates are fitted on the rows of neither fold.
    """
    from scipy.stats import rankdata
    from sklearn.model_selection import StratifiedKFold

    parts = [test for _, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(outcome, outcome)]
    rank = np.zeros(len(outcome))
    for at, test in enumerate(parts):
        validation = parts[(at + 1) % folds]
        train = np.setdiff1d(np.arange(len(outcome)), np.concatenate([test, validation]))
        examples = {
            name: Examples(Encoded(rows.take(pa.array(of))), outcome[of])
            for name, of in (("train", train), ("validation", validation))
        }
        rank[test] = rankdata(_chosen(**examples, test=Encoded(rows.take(pa.array(test))))) / len(test)
    return rank


def _chosen(train: Examples, validation: Examples, test: Encoded) -> Floats:
    """Return raw scores of the candidate that does best on validation rows; the first wins a tie."""
    objective, found = OBJECTIVES[PRODUCT.objective], []
    encoders = Encoders(train.rows.rows)
    for name in PRODUCT.candidates:
        parts = LEARNERS[name].fit(encoders, objective.loss, train, validation)
        raw = raw_of(parts, validation.rows)
        calibrated = fitting.calibrated_by_others(objective, raw, validation)
        found.append((objective.choose_by(validation.outcome, calibrated), raw_of(parts, test)))
    return max(found, key=lambda one: one[0])[1]


def _reached(value: float, wanted: float) -> str:
    return "reached" if value >= wanted else "not reached"


def _captured(told: str, users: np.ndarray, outcome: Floats, score: Floats) -> tuple[str, float, float]:
    """Say what is captured with its 95 % interval over draws of users; return the value and its upper end beside."""
    drawn = [capture(outcome[rows], score[rows]) for rows in evaluation.draws(users, 500)]
    found = evaluation.figure(capture(outcome, score), drawn)
    return f"{told} ({found.low:.3f} to {found.high:.3f})", found.value, found.high
