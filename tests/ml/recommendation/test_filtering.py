"""What may not be answered, and what is said of a rule that is off."""

from __future__ import annotations

import numpy as np

from ml.recommendation import Items, Known, Users
from ml.recommendation.filtering import Filtering

ROWS = (["a", "b"], ["x", "y"], [1, 2])


def excluded(known, user, **more):
    found = Filtering(known, **more).exclude(known.interactions.positions([user]))[0]
    return set(known.items.ids[found].tolist())


def test_what_was_had_is_left_out_unless_a_setting_says_otherwise():
    known = Known.of(*ROWS)

    assert excluded(known, "a") == {"x"}
    assert excluded(known, "a", leaves_out_seen=False) == set()


def test_what_is_blocked_or_out_of_stock_is_left_out_for_all():
    """Of z the stock is not known: it is there."""
    known = Known.of(*ROWS, items=Items.of(["x", "y", "z"], blocked=["y"], in_stock=[False, True, None]))

    assert excluded(known, "a") == excluded(known, "b") == {"x", "y"}


def test_a_user_gets_what_is_sold_in_the_own_country():
    """To whom has no country, what is sold everywhere."""
    known = Known.of(
        *ROWS,
        items=Items.of(["x", "y", "z"], countries=[["DE"], ["FR"], None]),
        users=Users.of(["a", "b"], country=["DE", None]),
    )

    assert excluded(known, "a", leaves_out_seen=False) == {"y"}
    assert excluded(known, "b", leaves_out_seen=False) == {"x", "y"}


def test_a_rule_without_data_is_named_as_off():
    told = [str(state) for state in Filtering(Known.of(*ROWS), leaves_out_seen=False).states]

    assert told == [
        "seen: off, by setting",
        "blocked: off, no item is said to be blocked or not",
        "in_stock: off, items do not say whether they are in stock",
        "countries: off, items have no countries",
    ]


def test_countries_of_items_are_off_where_users_have_none():
    known = Known.of(*ROWS, items=Items.of(["x"], countries=[["DE"]]))

    assert str(Filtering(known).states[-1]) == "countries: off, users have no country"
    assert excluded(known, "b") == {"y"}


def test_no_users_are_no_rows():
    assert Filtering(Known.of(*ROWS)).exclude(np.zeros(0, int)).shape == (0, 2)
