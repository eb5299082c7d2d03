"""
How good retrievers, what is merged and what is answered are: on the same users, each figure with an interval.

Users who did something before the cut are the *known*; personal retrievers say nothing of the others, who are among *all*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.recommendation.metrics import coverage_figure, mean_figure, ndcg, novelty, recall
from ml.recommendation.recommender import Recommender, learn, relevant_to
from ml.recommendation.retrievers import NOTHING, RETRIEVERS
from ml.recommendation.retrievers.declaration import in_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import scipy.sparse as sp

    from ml.recommendation.filtering import Filtering
    from ml.recommendation.interactions import Known
    from ml.recommendation.recommender import Answer
    from ml.recommendation.retrievers import Retriever
    from ml.recommendation.splits import Split
    from ml.training.evaluation import Figure

PLACES = 10
DEPTH = 100
AUDIENCES = ("known", "all")


@dataclass(frozen=True)
class Row:
    """A line of the table: how good somebody's lists are for some users."""

    split: str
    audience: str
    by: str
    """A retriever, `merged`, `ranked`, or `answer`: what users get."""
    users: int
    figures: Mapping[str, Figure]

    def to_json(self) -> dict[str, Any]:
        told = {name: vars(one) for name, one in self.figures.items()}
        return {"split": self.split, "audience": self.audience, "by": self.by, "users": self.users, **told}


@dataclass(frozen=True)
class Evaluated:
    """What a split says."""

    split: str
    rows: tuple[Row, ...]
    differences: Mapping[str, Figure]
    """nDCG@10 of known users, paired: merged minus the best single retriever, and the answer minus popularity."""
    best_single: str
    recommender: Recommender
    answers: int
    """How many places were answered, of all lists together."""
    forbidden: int
    """How many of them a rule excludes."""

    def row(self, by: str, audience: str = "known") -> Row:
        return next(row for row in self.rows if row.by == by and row.audience == audience)


def evaluate(
    known: Known,
    splits: Iterable[Split],
    *,
    leaves_out_seen: bool = True,
    retrievers: Mapping[str, Retriever] = RETRIEVERS,
) -> list[Evaluated]:
    """Learn before each cut, and measure after it."""
    return [_evaluated(known, split, leaves_out_seen, retrievers) for split in splits]


def _evaluated(known: Known, split: Split, leaves_out_seen: bool, retrievers: Mapping[str, Retriever]) -> Evaluated:
    train, test = split.cut(known.interactions)
    before = known.take(train)
    learnt = learn(before, split.inside(), leaves_out_seen=leaves_out_seen, retrievers=retrievers)
    users, relevant = relevant_to(learnt.filtering, known.take(test))
    stages = learnt.stages(users, DEPTH)
    is_known = before.interactions.counts[users] > 0
    rows = [
        Row(split.name, audience, by, int(chosen.sum()), figures_of(_take(found, chosen), relevant[chosen], before))
        for audience, chosen in zip(AUDIENCES, (is_known, np.ones(len(users), bool)), strict=True)
        for by, found in stages.items()
    ]
    worth = {by: ndcg(found.items, relevant, PLACES)[is_known] for by, found in stages.items()}
    single = max(learnt.fitted, key=lambda name: float(worth[name].mean()) if is_known.any() else 0.0)
    answers, forbidden = _looked_at(learnt.filtering, users, stages)
    return Evaluated(
        split.name,
        tuple(rows),
        {
            "merged - best single": mean_figure(worth["merged"] - worth[single]),
            "answer - popularity": mean_figure(worth["answer"] - worth["popularity"]),
        },
        single,
        learnt,
        answers,
        forbidden,
    )


def figures_of(found: Answer, relevant: sp.csr_matrix, before: Known) -> dict[str, Figure]:
    """Return how good lists are for users of whom it is known what was relevant, by what was known before."""
    users_of, items = before.interactions.popularity(), found.items
    return {
        "ndcg_10": mean_figure(ndcg(items, relevant, PLACES)),
        "recall_100": mean_figure(recall(items, relevant, DEPTH)),
        "coverage_10": coverage_figure(items, len(before.items.ids), PLACES),
        "novelty_10": mean_figure(novelty(items, users_of, len(before.users.ids), PLACES)),
        "fallback_10": mean_figure(found.is_fallback[:, :PLACES].mean(axis=1)),
    }


def _take(found: Answer, rows: np.ndarray) -> Answer:
    return type(found)(*(column[rows] for column in found))


def _looked_at(filtering: Filtering, users: np.ndarray, stages: Mapping[str, Answer]) -> tuple[int, int]:
    """Count the answers, and those that a rule excludes."""
    answers = forbidden = 0
    for rows in in_blocks(np.arange(len(users)), len(filtering.known.items.ids)):
        exclude = filtering.exclude(users[rows])
        for found in stages.values():
            row, place = np.nonzero(found.items[rows] != NOTHING)
            answers += len(row)
            forbidden += int(exclude[row, found.items[rows][row, place]].sum())
    return answers, forbidden
