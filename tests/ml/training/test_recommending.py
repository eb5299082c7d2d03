"""The gate of recommendations: what wins is used, what loses is said to lose, and nothing of the test days is learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.recommendation import Items, Known
from ml.recommendation.recipe import Recipe
from ml.recommendation.retrievers import RETRIEVERS
from ml.recommendation.splits import ByTime
from ml.training import gate
from ml.training.recommending import judge, without_search
from rekindle.errors import CheckFailedError
from tests.ml.recommendation.conftest import planted

__all__ = ["planted"]

SPLIT = ByTime(50.0, 10.0)


def judged(known: Known, **more):
    asked = {"leaves_out_seen": False, "retrievers": without_search(RETRIEVERS)} | more
    return judge(known, SPLIT, gate.criteria(), **asked)


def by_lot(planted: Known) -> Known:
    """The same users, each of whose items is drawn: only popularity can be learnt, and it is equal."""
    rows = planted.interactions
    item = np.random.default_rng(3).integers(0, len(planted.items.ids), len(rows))
    return replace(planted, interactions=replace(rows, item=item))


@pytest.fixture(scope="module")
def of_planted(planted):
    return judged(planted)


def test_planted_tastes_beat_popularity(of_planted):
    """Of the three that may be used, what was learnt or the best retriever alone: both know of groups."""
    verdict = of_planted.verdict

    assert verdict.passed
    assert not verdict.is_rule
    assert verdict.route in {"first", "simpler"}
    assert of_planted.difference.low > 0
    assert {one.name for one in verdict.criteria} >= {"popularity", "single"}


def test_where_nothing_can_be_learnt_popularity_takes_the_place_and_it_is_said(planted):
    found = judged(by_lot(planted))

    assert found.verdict.route == "rule"
    assert found.verdict.is_rule
    assert found.recipe.is_rule
    assert dict(found.recipe.chosen.merging.weights) == {"popularity": 1.0}
    assert found.verdict.why.startswith("what was learnt lost: ")


def test_a_model_in_office_goes_on_where_the_new_one_is_not_surely_better(planted, of_planted):
    again = judged(planted, champion=Recipe(of_planted.learnt.chosen))

    assert not again.verdict.passed
    assert again.verdict.failed("champion")
    assert not again.recipe.is_rule
    assert again.beside["difference"]["ndcg_10"]["value"] == 0.0


def test_a_champion_that_cannot_be_read_leaves_it_to_a_person(planted):
    assert judged(planted, why_no_champion="the champion cannot be read: …").verdict.route == gate.UNREADABLE


def test_nothing_of_the_test_days_is_learnt(planted, of_planted):
    """What users did on the test days is dealt anew: what is chosen, down to the trees, stays the same."""
    rows = planted.interactions
    item, is_test = rows.item.copy(), rows.day >= SPLIT.day
    item[is_test] = np.random.default_rng(5).integers(0, len(rows.items), is_test.sum())
    other = judged(replace(planted, interactions=replace(rows, item=item)))

    assert Recipe(other.learnt.chosen).to_files() == Recipe(of_planted.learnt.chosen).to_files()


def test_too_few_users_are_refused_by_name():
    known = Known.of(["u1", "u1"], ["i1", "i2"], [40.0, 55.0], items=Items.of(["i1", "i2"]))

    with pytest.raises(CheckFailedError, match="of fewer than 20 nothing can be said") as refused:
        judged(known)
    assert refused.value.code == "too_few_rows"
