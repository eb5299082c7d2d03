"""What Rekindle records about its runs, on a real Postgres."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.records import Build, CheckResult, Input

MONDAY = date(2017, 6, 5)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def run_id(database):  # noqa: ARG001 - the run is recorded there
    return records.start_run("daily", Days.between(MONDAY, TUESDAY), dag_run_id="manual__1")


# Runs, stages, checks


def test_a_run_is_recorded_with_the_times_of_postgres(database, run_id):
    records.finish_run(run_id, "done")

    (run,) = records.runs(TUESDAY)
    assert (run.run_id, run.kind, run.dag_run_id) == (run_id, "daily", "manual__1")
    assert (run.first_day, run.last_day, run.status, run.error) == (MONDAY, TUESDAY, "done", None)
    assert run.started_at <= run.finished_at <= database.value("select clock_timestamp()")
    assert records.runs(TUESDAY + timedelta(days=1)) == []


def test_a_failed_run_that_is_started_again_is_running(run_id):
    records.finish_run(run_id, "failed", "users: no delivery\x00")
    assert records.runs(MONDAY)[0].error == "users: no delivery\ufffd"

    assert records.start_run("daily", Days.between(MONDAY, TUESDAY), run_id=run_id) == run_id

    (run,) = records.runs(MONDAY)
    assert (run.status, run.finished_at, run.error) == ("running", None, None)


def test_a_run_of_a_process_that_ended_without_a_word_is_closed_by_the_next(database):  # noqa: ARG001 - recorded there
    dead = records.start_run("train", Days.one(MONDAY))

    with records.own_run("promote", Days.one(MONDAY)) as alive:
        found = {run.run_id: run for run in records.runs(MONDAY)}
        assert (found[dead].status, found[dead].error) == ("failed", records.DIED)
        # Whoever else begins finds that this one lives.
        assert records.close_dead_runs() == 0
        assert records.find_run(alive).status == "running"

    assert records.find_run(alive).status == "done"


def test_a_run_that_fails_says_why_without_what_a_foreign_error_may_quote(database):  # noqa: ARG001 - recorded there
    for error, told in (
        (InputError("No.", todo="Do."), "No. Do. Nothing was written."),
        (ValueError("u-1"), "ValueError"),
    ):
        with suppress(type(error)), records.own_run("train", Days.one(MONDAY)) as run_id:
            raise error
        assert (records.find_run(run_id).status, records.find_run(run_id).error) == ("failed", told)


def test_a_daily_run_of_a_command_is_dead_when_nobody_holds_its_day(database):  # noqa: ARG001 - recorded there
    """That of Airflow's scheduler is its own: nobody here knows whether it goes on."""
    of_command = records.start_run("daily", Days.one(MONDAY), dag_run_id=f"daily_scores__{MONDAY}__0123abcd")
    scheduled = records.start_run("daily", Days.one(MONDAY), dag_run_id=f"daily_scores__{MONDAY}__scheduled__x")

    with postgres.run_lock(MONDAY):
        assert records.close_dead_runs() == 0
        assert records.close_dead_runs(held_day=TUESDAY) == 0
    # Postgres frees a lock when it has noticed that the session has ended.
    until = time.monotonic() + 10
    while records.close_dead_runs() == 0 and time.monotonic() < until:
        time.sleep(0.05)

    assert records.find_run(of_command).status == "failed"
    assert records.find_run(scheduled).status == "running"
    assert records.close_run_of(f"daily_scores__{MONDAY}__scheduled__x", "its task died").run_id == scheduled
    assert records.find_run(scheduled).error == "its task died"
    assert records.close_run_of(f"daily_scores__{MONDAY}__scheduled__x", "again") is None


def test_a_stage_that_runs_again_replaces_its_record(run_id):
    with records.stage(run_id, MONDAY, "ingest") as notes:
        notes.row_count = 3
    with records.stage(run_id, MONDAY, "ingest") as notes:
        notes.row_count = 5
        notes.detail["sources"] = ["users", "orders"]

    (stage,) = records.stages(run_id=run_id)
    assert (stage.stage, stage.status, stage.row_count) == ("ingest", "done", 5)
    assert stage.detail == {"sources": ["users", "orders"]}
    assert 0 <= stage.seconds < 5


def test_a_failing_stage_is_recorded_and_still_fails(run_id):
    with pytest.raises(ValueError, match="broken"), records.stage(run_id, MONDAY, "ingest"):
        raise ValueError("broken")

    assert [stage.status for stage in records.stages(day=MONDAY)] == ["failed"]
    assert records.stages(run_id=run_id, day=TUESDAY) == []


def test_earlier_stages_and_runs_tell_how_long_the_next_takes(database, run_id):
    """Those that ended well: over how many days each was said to go, else over those of its run."""
    week = Days.between(MONDAY, MONDAY + timedelta(6))
    history = records.start_run("history", week)
    with records.stage(history, week.last, "features.user") as notes:
        notes.detail = {"days": 3}
    with records.stage(history, week.last, "ingest"):
        pass
    with pytest.raises(ValueError, match="broken"), records.stage(run_id, MONDAY, "ingest"):
        raise ValueError("broken")
    database.execute("update rekindle.stage set seconds = 12.5 where stage = 'ingest'")

    assert records.durations("ingest") == [(7, 12.5)]
    assert [days for days, _ in records.durations("features.user")] == [3]
    assert records.run_seconds("daily") is None
    for took in (5, 7, 90):
        done = records.start_run("daily", Days.one(MONDAY))
        records.finish_run(done, "done")
        database.execute(
            f"update rekindle.run set started_at = finished_at - interval '{took} s' where run_id = %s", done
        )
    assert records.run_seconds("daily") == 7


def test_checks_that_run_again_replace_their_results(run_id):
    old = [CheckResult("key is unique", "stop", "failed", 2), CheckResult("gone", "warn", "passed")]
    new = [CheckResult("key is unique", "stop", "passed"), CheckResult("rows change", "stop", "not_judged")]
    records.record_checks(run_id, MONDAY, "raw.users", old)
    records.record_checks(run_id, MONDAY, "raw.orders", old)
    records.record_checks(run_id, MONDAY, "raw.users", new)

    found = [c for c in records.checks(run_id=run_id) if c.table_name == "raw.users"]
    assert {(c.rule, c.severity, c.outcome, c.failed_rows) for c in found} == {
        (c.rule, c.severity, c.outcome, c.failed_rows) for c in new
    }
    assert len(records.checks(day=MONDAY)) == 4


def test_whatever_a_check_found_can_be_recorded(run_id):
    detail = {"mean": float("nan"), "max": float("inf"), "day": MONDAY, "sum": Decimal("1.50"), "ids": ("a\x00b", None)}
    records.record_checks(run_id, MONDAY, "raw.users", [CheckResult("r", "warn", "failed", 1, detail)])

    (check,) = records.checks(day=MONDAY)
    assert check.detail == {"mean": "nan", "max": "inf", "day": "2017-06-05", "sum": "1.50", "ids": ["a\ufffdb", None]}


# Builds, snapshots, promotions


def test_a_build_is_replaced_with_its_inputs(run_id):
    used = {"raw.orders": Input(MONDAY, TUESDAY, "f1"), "raw.users": Input(TUESDAY, TUESDAY, "f2")}
    records.record_builds([Build("features.user", day, "b1", run_id, 2**60, used) for day in (MONDAY, TUESDAY)])
    records.record_builds([Build("features.user", TUESDAY, "b2", run_id, None)])

    found = records.builds("features.user", MONDAY, TUESDAY)

    assert list(found) == [MONDAY, TUESDAY]
    assert (found[MONDAY].build_id, found[MONDAY].snapshot_id, found[MONDAY].inputs) == ("b1", 2**60, used)
    assert (found[TUESDAY].build_id, found[TUESDAY].snapshot_id, found[TUESDAY].inputs) == ("b2", None, {})
    assert records.builds("features.user", TUESDAY, TUESDAY).keys() == {TUESDAY}


def test_builds_are_recorded_all_or_none(run_id):
    backwards = Build("features.user", TUESDAY, "b", run_id, 1, {"raw.users": Input(TUESDAY, MONDAY, "f")})

    with pytest.raises(psycopg.errors.CheckViolation):
        records.record_builds([Build("features.user", MONDAY, "b", run_id, 1), backwards])

    assert records.builds("features.user", MONDAY, TUESDAY) == {}


def test_a_run_names_the_snapshots_it_read(run_id):
    records.record_snapshots(run_id, {"raw.users": 7, "raw.orders": 2**62})
    records.record_snapshots(run_id, {"raw.users": 8})
    records.record_snapshots(run_id, {"raw.users": 8})

    assert records.snapshots(run_id) == {"raw.orders": [2**62], "raw.users": [7, 8]}


def test_the_promotion_log_keeps_order_and_takes_a_repetition_for_the_same(run_id):
    other_run = records.start_run("train", Days.one(TUESDAY))
    records.append_promotion("recall", "1", "d1", MONDAY, "first champion", run_id)
    records.append_promotion("recall", "2", "d2", TUESDAY, "better", other_run)
    records.append_promotion("recall", "2", "d2", TUESDAY, "better", other_run)
    records.append_promotion("recall", "1", "d1", TUESDAY, "rollback", records.new_run_id())
    records.append_promotion("ltv", "1", "d3", MONDAY, "first champion", run_id)

    assert [(p.version, p.reason) for p in records.promotions("recall")] == [
        ("1", "first champion"),
        ("2", "better"),
        ("1", "rollback"),
    ]
