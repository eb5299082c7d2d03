"""What an erasure records of people in Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle import records
from rekindle.erasure import database as erasing
from rekindle.erasure.people import People

if TYPE_CHECKING:
    from tests.rekindle.conftest import Database


def test_phones_are_remembered_across_attempts_and_nobody_needs_to_have_one(database: Database):  # noqa: ARG001 - asked
    """Somebody without a contact is erased as well; a later attempt adds to what an earlier one has found."""
    both = ("a", "b")
    erasing.begin(both, None, records.new_run_id())

    erasing.remember(People(frozenset(both)))
    assert erasing.remembered(both).phone_hmacs == set()

    erasing.remember(People(frozenset(both), phone_hmacs=frozenset({"2", "1"})))
    erasing.remember(People(frozenset("a"), phone_hmacs=frozenset({"1", "3"})))
    erasing.remember(People(frozenset("a")))
    assert erasing.remembered("a").phone_hmacs == {"1", "2", "3"}
    assert erasing.remembered("b").phone_hmacs == {"1", "2"}
