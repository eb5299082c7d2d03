"""All of it together on planted data: learnt before a cut, measured after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.recommendation import Items, Known, Users, ranking
from ml.recommendation.evaluation import evaluate
from ml.recommendation.merging import Merging, Pool
from ml.recommendation.recommender import Validation, learn, relevant_to
from ml.recommendation.retrievers import NOTHING, RETRIEVERS
from ml.recommendation.splits import AtRandom, ByTime, LastOfEach, blocks
from tests.ml.recommendation.conftest import GROUPS, block_of

SPLITS = [AtRandom(), LastOfEach(), ByTime(45.0, 15.0)]


@pytest.fixture(scope="session")
def learnt(planted):
    return learn(planted, AtRandom().inside())


@pytest.fixture(scope="session", params=SPLITS, ids=lambda split: type(split).__name__)
def evaluated(planted, request):
    return evaluate(planted, [request.param])[0]


def test_merged_is_no_worse_than_the_best_single_one(evaluated):
    """The best in hindsight, of six: by luck it may be ahead, but no further than its own error."""
    difference = evaluated.differences["merged - best single"]

    assert difference.high >= 0
    assert evaluated.row("merged").figures["ndcg_10"].value > 1.2 * evaluated.row("popularity").figures["ndcg_10"].value


def test_all_are_measured_on_the_same_users(evaluated):
    for audience in ("known", "all"):
        assert len({row.users for row in evaluated.rows if row.audience == audience}) == 1
    assert {row.by for row in evaluated.rows} >= {*RETRIEVERS, "merged", "answer"}


def test_no_answer_is_forbidden(evaluated):
    assert evaluated.answers > 5000
    assert evaluated.forbidden == 0


def test_a_row_is_plain(evaluated):
    told = evaluated.rows[0].to_json()

    assert set(told["ndcg_10"]) == {"value", "low", "high"}


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_a_cut_takes_each_row_once(planted, split):
    train, test = split.cut(planted.interactions)

    assert not (train & test).any() and (train | test).all()
    assert 0.6 < train.mean() < 0.85


def test_the_last_of_each_user_come_after_the_first(planted):
    rows = planted.interactions
    train, test = LastOfEach().cut(rows)
    for user in np.unique(rows.user):
        assert rows.day[train & (rows.user == user)].max() <= rows.day[test & (rows.user == user)].min()


def test_what_chooses_lies_before_what_tests():
    for inner in ByTime(45.0, 15.0).inside():
        assert inner.day + inner.days <= 45.0


def test_blocks_end_with_the_last_day(planted):
    found = list(blocks(planted.interactions, 10.0, 3))

    assert [one.day for one in found] == [30.0, 40.0, 50.0]


def test_nothing_after_the_cut_is_learnt_from(planted):
    """Other rows after it change no list."""
    train, _ = ByTime(45.0, 15.0).cut(planted.interactions)
    rows = planted.interactions
    item = np.where(train, rows.item, rows.item[::-1])
    changed = Known(replace(rows, item=item), planted.items, planted.users)
    some = {name: RETRIEVERS[name] for name in ("popularity", "cohort_popularity", "item_item")}
    cut = [ByTime(45.0, 15.0)]
    one, other = (evaluate(known, cut, retrievers=some)[0].recommender for known in (planted, changed))
    users = np.arange(len(planted.users.ids))

    assert (one.answer(users, 10).items == other.answer(users, 10).items).all()


def test_equal_input_gives_equal_answers(planted, learnt):
    again = learn(planted, AtRandom().inside())
    users = np.arange(len(planted.users.ids))

    assert again.chosen.hyper == learnt.chosen.hyper
    assert again.chosen.merging == learnt.chosen.merging
    assert (again.answer(users, 10).items == learnt.answer(users, 10).items).all()


def test_who_did_nothing_yet_is_answered_by_cohorts(planted, learnt):
    users = planted.interactions.positions([f"cold{group}" for group in range(GROUPS)])
    found = learnt.answer(users, 10)

    assert found.is_fallback.all()
    for group, line in enumerate(found.items):
        assert block_of(planted.items.ids[line[0]]) == group


def test_who_did_something_is_answered_by_the_merging(planted, learnt):
    users = planted.interactions.positions(["u000", "u100"])

    assert not learnt.answer(users, 10).is_fallback.any()


def test_the_rest_of_a_long_list_stays_behind_what_is_ranked(planted, learnt, monkeypatch):
    """Ranked or not, the same items stand in the list; only the first of them change places."""
    monkeypatch.setattr(ranking, "DEPTH", 5)
    users = np.arange(100)
    part = Validation.of(planted, AtRandom().inside()[0], leaves_out_seen=True).known_only()
    lists = {
        name: part.lists(RETRIEVERS[name].fit(part.before, **RETRIEVERS[name].defaults), 100) for name in RETRIEVERS
    }
    merging = learnt.chosen.merging
    pool = ranking.first_of(Pool.of(lists, len(planted.items.ids)), merging, len(part.users))
    drawn = ranking.features(part.before, part.users, pool, merging)
    trees = ranking.fit(drawn, pool, pool.is_relevant(part.relevant))
    found = replace(learnt, chosen=replace(learnt.chosen, ranker=trees)).stages(users, 12)

    assert (np.sort(found["ranked"].items[:, :5]) == np.sort(found["merged"].items[:, :5])).all()
    assert (found["ranked"].items[:, 5:] == found["merged"].items[:, 5:]).all()
    assert (found["ranked"].items != found["merged"].items).any()


def ranked_data(is_told):
    """Two thousand lists of ten, of which a feature says which is right, or none does."""
    draw = np.random.default_rng(0)
    users = 300
    row, item = np.repeat(np.arange(users), 10), np.tile(np.arange(10), users)
    right = draw.integers(10, size=users)
    relevant = np.zeros((users, 10))
    relevant[np.arange(users), right] = 1
    ranks = np.argsort(np.argsort(draw.random((users, 10)), axis=1), axis=1).ravel()[:, None] + 1.0
    pool = Pool(("r",), row, item, ranks, -ranks)
    told = (item == right[row]).astype(float) if is_told else draw.random(len(row))
    return told[:, None], pool, np.arange(users), type(Known.of([], [], []).interactions.matrix)(relevant)


def test_a_ranker_that_helps_is_kept():
    drawn, pool, users, relevant = ranked_data(is_told=True)
    ranker, verdict = ranking.learn(drawn, pool, users, relevant, Merging({"r": 1.0}))

    assert ranker is not None and verdict.is_kept
    assert verdict.difference.low > 0.05


def test_a_ranker_that_knows_nothing_is_not_kept_and_the_verdict_says_so():
    drawn, pool, users, relevant = ranked_data(is_told=False)
    # The merged order is right already, so that whatever the trees do is worse.
    ranks = 2.0 - pool.is_relevant(relevant)
    ranker, verdict = ranking.learn(drawn, replace(pool, ranks=ranks[:, None]), users, relevant, Merging({"r": 1.0}))

    assert ranker is None and not verdict.is_kept
    assert verdict.says.startswith("the merged order stays: -")


def test_what_may_not_be_answered_is_missed_by_nobody():
    known = Known.of(["a", "a", "b"], ["x", "x", "y"], [1, 9, 9])
    before = known.take(known.interactions.day < 5)
    after = known.take(known.interactions.day > 5)
    users, _ = relevant_to(Validation.of(known, ByTime(5.0, 9.0), leaves_out_seen=True).filtering, after)

    assert before.interactions.counts.tolist() == [1, 0]
    assert known.users.ids[users].tolist() == ["b"]


@pytest.mark.parametrize("rows", [([], [], []), (["a"], ["x"], [1.0]), (["a", "b"], ["x", "y"], [1.0, 60.0])])
def test_next_to_nothing_is_learnt_from_without_an_error(rows):
    known = Known.of(*rows, items=Items.of(["x", "z"]), users=Users.of(["a", "new"]))
    for found in evaluate(known, SPLITS):
        answer = found.recommender.answer(np.arange(len(known.users.ids)), 3)

        assert found.recommender.refused == {"category_popularity": "no item has a category"}
        assert not found.recommender.chosen.verdict.is_kept
        assert answer.items.shape == (len(known.users.ids), 3)


def test_nobody_is_answered_nothing(learnt):
    assert learnt.answer(np.zeros(0, int), 5).items.shape == (0, 5)


def test_a_list_is_no_longer_than_what_there_is(planted, learnt):
    found = learnt.answer(np.array([0]), 500).items[0]

    assert len(set(found[found != NOTHING])) == (found != NOTHING).sum() <= len(planted.items.ids)
