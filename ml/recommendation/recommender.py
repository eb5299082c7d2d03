"""
All of it together: learn retrievers, their merging and their ranker from training data alone, and answer.

Training data are cut once more, in the way that the test is: hyper-parameters, weights and the ranker are chosen by what came
true in the later part. Then all retrievers learn again from everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ml.recommendation import ranking
from ml.recommendation.filtering import Filtering
from ml.recommendation.merging import PLACES, Merging, Pool, best_alone, choose
from ml.recommendation.metrics import ndcg
from ml.recommendation.retrievers import NOTHING, RETRIEVERS, Lists
from ml.recommendation.retrievers.declaration import in_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml.recommendation.interactions import Known
    from ml.recommendation.ranking import Ranker, Verdict
    from ml.recommendation.retrievers import Fitted, Retriever
    from ml.recommendation.splits import Split

DEPTH = 100
"""How many items each retriever hands over."""

FALLBACK, POPULARITY = "cohort_popularity", "popularity"
"""What fills up lists that end early, and the naive rule."""

MIN_USERS = 20
"""Fewer validation users choose nothing: what is best for them is luck."""

MAX_USERS = 5_000
"""More validation users choose nothing better, and take memory and time."""


class Answer(NamedTuple):
    """Items for each user, best first."""

    items: np.ndarray
    scores: np.ndarray
    """Within a user higher is better; what fills up from the fallback has none."""
    is_fallback: np.ndarray
    """Users by places: whether it was filled up from cohort popularity."""
    by: np.ndarray
    """The place, among `Recommender.fitted`, of the retriever that speaks for it most; `NOTHING` where nothing stands."""


@dataclass(frozen=True)
class Chosen:
    """What validation chose."""

    hyper: Mapping[str, Mapping[str, Any]]
    merging: Merging
    ranker: Ranker | None
    verdict: Verdict
    validation_users: int
    single: str
    """The retriever that alone is best for validation users."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The retrievers whose lists an answer is made of; the trees read what each of them says."""
        if self.ranker is not None:
            return tuple(self.hyper)
        return tuple(name for name in self.hyper if self.merging.weights.get(name) or name == FALLBACK)

    def alone(self, name: str) -> Chosen:
        """Return the same with one retriever, and nothing beside it."""
        told = ranking.Verdict(is_kept=False, difference=None, says=f"{name} alone")
        return replace(self, merging=Merging({name: 1.0}), ranker=None, verdict=told)


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
        parts = [self._stages(block, k) for block in in_blocks(users, len(self.known.items.ids))]
        return {
            name: Answer(*(np.concatenate(column) for column in zip(*(part[name] for part in parts), strict=True)))
            for name in parts[0]
        }

    def _stages(self, users: np.ndarray, k: int) -> dict[str, Answer]:
        exclude = self.filtering.exclude(users)
        lists = {name: one.retrieve(users, max(k, DEPTH), exclude) for name, one in self.fitted.items()}
        found = {
            name: _cut(one, k, np.where(one.items == NOTHING, NOTHING, at))
            for at, (name, one) in enumerate(lists.items())
        }
        pool = Pool.of(lists, len(self.known.items.ids))
        # Of users who did nothing only cohorts can say more than of everybody.
        pool = pool.take(self.known.interactions.counts[users][pool.row] > 0)
        merged = self.chosen.merging.scores(pool)
        by = _spoken_for(pool, self.chosen.merging, len(self.known.items.ids))
        first = pool.best(merged, len(users), k)[0]
        found["merged"] = _cut(first, k, by(first.items))
        answer = found["merged"]
        if self.chosen.ranker is not None:
            answer = self._ranked(self.chosen.ranker, users, pool, found["merged"])
            answer = found["ranked"] = answer._replace(by=by(answer.items))
        found["answer"] = _filled(answer, lists[FALLBACK].items, list(lists).index(FALLBACK))
        return found

    def _ranked(self, ranker: Ranker, users: np.ndarray, pool: Pool, merged: Answer) -> Answer:
        """Rank the first of each merged list; what stands behind stays behind, in its order."""
        k = merged.items.shape[1]
        first = ranking.first_of(pool, self.chosen.merging, len(users))
        scores = ranker.scores(self.known, users, first, self.chosen.merging)
        ranked = first.best(scores, len(users), min(k, ranking.DEPTH))[0]
        return Answer(
            np.hstack([ranked.items, merged.items[:, ranking.DEPTH :]]),
            np.hstack([ranked.scores, merged.scores[:, ranking.DEPTH :] - 1.0]),
            merged.is_fallback,
            merged.by,
        )


def _cut(lists: Lists, k: int, by: np.ndarray) -> Answer:
    return Answer(lists.items[:, :k], lists.scores[:, :k], np.zeros((len(lists.items), k), bool), by[:, :k])


def _spoken_for(pool: Pool, merging: Merging, item_count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return which retriever adds most to the merged score of each item of some lists."""
    codes = pool.row * max(item_count, 1) + pool.item
    most = merging.parts(pool).argmax(axis=1) if len(codes) else np.zeros(0, int)

    def by(items: np.ndarray) -> np.ndarray:
        found = np.full(items.shape, NOTHING)
        row, place = np.nonzero(items != NOTHING)
        found[row, place] = most[np.searchsorted(codes, row * max(item_count, 1) + items[row, place])]
        return found

    return by


def _filled(answer: Answer, fallback: np.ndarray, of_fallback: int) -> Answer:
    """Fill up lists that end early, each from the user's cohorts."""
    items, is_fallback, by = answer.items.copy(), answer.is_fallback.copy(), answer.by.copy()
    for row in np.flatnonzero((items == NOTHING).any(axis=1)):
        there = items[row] != NOTHING
        more = fallback[row][(fallback[row] != NOTHING) & ~np.isin(fallback[row], items[row][there])]
        places = np.flatnonzero(~there)[: len(more)]
        items[row, places], is_fallback[row, places], by[row, places] = more[: len(places)], True, of_fallback
    return Answer(items, answer.scores, is_fallback, by)


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
        found = cls(before, filtering, users, relevant)
        return found._take(np.sort(np.random.default_rng(0).permutation(len(users))[:MAX_USERS]))

    def known_only(self) -> Validation:
        """Return the users who had done something before."""
        return self._take(np.flatnonzero(self.before.interactions.counts[self.users] > 0))

    def _take(self, rows: np.ndarray) -> Validation:
        return replace(self, users=self.users[rows], relevant=self.relevant[rows])

    def lists(self, fitted: Fitted, k: int) -> Lists:
        parts = [
            fitted.retrieve(block, k, self.filtering.exclude(block))
            for block in in_blocks(self.users, len(self.before.items.ids))
        ]
        return Lists(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def worth(self, fitted: Fitted) -> float:
        found = ndcg(self.lists(fitted, PLACES).items, self.relevant, PLACES)
        return float(np.nan_to_num(found).mean())


def relevant_to(filtering: Filtering, after: Known) -> tuple[np.ndarray, sp.csr_matrix]:
    """
    Return the users who had something later that could have been answered, and what.

    What may not be answered is missed by nobody: who had an item before and has it again is no failure of a list that leaves out
    what was had.
    """
    active = np.flatnonzero(after.interactions.counts)
    parts = [
        (after.interactions.matrix[block] > 0).multiply(~filtering.exclude(block)).tocsr().astype(float)
        for block in in_blocks(active, len(after.items.ids))
    ]
    found = sp.vstack(parts, "csr")
    found.eliminate_zeros()
    found.sort_indices()
    there = np.diff(found.indptr) > 0
    return active[there], found[there]


def learn(
    known: Known,
    inside: Sequence[Split],
    *,
    leaves_out_seen: bool = True,
    retrievers: Mapping[str, Retriever] = RETRIEVERS,
) -> Recommender:
    """Learn from what is known, everything chosen by cuts of it."""
    refused = {name: why for name, one in retrievers.items() if (why := one.refuses(known)) is not None}
    able = {name: one for name, one in retrievers.items() if name not in refused}
    chosen = _choose(able, [Validation.of(known, split, leaves_out_seen=leaves_out_seen) for split in inside])
    # All of them: who measures wants to know what each alone says.
    fitted = {name: one.fit(known, **chosen.hyper[name]) for name, one in able.items()}
    return Recommender(known, Filtering(known, leaves_out_seen), fitted, chosen, refused)


def relearn(known: Known, chosen: Chosen, *, leaves_out_seen: bool = True) -> Recommender:
    """
    Learn from what is known by what was chosen before, and no more than answers are made of: nothing is chosen here.

    A retriever that cannot learn from these data says nothing. The trees have not learnt to do without what it would have said,
    and the merged order stays then.
    """
    fitted, refused = {}, {}
    for name in chosen.needed:
        if why := RETRIEVERS[name].refuses(known):
            refused[name] = why
        else:
            fitted[name] = RETRIEVERS[name].fit(known, **chosen.hyper[name])
    if refused and chosen.ranker is not None:
        told = f"the merged order stays: {' and '.join(refused)} could not learn"
        chosen = replace(chosen, ranker=None, verdict=ranking.Verdict(is_kept=False, difference=None, says=told))
    return Recommender(known, Filtering(known, leaves_out_seen), fitted, chosen, refused)


def _choose(able: Mapping[str, Retriever], validations: Sequence[Validation]) -> Chosen:
    parts = [one.known_only() for one in validations]
    parts = [one for one in parts if len(one.users) >= MIN_USERS]
    if not parts:
        told = f"not ranked: no cut of the training part has {MIN_USERS} users who had done something before"
        return Chosen(
            {name: one.defaults for name, one in able.items()},
            Merging(dict.fromkeys(able, 1.0)),
            None,
            ranking.Verdict(is_kept=False, difference=None, says=told),
            0,
            POPULARITY if POPULARITY in able else next(iter(able)),
        )
    hyper: dict[str, dict[str, Any]] = {}
    pools: list[dict[str, Lists]] = [{} for _ in parts]
    for name, one in able.items():
        hyper[name], fitted = tuned(one, parts)
        for lists, part, what in zip(pools, parts, fitted, strict=True):
            lists[name] = part.lists(what, DEPTH)
    sizes = [len(part.users) for part in parts]
    found = [Pool.of(lists, len(part.before.items.ids)) for lists, part in zip(pools, parts, strict=True)]
    users = np.concatenate([part.users for part in parts])
    relevant = sp.vstack([part.relevant for part in parts], "csr")
    stacked = Pool.stacked(found, sizes)
    merging, _ = choose(stacked, relevant)
    first = [ranking.first_of(pool, merging, size) for pool, size in zip(found, sizes, strict=True)]
    drawn = [ranking.features(part.before, part.users, pool, merging) for part, pool in zip(parts, first, strict=True)]
    ranker, verdict = ranking.learn(np.concatenate(drawn), Pool.stacked(first, sizes), users, relevant, merging)
    return Chosen(hyper, merging, ranker, verdict, len(users), best_alone(stacked, relevant))


def tuned(retriever: Retriever, validations: Sequence[Validation]) -> tuple[dict[str, Any], list[Fitted]]:
    """Go through the hyper-parameters once, one after the other; return the best values and what is fitted with them."""
    best, (fitted, reached) = retriever.defaults, _tried(retriever, retriever.defaults, validations)
    for name, values in retriever.hyper.items():
        for value in values[1:]:
            trial = {**best, name: value}
            candidates, found = _tried(retriever, trial, validations)
            if found > reached:
                best, fitted, reached = trial, candidates, found
    return best, fitted


def _tried(
    retriever: Retriever, hyper: Mapping[str, Any], validations: Sequence[Validation]
) -> tuple[list[Fitted], float]:
    fitted = [retriever.fit(one.before, **hyper) for one in validations]
    worth = [one.worth(what) for one, what in zip(validations, fitted, strict=True)]
    return fitted, float(np.average(worth, weights=[len(one.users) for one in validations]))
