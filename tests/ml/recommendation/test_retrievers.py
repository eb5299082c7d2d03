"""What each retriever finds in planted data, and what none of them ever answers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.recommendation import Items, Known, Users
from ml.recommendation.filtering import Filtering
from ml.recommendation.retrievers import NOTHING, RETRIEVERS, ease
from ml.recommendation.retrievers.declaration import best
from ml.recommendation.retrievers.item_item import likeness
from rekindle.errors import InputError
from tests.ml.recommendation.conftest import A_GROUP, GROUPS, block_of, group_of

PERSONAL = sorted(name for name, one in RETRIEVERS.items() if one.is_personal)


def fitted(name, known, **hyper):
    return RETRIEVERS[name].fit(known, **{**RETRIEVERS[name].defaults, **hyper})


def everybody(known):
    return np.arange(len(known.users.ids))


def ids(known, found, user):
    """The ids of a list."""
    row = found.items[known.interactions.positions([user])[0]]
    return known.items.ids[row[row != NOTHING]].tolist()


def test_these_are_the_retrievers():
    assert set(RETRIEVERS) == {
        "popularity",
        "category_popularity",
        "cohort_popularity",
        "item_item",
        "ease",
        "factorisation",
    }


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(0, 40)), min_size=1, max_size=40),
    st.sets(st.integers(0, 8)),
    st.integers(1, 12),
)
def test_nothing_seen_or_blocked_is_ever_answered(rows, blocked, k):
    names = [str(number) for number in range(9)]
    known = Known.of(
        *([str(row[0]) for row in rows], [str(row[1]) for row in rows], [float(row[2]) for row in rows]),
        items=Items.of(names, [["odd" if int(name) % 2 else "even"] for name in names], blocked=map(str, blocked)),
        users=Users.of([str(number) for number in range(8)], country=["DE", "FR"] * 4),
    )
    had = {(str(user), str(item)) for user, item, _ in rows}
    filtering, users = Filtering(known), everybody(known)
    for name in RETRIEVERS:
        found = fitted(name, known).retrieve(users, k, filtering.exclude(users))

        assert found.items.shape == (len(users), k)
        for user in known.users.ids:
            answered = ids(known, found, user)
            assert len(set(answered)) == len(answered)
            assert not [item for item in answered if (user, item) in had or int(item) in blocked], name
        assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()


@pytest.mark.parametrize("name", sorted(RETRIEVERS))
def test_the_same_rows_in_another_order_give_the_same_lists(planted, name):
    rows, order = planted.interactions, np.random.default_rng(1).permutation(len(planted.interactions))
    again = Known.of(
        *(rows.users[rows.user][order], rows.items[rows.item][order], rows.day[order]),
        items=planted.items,
        users=planted.users,
    )
    one, other = (fitted(name, known).retrieve(everybody(known), 20) for known in (planted, again))

    assert (one.items == other.items).all()
    assert (one.scores == other.scores).all()


@pytest.mark.parametrize("name", PERSONAL)
def test_a_user_gets_the_own_block(planted, name):
    """By lot a quarter would be of it. There are four tastes, so four factors are enough."""
    filtering, users = Filtering(planted), everybody(planted)
    found = fitted(name, planted, **({"factors": 4} if name == "factorisation" else {})).retrieve(
        users, 4, filtering.exclude(users)
    )
    own = [
        block_of(item) == group_of(user)
        for user in planted.users.ids[: GROUPS * A_GROUP]
        if user.startswith("u")
        for item in ids(planted, found, user)
        if item.startswith("i")
    ]

    assert np.mean(own) > 0.8


@pytest.mark.parametrize("name", PERSONAL)
def test_nobody_without_a_history_gets_a_personal_answer(planted, name):
    found = fitted(name, planted).retrieve(everybody(planted), 5)

    assert ids(planted, found, "cold1") == ids(planted, found, "nobody") == []


def test_cohorts_answer_who_did_nothing_yet(planted):
    found = fitted("cohort_popularity", planted, shrinkage=10.0).retrieve(everybody(planted), 5)

    for group in range(GROUPS):
        assert {block_of(item) for item in ids(planted, found, f"cold{group}")} == {group}


def test_who_has_no_attribute_gets_what_everybody_likes(planted):
    shown = ids(planted, fitted("cohort_popularity", planted).retrieve(everybody(planted), 5), "nobody")

    assert shown == ids(planted, fitted("popularity", planted).retrieve(everybody(planted), 5), "nobody")


def test_an_item_without_interactions_enters_by_its_category(planted):
    users = everybody(planted)
    found = {name: fitted(name, planted).retrieve(users, 48, Filtering(planted).exclude(users)) for name in RETRIEVERS}

    assert "new2" in ids(planted, found["category_popularity"], f"u{2 * A_GROUP:03d}")
    for name in set(RETRIEVERS) - {"category_popularity"}:
        assert not [
            item for item in planted.items.ids[found[name].items[found[name].items != NOTHING]] if "new" in item
        ]


def naive_ease(matrix, ridge):
    """Each column from the others by its own regression, as the closed form says it is."""
    width = matrix.shape[1]
    found = np.zeros((width, width))
    for column in range(width):
        others = [at for at in range(width) if at != column]
        x = matrix[:, others]
        found[others, column] = np.linalg.solve(x.T @ x + ridge * np.eye(width - 1), x.T @ matrix[:, column])
    return found


def test_ease_is_a_ridge_regression_of_each_item_on_the_others():
    matrix = (np.random.default_rng(3).random((30, 8)) < 0.3).astype(float)

    assert ease.weights(sp.csr_matrix(matrix), 5.0) == pytest.approx(naive_ease(matrix, 5.0), abs=1e-10)


def test_ease_refuses_more_items_than_it_can_invert_by_name(planted, monkeypatch):
    monkeypatch.setattr(ease, "MAX_ITEMS", 10)

    assert "52 items" in RETRIEVERS["ease"].refuses(planted)
    with pytest.raises(InputError, match="EASE does not learn from these: 52 items"):
        fitted("ease", planted)


def test_likeness_is_the_cosine_with_shrinkage():
    matrix = (np.random.default_rng(3).random((20, 6)) < 0.4).astype(float)
    found = likeness(sp.csr_matrix(matrix), 2.0, None).toarray()
    nearest = likeness(sp.csr_matrix(matrix), 2.0, 2).toarray()

    for one in range(6):
        for other in range(6):
            both, norms = matrix[:, one] @ matrix[:, other], np.sqrt(matrix[:, one].sum() * matrix[:, other].sum())
            assert found[one, other] == pytest.approx(0.0 if one == other else both / (norms + 2.0))
        kept = np.flatnonzero(nearest[one])
        assert len(kept) == 2 and found[one, kept].min() >= np.sort(found[one])[-2] - 1e-12


def test_the_best_are_the_first_of_a_full_sort():
    scores = np.random.default_rng(5).integers(0, 4, size=(50, 12)).astype(float)
    scores[scores == 0] = -np.inf
    found = best(scores, 5)

    for row, line in enumerate(scores):
        wanted = [at for at in sorted(range(12), key=lambda at: (-line[at], at)) if np.isfinite(line[at])][:5]
        assert found.items[row].tolist() == wanted + [NOTHING] * (5 - len(wanted))


def test_nothing_is_learnt_from_nothing():
    known = Known.of([], [], [], items=Items.of(["x"], [["c"]]), users=Users.of(["a"]))

    for name in RETRIEVERS:
        found = fitted(name, known).retrieve(np.array([0]), 3)
        assert (found.items == NOTHING).all()
