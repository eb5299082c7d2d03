"""Whom a message may move: the order of users, and the declaration that it comes from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from rekindle import postgres
from rekindle.errors import InputError
from rekindle.publishing import publications, stake
from tests.rekindle.report.conftest import publish  # noqa: F401 - the fixture

if TYPE_CHECKING:
    from rekindle.publishing.stake import AtStake

DAY = date(2017, 6, 14)
CHANCES = {"sure": 0.95, "likely": 0.6, "even": 0.5, "hardly": 0.05, "worthless": 0.2}
WORTH_90 = {"sure": Decimal(400), "likely": Decimal(300), "even": Decimal(100), "worthless": Decimal(0)}


def find(limit: int = 10) -> AtStake | None:
    return postgres.transact(lambda connection: stake.find(connection, DAY, limit))


def test_the_most_at_stake_comes_first_and_not_the_surest_return(publish):  # noqa: F811
    """A return is worth half of 90 days here: likely .4 x 150, even .5 x 50, sure .05 x 200; whoever has no value comes last."""
    publish(DAY, CHANCES, WORTH_90)

    found = find(limit=5)

    assert found is not None and found.is_value
    assert found.total == find(limit=1).total == Decimal(95)  # of all users, however many are shown
    assert [(row["user_id"], row[stake.VALUE]) for row in found.rows] == [
        ("likely", Decimal(60)),
        ("even", Decimal(25)),
        ("sure", Decimal(10)),
        ("worthless", Decimal(0)),
        ("hardly", None),
    ]
    assert found.used == ("return_probability", "value_if_returns")
    assert "value at stake" in found.says


def test_without_any_amount_the_undecided_come_first(publish):  # noqa: F811
    """p(1 - p): .25, .24, .16, then the two ends, which differ in nothing; no amount is made up."""
    publish(DAY, CHANCES, {"another": Decimal(5)})

    found = find()

    assert found is not None and not found.is_value
    assert [row["user_id"] for row in found.rows] == ["even", "likely", "worthless", "hardly", "sure"]
    assert {row[stake.VALUE] for row in found.rows} == {found.total} == {None}
    assert "not known what a return is worth" in found.says


@pytest.mark.usefixtures("database")
def test_a_day_that_was_not_published_has_no_list():
    assert find() is None


def test_what_is_at_stake_is_declared_whole_by_what_tools_send_from():
    sent = stake.leader()

    assert sent is not None and sent.of == "recall_scores"
    with pytest.raises(InputError, match="what is at stake"):
        publications._refuse_what_does_not_fit(replace(sent, at_stake={"value": "1"}))
    with pytest.raises(InputError, match="what is at stake"):
        publications._refuse_what_does_not_fit(replace(sent, of=None))
