"""Watching what is published, on a real Postgres."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ml.products import product_named
from rekindle import records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.watching import published
from tests.rekindle.publishing.test_publishing import recall_rows

RECALL = product_named("recall")
DAY = date(2024, 3, 10)
WEEK_BEFORE = DAY - timedelta(7)


@pytest.fixture
def publish_day(database):  # noqa: ARG001 - it is published there
    """Publish scores of 800 users whose probabilities end at `most`."""

    def do(day: date, most: float) -> str:
        run_id = records.start_run("daily", Days.one(day))
        rows = [{"user_id": f"u{n:04}", "return_probability": most * n / 800, "raw_score": n / 800} for n in range(800)]
        publish({RECALL: recall_rows(*rows, day=day)}, day, run_id)
        return run_id

    return do


def test_scores_that_have_moved_are_a_warning_and_those_that_have_not_are_none(publish_day):
    publish_day(WEEK_BEFORE, 0.5)
    run_id = publish_day(DAY, 0.5)
    (steady, *_) = published.watch(DAY, WEEK_BEFORE, run_id)
    publish_day(DAY, 0.35)
    (moved, *_) = published.watch(DAY, WEEK_BEFORE, run_id)

    assert (steady.rule, steady.outcome) == ("drift of return_probability", "passed")
    assert (moved.outcome, moved.severity, moved.detail["rows"]) == ("failed", "warn", 800)
    recorded = {(c.table_name, c.rule): c.outcome for c in records.checks(run_id=run_id, day=DAY)}
    assert recorded["sms.recall_scores, watched", "drift of return_probability"] == "failed"


def test_without_a_week_before_there_is_nothing_to_say(publish_day):
    assert published.watch(DAY, WEEK_BEFORE, publish_day(DAY, 0.5)) == []


def test_codes_are_counted_by_day_and_compared_with_the_week_before(publish_day, database):
    published.watch(WEEK_BEFORE, WEEK_BEFORE - timedelta(7), publish_day(WEEK_BEFORE, 0.5))
    run_id = publish_day(DAY, 0.5)
    # As if consents had been known a week before.
    database.execute("update rekindle.suppression set users = 100 where day = %s", WEEK_BEFORE)
    database.execute(
        "insert into rekindle.suppression (day, table_name, code, users) values (%s, 'sms.audience', 'eligible', 700)",
        WEEK_BEFORE,
    )

    results = {r.rule: r.outcome for r in published.watch(DAY, WEEK_BEFORE, run_id)}

    assert {results[f"share of {code}"] for code in ("eligible", "no_consent")} == {"failed"}
    assert database.value("select sum(users)::int from rekindle.suppression where day = %s", DAY) == 800
