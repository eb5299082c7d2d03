"""What of a history is missing, was delivered again, or is scored, from records in a real Postgres and files."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from ml.products import product_named
from rekindle import records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.zone import LandingZone
from rekindle.records import Build
from rekindle.settings import settings
from rekindle.workflow import due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = date(2023, 5, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(9))
RECALL = product_named("recall")


@pytest.fixture
def deliver(database, tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:  # noqa: ARG001 - what is built is recorded there
    """Deliver a source, empty, on days that are counted from 1."""
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path))
    settings.cache_clear()

    def delivered(source: str, *numbers: int) -> None:
        for number in numbers:
            folder = tmp_path / source / f"day={DAYS.all[number - 1]}"
            folder.mkdir(parents=True)
            (folder / "_SUCCESS").touch()

    yield delivered
    settings.cache_clear()


def built(table: str, *numbers: int, run_id: str = "a run") -> None:
    records.record_builds([Build(table, DAYS.all[number - 1], "build", run_id, None) for number in numbers])


def test_a_delivery_that_was_looked_for_and_comes_later_is_news(deliver):
    """Of a source that had delivered nothing then, before the first one of a source, and after its last."""
    built("features.user_day", *range(1, 9))
    built("raw.orders", 3, 4)
    deliver("orders", 1, 3, 8, 9)
    deliver("events", 2)

    assert due.redelivered() == {
        "events": [DAYS.all[1]],
        "orders": [DAYS.all[0], DAYS.all[2], DAYS.all[7]],
    }


def test_holes_of_a_range_are_told_and_what_was_not_yet_expected_is_none(deliver):
    deliver("users", *range(1, 11))
    deliver("orders", 3, 4, 6, 7, 8, 10)

    assert due.absent(LandingZone(), DAYS) == {"orders": [DAYS.all[4], DAYS.all[8]]}


def test_of_events_and_orders_one_is_required(deliver):
    deliver("users", *range(1, 11))
    with pytest.raises(
        InputError, match=rf"no_delivery: .*events/day={DAYS.last}.*orders/day={DAYS.last}.* one is enough"
    ):
        due.absent(LandingZone(), DAYS)

    deliver("events", *range(1, 11))
    assert due.absent(LandingZone(), DAYS) == {}
    assert LandingZone().missing(DAYS.last) == []


def test_a_range_of_which_nothing_was_delivered_is_refused(deliver):
    deliver("users", 1)
    deliver("orders", 1)

    with pytest.raises(InputError, match=rf"no_delivery: .*users/day={DAYS.last}/_SUCCESS"):
        due.absent(LandingZone(), Days.between(DAYS.all[4], DAYS.last))


def test_a_range_before_the_first_users_is_refused(deliver):
    deliver("users", 9)
    deliver("orders", 1, 2)

    with pytest.raises(InputError, match="no_delivery"):
        due.absent(LandingZone(), Days.between(FIRST, DAYS.all[4]))


@pytest.mark.usefixtures("deliver")
def test_a_day_is_scored_when_the_run_that_scored_it_has_ended_well():
    day = Days.one(FIRST)
    failed, done = (records.start_run("backfill", day) for _ in range(2))
    records.finish_run(failed, "failed", "published nothing")
    records.finish_run(done, "done")
    assert not due.is_scored(FIRST, [RECALL], {})

    built(RECALL.table, 1, run_id=failed)
    assert not due.is_scored(FIRST, [RECALL], {})

    built(RECALL.table, 1, run_id=done)
    assert due.is_scored(FIRST, [RECALL], {})
    assert not due.is_scored(FIRST, [RECALL], {RECALL.table: [FIRST]})
    assert not due.is_scored(FIRST, [RECALL, product_named("ltv")], {})

    # Back to the champion before, for this day as well.
    records.append_promotion(RECALL.name, "1", "a" * 64, FIRST, "rollback", done)
    assert not due.is_scored(FIRST, [RECALL], {})


def test_nothing_is_made_of_a_history_that_daily_runs_alone_have_use_for():
    """Who might have been texted on a day of last year is asked by nobody."""
    month = Days.between(FIRST, FIRST + timedelta(30))

    tables = due.wanted(month, [])

    assert {"permission.numbers", "permission.opt_outs", "marts.recall_population"} <= tables.keys()
    assert not {"marts.permission", "marts.profile", "marts.recent_assignments"} & tables.keys()
