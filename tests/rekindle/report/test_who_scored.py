"""Which version scored a published day, and who had promoted it: from the histories, the publish log and the promotion log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rekindle import postgres, records
from rekindle.cli import app
from rekindle.errors import InputError
from rekindle.publishing.history import product_publication
from rekindle.records import Promotion
from rekindle.report import who_scored
from tests.rekindle.report.test_scored_by import a_gate

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = date(2017, 6, 14)
NOON = datetime(2017, 6, 15, 12, tzinfo=UTC)


def promoted(version: str, first: date, hours: float, reason: str = "gate passed") -> Promotion:
    return Promotion(1, "recall", version, "a" * 64, first, reason, "run", NOON + timedelta(hours=hours), "airflow")


def test_a_day_keeps_who_had_promoted_its_version_when_it_was_published():
    """Version 2 scored the day and was rolled back the day after; what was published stays its work."""
    log = [promoted("1", DAY - timedelta(7), -200), promoted("2", DAY, -2), promoted("1", DAY, 24, records.ROLLBACK)]

    assert who_scored.brought(log, "2", DAY, NOON) == log[1]
    assert who_scored.in_effect(log, DAY, NOON) == log[1]
    assert who_scored.brought(log, "1", DAY, NOON) == log[0]
    assert who_scored.in_effect(log, DAY - timedelta(1), NOON) == log[0]
    # Published again after the step back.
    assert who_scored.brought(log, "1", DAY, NOON + timedelta(days=2)) == log[2]
    assert who_scored.in_effect(log, DAY, NOON + timedelta(days=2)) == log[0]


def test_a_version_that_was_named_by_hand_has_no_promotion():
    log = [promoted("1", DAY - timedelta(7), -200)]

    assert who_scored.brought(log, "2", DAY, NOON) is None
    assert who_scored.in_effect(log, DAY - timedelta(8), NOON) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=8))
def test_who_is_in_effect_is_the_last_promotion_that_a_day_allows(steps: list[tuple[int, int]]):
    """A log without a step back, against the definition."""
    log = [promoted(str(version), DAY + timedelta(day), n) for n, (version, day) in enumerate(steps)]
    allowed = [p for p in log if p.effective_from_day <= DAY]

    found = who_scored.in_effect(log, DAY, NOON + timedelta(hours=100))
    assert found == (allowed[-1] if allowed else None)
    if found:
        assert who_scored.brought(log, found.version, DAY, NOON + timedelta(hours=100)) == found


def test_who_scored_is_told_of_each_published_day_also_after_its_rows_are_gone(publish: Callable[..., str]):
    later = DAY + timedelta(1)
    records.record_gate(replace(a_gate(), route="first"))
    records.append_promotion("recall", "1", "a" * 64, DAY - timedelta(5), "gate passed", "training")
    for day in (DAY, later):
        publish(day, {"u1": 0.5, "u2": 0.4}, {"u1": Decimal(1)})
    postgres.transact(lambda c: c.execute("delete from sms.recall_scores_history where day = %s", [DAY]))

    gone, there = (day.to_json() for day in who_scored.find(product_publication("recall")))

    assert (gone["day"], gone["version"], gone["users"], gone["told_by"]) == (DAY, "1", None, "promotion_log")
    assert (there["day"], there["version"], there["users"], there["told_by"]) == (later, "1", 2, "rows")
    for told in (gone, there):
        assert (told["gate"], told["route"], told["digest"]) == ("passed", "first", "a" * 64)
        assert told["promoted_at"] < told["published_at"]
        assert told["promoted_by"] == postgres.transact(lambda c: c.execute("select session_user").fetchone())[0]

    asked = CliRunner().invoke(app, ["models", "recall", "--scored", str(DAY), "--to", str(later), "--json"])
    assert [day["version"] for day in json.loads(asked.stdout)["days"]] == ["1", "1"]
    shown = CliRunner().invoke(app, ["models", "recall", "--scored", str(later)])
    assert "passed by route first" in shown.stdout
    with pytest.raises(InputError, match="not_published"):
        CliRunner().invoke(app, ["models", "recall", "--scored", "2001-01-01"], catch_exceptions=False)
    with pytest.raises(InputError, match="asked of a product and a day"):
        CliRunner().invoke(app, ["models", "--scored", str(DAY)], catch_exceptions=False)


def test_the_promotion_log_is_only_ever_added_to(publish: Callable[..., str]):  # noqa: ARG001 - a database of the test's own
    records.append_promotion("recall", "1", "a" * 64, DAY, "gate passed", "training")

    for change in ("update rekindle.promotion set version = '2'", "delete from rekindle.promotion"):
        with pytest.raises((InputError, psycopg.Error), match="only ever added"):
            postgres.transact(lambda c, change=change: c.execute(change))
    assert [p.version for p in records.promotions("recall")] == ["1"]
