"""A recipe as files, and what a day's learning by it comes to: against a plain reference, at small numbers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ml.model import artifact
from ml.recommendation import Items, Known, Users
from ml.recommendation.lists import Lists
from ml.recommendation.recipe import Recipe
from ml.recommendation.recommender import learn, relevant_to
from ml.recommendation.retrievers import NOTHING, RETRIEVERS
from ml.recommendation.splits import ByTime
from ml.training.recommending import without_search
from rekindle.errors import InputError

PLACES = 5


@pytest.fixture(scope="module")
def recipe(planted) -> Recipe:
    learnt = learn(planted, ByTime(50.0, 10.0).inside(), retrievers=without_search(RETRIEVERS))
    return Recipe(learnt.chosen)


@pytest.fixture(scope="module")
def made(planted, recipe) -> Lists:
    """Lists in which two items are blocked, and one is out of stock."""
    ids = planted.items.ids.tolist()
    items = replace(
        planted.items,
        blocked=np.isin(planted.items.ids, ["i000", "i013"]),
        in_stock=~np.isin(planted.items.ids, ["i025"]),
    )
    assert {"i000", "i013", "i025"} <= set(ids)
    return Lists(recipe.learnt(replace(planted, items=items), leaves_out_seen=True), PLACES)


def rows(table) -> list[dict]:
    return table.to_pylist()


def test_a_recipe_is_the_same_after_its_files_were_read(recipe, planted):
    files = recipe.to_files()
    again = Recipe.from_files(files)

    assert again.to_files() == files
    artifact.check_names(files)
    users = np.arange(len(planted.users.ids))
    one, other = (r.learnt(planted, leaves_out_seen=True).answer(users, 10) for r in (recipe, again))
    assert np.array_equal(one.items, other.items)
    assert np.array_equal(one.by, other.by)


def test_a_recipe_of_another_code_is_refused_before_it_answers(recipe):
    told = json.loads(recipe.to_files()["model.json"])
    for changed in (
        {**told, "format": 99},
        {**told, "retrievers": {**told["retrievers"], "oracle": {}}},
        {**told, "retrievers": {**told["retrievers"], "ease": {"memory": None}}},
    ):
        with pytest.raises(InputError, match="cannot be used by this code"):
            Recipe.from_files({"model.json": json.dumps(changed).encode()})


def test_a_pickle_among_the_files_is_refused(recipe):
    with pytest.raises(InputError, match="not part of a native model"):
        Recipe.from_files({**recipe.to_files(), "factors.pkl": b"\x80"})


def test_lists_hold_what_may_be_shown_ranked_without_a_gap(made, planted):
    """Nothing that a user had, that is blocked or out of stock, among all answers; places from 1 without a gap."""
    ((found, ranked),) = made.of_users(planted.users.ids)
    had = {}
    for user, item in zip(planted.interactions.user, planted.interactions.item, strict=True):
        had.setdefault(planted.users.ids[user], set()).add(planted.items.ids[item])
    by_user: dict[str, list[dict]] = {}
    for row in rows(ranked):
        by_user.setdefault(row["user_id"], []).append(row)

    assert set(by_user) == set(planted.users.ids.tolist())
    for user, shown in by_user.items():
        items = [row["item_id"] for row in shown]
        assert [row["rank"] for row in shown] == list(range(1, len(shown) + 1))
        assert not set(items) & (had.get(user, set()) | {"i000", "i013", "i025"})
        scores = [row["score"] for row in shown if row["score"] is not None]
        assert scores == sorted(scores, reverse=True)
    assert {row["user_id"] for row in rows(found)} == {user for user in by_user if user in had}


def test_who_did_nothing_yet_gets_what_is_popular_among_those_alike_and_is_told_so(made):
    ((_, ranked),) = made.of_users(np.array(["cold0", "nobody"]))
    shown = rows(ranked)

    assert {row["is_fallback"] for row in shown} == {True}
    assert {row["retriever"] for row in shown} == {"cohort_popularity"}
    assert all(row["score"] is None for row in shown)
    popular = [row["item_id"] for row in rows(made.of_cohorts()) if row["cohort"] == "land0"]
    assert [row["item_id"] for row in shown if row["user_id"] == "cold0"] == popular


def test_of_the_naive_rule_everything_is_a_fallback(planted, recipe):
    rule = Recipe(recipe.chosen.alone("popularity"), is_rule=True)
    again = Recipe.from_files(rule.to_files())
    ((_, ranked),) = Lists(again.learnt(planted, leaves_out_seen=True), PLACES, again.is_rule).of_users(
        np.array(["u000"])
    )

    assert again.is_rule
    assert {row["is_fallback"] for row in rows(ranked)} == {True}
    assert {row["retriever"] for row in rows(ranked)} == {"popularity"}


def test_items_are_counted_as_a_loop_over_rows_counts_them(made, planted):
    last = planted.interactions.last_day
    pairs = {
        (int(user), int(item))
        for user, item, day in zip(
            planted.interactions.user, planted.interactions.item, planted.interactions.day, strict=True
        )
        if day > last - 30
    }
    users_of = Counter(planted.items.ids[item] for _, item in pairs)
    order = sorted(planted.items.ids.tolist(), key=lambda item: (-users_of[item], item))
    found = rows(made.items({"i001": "tea"}))

    assert {row["item_id"]: row["users_30_days"] for row in found} == {item: users_of[item] for item in order}
    assert [row["item_id"] for row in sorted(found, key=lambda row: row["place"])] == order
    assert {row["item_id"]: row["withheld"] for row in found if row["withheld"]} == {
        "i000": "blocked",
        "i013": "blocked",
        "i025": "in_stock",
    }
    assert {row["title"] for row in found} == {"tea", None}
    assert {row["category"] for row in found if row["item_id"] == "i014"} == {"c1"}


def test_popular_items_of_a_category_come_as_a_loop_over_rows_has_them(made):
    """Smoothed shares keep the order of counts; a new item stands behind those that somebody had, if there is room."""
    users_of = {row["item_id"]: row["users_30_days"] for row in rows(made.items({})) if row["category"] == "c2"}
    withheld = {"i025"}
    expected = sorted(set(users_of) - withheld, key=lambda item: (-users_of[item], item))[:PLACES]
    found = [row for row in rows(made.of_cohorts()) if (row["kind"], row["cohort"]) == ("category", "c2")]

    assert [row["item_id"] for row in found] == expected
    assert [row["rank"] for row in found] == list(range(1, PLACES + 1))


def test_items_beside_an_item_are_what_the_same_users_had(made):
    found = rows(made.of_items())

    assert not {row["item_id"] for row in found} & {"i000", "i013", "i025"}
    assert all(row["of_item_id"] != row["item_id"] for row in found)
    same_block = [int(row["of_item_id"][1:]) // 12 == int(row["item_id"][1:]) // 12 for row in found]
    assert np.mean(same_block) > 0.7


def test_a_retriever_that_cannot_learn_today_says_nothing_and_is_named(planted, recipe):
    """No item has a category any more: the recipe's trees would miss what that retriever said."""
    bare = replace(planted, items=Items.of(planted.items.ids))
    learnt = recipe.learnt(bare, leaves_out_seen=True)

    if "category_popularity" in recipe.chosen.needed:
        assert learnt.refused == {"category_popularity": "no item has a category"}
        assert learnt.chosen.ranker is None
    assert (learnt.answer(np.array([0]), 3).items != NOTHING).all()


def test_a_day_of_which_nothing_is_known_has_no_rows(recipe):
    nothing = Known.of([], [], [], items=Items.of(["i1"], [["c"]]), users=Users.of(["u1"], country=["GB"]))
    made = Lists(recipe.learnt(nothing, leaves_out_seen=True), PLACES)
    ((found, ranked),) = made.of_users(np.array(["u1"]))

    assert (found.num_rows, ranked.num_rows, made.of_items().num_rows) == (0, 0, 0)
    assert made.items({}).num_rows == 1


def test_what_is_relevant_after_a_cut_is_nothing_that_may_not_be_shown(planted, recipe):
    items = replace(planted.items, blocked=np.isin(planted.items.ids, ["i000"]))
    learnt = recipe.learnt(replace(planted, items=items), leaves_out_seen=False)
    _, relevant = relevant_to(learnt.filtering, replace(planted, items=items))

    assert not relevant[:, planted.items.ids.tolist().index("i000")].nnz
