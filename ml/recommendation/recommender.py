"""
All of it together: learn retrievers, their merging and their ranker from training data alone, and answer.

Training data are cut once more, in the way that the test is: hyper-parameters, weights and the ranker are chosen by what came
true in the later part. Then all retrievers learn again from everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ml.recommendation import ranking
from ml.recommendation.filtering import Filtering
from ml.recommendation.merging import PLACES, Merging, Pool, choose
from ml.recommendation.metrics import ndcg
from ml.recommendation.retrievers import NOTHING, RETRIEVERS, Fitted, Lists, Retriever

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import scipy.sparse as sp

    from ml.recommendation.interactions import Known
    from ml.recommendation.ranking import Ranker, Verdict
    from ml.recommendation.splits import Split

DEPTH = 100
"""How many items each retriever hands over."""

FALLBACK = "cohort_popularity"
MIN_USERS = 20
"""Fewer validation users choose nothing: what is best for them is luck."""

BLOCK_CELLS = 4_000_000
"""Users times items at once: 32 MB of scores."""


class Answer(NamedTuple):
    """Items for each user, best first."""

    items: np.ndarray
    scores: np.ndarray
    """Within a user higher is better; what fills up from the fallback has none."""
    is_fallback: np.ndarray
    """Users by places: whether it was filled up from cohort popularity."""


@dataclass(frozen=True)
class Chosen:
    """What validation chose."""

    hyper: Mapping[str, Mapping[str, Any]]
    merging: Merging
    ranker: Ranker | None
    verdict: Verdict
    validation_users: int


@dataclass(frozen=True)
class Recommender:
    """What has been learnt, and who may be answered what."""

    known: Known
    filtering: Filtering
    fitted: Mapping[str, Fitted]
    chosen: Chosen
    refused: Mapping[str, str]
    """Retrievers that cannot learn from these data, with the reason."""

    def answer(self, users: np.ndarray, k: int) -> Answer:
        """Answer users by position with up to `k` items: ranked where that was found to help, merged where not."""
        return self.stages(users, k)["answer"]

    def stages(self, users: np.ndarray, k: int) -> dict[str, Answer]:
        """Return what each retriever alone says, what is merged, what is ranked where that is kept, and the answer."""
        parts = [self._stages(block, k) for block in self._blocks(users)]
        return {
            name: Answer(*(np.concatenate([part[name][column] for part in parts]) for column in range(3)))
            for name in parts[0]
        }

    def _blocks(self, users: np.ndarray) -> Iterator[np.ndarray]:
        size = max(1, BLOCK_CELLS // max(1, len(self.known.items.ids)))
        for first in range(0, max(1, len(users)), size):
            yield users[first : first + size]

    def _stages(self, users: np.ndarray, k: int) -> dict[str, Answer]:
        exclude = self.filtering.exclude(users)
        lists = {name: one.retrieve(users, max(k, DEPTH), exclude) for name, one in self.fitted.items()}
        found = {name: _cut(one, k) for name, one in lists.items()}
        pool = Pool.of(lists, len(self.known.items.ids))
        merged = self.chosen.merging.scores(pool)
        # Of users who did nothing only cohorts can say more than of everybody.
        merged[self.known.interactions.counts[users][pool.row] == 0] = -np.inf
        found["merged"] = _cut(pool.best(merged, len(users), max(k, DEPTH))[0], k)
        answer = found["merged"]
        if self.chosen.ranker is not None:
            answer = found["ranked"] = _cut(self._ranked(self.chosen.ranker, users, pool, merged, max(k, DEPTH)), k)
        found["answer"] = _filled(answer, lists[FALLBACK].items)
        return found

    def _ranked(self, ranker: Ranker, users: np.ndarray, pool: Pool, merged: np.ndarray, k: int) -> Lists:
        """Rank the first of the merged list; what stands behind stays behind, in its order."""
        _, first = pool.best(merged, len(users), ranking.DEPTH)
        first = np.sort(first)
        scores = merged.copy()
        ranked = ranker.scores(self.known, users, pool.take(first), self.chosen.merging)
        # Merged scores are far below 1, so that what is ranked stands before.
        scores[first] = ranked - ranked.min(initial=0.0) + 1.0
        scores[first] += merged[np.isfinite(merged)].max(initial=0.0)
        return pool.best(scores, len(users), k)[0]


def _cut(lists: Lists, k: int) -> Answer:
    return Answer(lists.items[:, :k], lists.scores[:, :k], np.zeros((len(lists.items), k), bool))


def _filled(answer: Answer, fallback: np.ndarray) -> Answer:
    """Fill up lists that end early, each from the user's cohorts."""
    items, is_fallback = answer.items.copy(), answer.is_fallback.copy()
    for row in np.flatnonzero((items == NOTHING).any(axis=1)):
        there = items[row] != NOTHING
        more = fallback[row][(fallback[row] != NOTHING) & ~np.isin(fallback[row], items[row][there])]
        places = np.flatnonzero(~there)[: len(more)]
        items[row, places], is_fallback[row, places] = more[: len(places)], True
    return Answer(items, answer.scores, is_fallback)


@dataclass(frozen=True)
class Validation:
    """Users by whom is chosen: what is known before, and what was relevant to them after."""

    before: Known
    filtering: Filtering
    users: np.ndarray
    relevant: sp.csr_matrix

    @classmethod
    def of(cls, known: Known, split: Split, *, leaves_out_seen: bool) -> Validation:
        train, test = split.cut(known.interactions)
        before = known.take(train)
        filtering = Filtering(before, leaves_out_seen)
        users, relevant = relevant_to(filtering, known.take(test))
        return cls(before, filtering, users, relevant)

    def known_only(self) -> Validation:
        """Return the users who had done something before."""
        rows = self.before.interactions.counts[self.users] > 0
        return Validation(self.before, self.filtering, self.users[rows], self.relevant[rows])

    def lists(self, fitted: Fitted, k: int) -> Lists:
        return fitted.retrieve(self.users, k, self.filtering.exclude(self.users))

    def worth(self, fitted: Fitted) -> float:
        found = ndcg(self.lists(fitted, PLACES).items, self.relevant, PLACES)
        return float(np.nan_to_num(found).mean())


def relevant_to(filtering: Filtering, after: Known) -> tuple[np.ndarray, sp.csr_matrix]:
    """
    Return the users who had something later that could have been answered, and what.

    What may not be answered is missed by nobody: who had an item before and has it again is no failure of a list that leaves out
    what was had.
    """
    everybody = np.arange(len(after.users.ids))
    found = after.interactions.matrix.tocoo()
    allowed = ~filtering.exclude(everybody)[found.row, found.col]
    kept = type(after.interactions.matrix)(
        (np.ones(allowed.sum()), (found.row[allowed], found.col[allowed])), shape=found.shape
    )
    kept.sort_indices()
    users = np.flatnonzero(np.diff(kept.indptr))
    return users, kept[users]


def learn(
    known: Known,
    inside: Split,
    *,
    leaves_out_seen: bool = True,
    retrievers: Mapping[str, Retriever] = RETRIEVERS,
) -> Recommender:
    """Learn from what is known, everything chosen by a cut of it."""
    refused = {name: why for name, one in retrievers.items() if (why := one.refuses(known)) is not None}
    able = {name: one for name, one in retrievers.items() if name not in refused}
    validation = Validation.of(known, inside, leaves_out_seen=leaves_out_seen)
    chosen = _choose(able, validation)
    fitted = {name: one.fit(known, **chosen.hyper[name]) for name, one in able.items()}
    return Recommender(known, Filtering(known, leaves_out_seen), fitted, chosen, refused)


def _choose(able: Mapping[str, Retriever], validation: Validation) -> Chosen:
    known_only = validation.known_only()
    if len(known_only.users) < MIN_USERS:
        told = f"not ranked: {len(known_only.users)} validation users, below {MIN_USERS}"
        return Chosen(
            {name: one.defaults for name, one in able.items()},
            Merging(dict.fromkeys(able, 1.0)),
            None,
            ranking.Verdict(is_kept=False, difference=None, says=told),
            len(known_only.users),
        )
    found = {name: tuned(one, known_only if one.is_personal else validation) for name, one in able.items()}
    lists = {name: known_only.lists(fitted, DEPTH) for name, (_, fitted) in found.items()}
    pool = Pool.of(lists, len(validation.before.items.ids))
    merging, _ = choose(pool, known_only.relevant)
    ranker, verdict = ranking.learn(validation.before, known_only.users, pool, known_only.relevant, merging)
    hyper = {name: values for name, (values, _) in found.items()}
    return Chosen(hyper, merging, ranker, verdict, len(known_only.users))


def tuned(retriever: Retriever, validation: Validation) -> tuple[dict[str, Any], Fitted]:
    """Go through the hyper-parameters once, one after the other; return the best values and what is fitted with them."""
    best = retriever.defaults
    fitted = retriever.fit(validation.before, **best)
    reached = validation.worth(fitted)
    for name, values in retriever.hyper.items():
        for value in values[1:]:
            tried = {**best, name: value}
            candidate = retriever.fit(validation.before, **tried)
            if (found := validation.worth(candidate)) > reached:
                best, fitted, reached = tried, candidate, found
    return best, fitted
