"""What is known, whatever order and form it comes in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ml.recommendation import Interactions, Items, Known, Users
from rekindle.errors import InputError

ROWS = [("b", "y", 3.0), ("a", "x", 1.0), ("a", "y", 2.0), ("a", "x", 5.0)]


def of(rows, **more):
    return Interactions.of(*(list(column) for column in zip(*rows, strict=True)), **more)


def test_the_order_of_rows_changes_nothing():
    one, other = of(ROWS), of(ROWS[::-1])

    for name in ("users", "items", "user", "item", "day", "weight"):
        assert (getattr(one, name) == getattr(other, name)).all()


def test_columns_may_be_arrows():
    user_id, item_id, day = zip(*ROWS, strict=True)
    found = Interactions.of(pa.array(user_id), pa.chunked_array([item_id[:1], item_id[1:]]), pa.array(day))

    assert (found.matrix != of(ROWS).matrix).nnz == 0


def test_days_may_be_dates():
    found = Interactions.of(["a"], ["x"], np.array(["1970-01-03T12:00:00"], "datetime64[us]"))

    assert found.day.tolist() == [2.5]


def test_weights_of_a_pair_add_up():
    found = of(ROWS)

    assert found.matrix.toarray().tolist() == [[2, 1], [0, 1]]
    assert found.strength.toarray().tolist() == [[np.log2(3), 1], [0, 1]]
    assert found.popularity().tolist() == [1, 2]


def test_popularity_of_a_window_counts_back_from_the_last_day():
    assert of(ROWS).popularity(3.0).tolist() == [1, 1]
    assert of(ROWS).popularity(2.0).tolist() == [1, 0]


def test_a_history_forgets_by_items_and_counts_the_latest():
    """Of a, x was had again after y: nothing came later than x, and one item later than y."""
    assert of(ROWS).history(1.0).toarray().tolist() == [[np.log2(3), 0.5], [0, 1]]
    assert (of(ROWS).history(None) != of(ROWS).strength).nnz == 0


def test_users_and_items_without_interactions_are_known():
    known = Known.of(
        ["a"], ["x"], [1], items=Items.of(["w", "z"], [["new"], []]), users=Users.of(["c"], country=["DE"])
    )

    assert known.interactions.shape == (2, 3)
    assert known.items.categories.toarray().tolist() == [[1], [0], [0]]
    assert known.users.attributes["country"].tolist() == ["", "DE"]
    assert known.interactions.positions(["c", "nobody", "a"]).tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ((["a"], ["x", "y"], [1]), "differ in length"),
        ((["a"], ["x"], [float("nan")]), "has no day"),
        ((["a"], ["x"], np.array(["NaT"], "datetime64[s]")), "has no day"),
        ((["a"], ["x"], [1], [0]), "not above zero"),
        ((["a"], ["x"], [1], [float("inf")]), "not above zero"),
    ],
)
def test_columns_that_say_nothing_are_refused(columns, why):
    with pytest.raises(InputError, match=why):
        Interactions.of(*columns)


def test_an_item_stands_once_and_so_does_a_user():
    with pytest.raises(InputError, match="twice"):
        Items.of(["x", "x"])
    with pytest.raises(InputError, match="twice"):
        Users.of(["a", "a"])
