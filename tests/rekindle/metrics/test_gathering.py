"""What a monitor is told: from rows, from a real Postgres, and where there is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from typer.testing import CliRunner

from rekindle import granting, metrics, postgres, records
from rekindle.cli import app
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.metrics.gathering import QUESTIONS, About, champions, names, told
from rekindle.publishing import due_day
from rekindle.records import CheckResult, Gate, Promotion
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from pathlib import Path

MONDAY, TUESDAY = date(2017, 6, 5), date(2017, 6, 6)
AT = datetime(2017, 6, 6, 3, tzinfo=UTC)


def samples(found: list[metrics.Metric]) -> dict[tuple[str, ...], float]:
    """Value by name and labels."""
    return {(metric.name, *sample.labels.values()): sample.value for metric in found for sample in metric.samples}


def test_a_row_has_no_sample_of_what_is_null():
    rows: list[dict[str, Any]] = [
        {"source": "users", "a": 1, "b": None},
        {"source": None, "a": 2, "b": 3},
    ]

    assert samples(told(rows, [About(("source",), {"a": "A.", "b": "B."})])) == {("a", "users"): 1}


def promotion(product: str, version: str, reason: str = "better") -> Promotion:
    return Promotion(0, product, version, "d", MONDAY, reason, "r", AT)


@pytest.mark.parametrize(
    ("log", "champion"),
    [
        ([("recall", "1")], {"recall": "1"}),
        ([("recall", "1"), ("ltv", "7"), ("recall", "2")], {"ltv": "7", "recall": "2"}),
        ([("recall", "1"), ("recall", "2"), ("recall", "1", "rollback")], {"recall": "1"}),
        ([("recall", "1"), ("recall", "", "rollback")], {}),
        ([], {}),
    ],
)
def test_a_champion_is_whom_no_rollback_has_withdrawn(log: list[tuple[str, ...]], champion: dict[str, str]):
    found = champions([promotion(*one) for one in log])

    assert {row["product"]: row["version"] for row in found} == champion
    assert all(row["rekindle_champion_from_day_timestamp_seconds"] == 1496620800 for row in found)


def test_no_postgres_is_one_metric_and_a_reason_without_its_password(monkeypatch, caplog):
    monkeypatch.setenv("REKINDLE_DATABASE_URL", "postgresql://nobody:not-to-be-told@127.0.0.1:1/none")
    settings.cache_clear()

    assert metrics.exposition(metrics.gather_or_down()).endswith("rekindle_up 0\n")
    assert "127.0.0.1" in caplog.text and "not-to-be-told" not in caplog.text
    with pytest.raises(InputError, match="postgres_unavailable"):
        metrics.gather()


def test_each_metric_has_a_name_as_prometheus_wants_it_and_is_explained():
    page = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")

    assert len(set(names())) == len(names())
    for name in names():
        assert re.fullmatch(r"rekindle_[a-z_]+", name)
        assert f"`{name}`" in page, f"docs/metrics.md does not say what {name} is."


def test_no_label_and_no_question_is_about_people():
    """Whoever may read the metrics may not read who anybody is."""
    labels = {label for question in QUESTIONS for about in question.about for label in about.labels}

    assert labels == {"table", "publication", "kind", "status", "stage", "source", "severity", "code"}
    for question in QUESTIONS:
        assert not re.search(r"user_id|phone|sms\.audience|permission|assignment|error", question.sql)


def test_alerts_ask_for_metrics_that_there_are():
    rules = yaml.safe_load((PROJECT / "docker" / "metrics" / "alerts.yml").read_text(encoding="utf-8"))
    asked = {
        name
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\brekindle_\w+", rule["expr"])
    }

    assert len(asked) > 5
    assert asked <= set(names())


# On a real Postgres


@pytest.fixture
def recorded(database) -> None:
    """A daily run of Tuesday with two ingestions, checks and a publish, and what went before."""
    old = records.start_run("daily", Days.one(MONDAY))
    records.record_checks(old, MONDAY, "scores.recall_daily", [CheckResult("unique", "stop", "failed", 3)])
    records.finish_run(old, "failed", "a check said no")
    run = records.start_run("daily", Days.one(TUESDAY))
    with records.stage(run, TUESDAY, "ingest users") as notes:
        notes.detail = {"delivered": 10, "loaded": 7, "duplicates": 1, "quarantined": 2}
    with records.stage(run, TUESDAY, "publish") as notes:
        notes.row_count = 5
    for outcome in ("failed", "passed"):  # a second try replaces the first
        records.record_checks(run, TUESDAY, "raw.users", [CheckResult("rows_change_by", "stop", outcome)])
    records.record_checks(run, TUESDAY, "raw.orders", [CheckResult("rows_change_by", "warn", "failed")])
    records.finish_run(run, "done")
    records.start_run("backfill", Days.between(MONDAY, TUESDAY))
    records.append_promotion("recall", "4", "d" * 64, TUESDAY, "better", run)
    for version, day, digest in (("4", MONDAY, "d"), ("5", TUESDAY, "e")):
        records.record_gate(Gate("recall", version, digest * 64, True, "", {}, None, day))
    database.execute(
        "insert into rekindle.suppression (day, table_name, code, users)"
        " values ('2017-06-05', 'sms.audience', 'eligible', 9), ('2017-06-06', 'sms.audience', 'eligible', 4)"
    )
    due = due_day()
    for table, behind in (("sms.audience", 0), ("sms.ltv_scores", 2)):
        database.execute(
            "insert into rekindle.freshness values (%s, %s, 5, clock_timestamp(), clock_timestamp() + interval '1 day')",
            table,
            due - timedelta(behind),
        )
    for changed, is_current in ((5, True), (2, True), (99, False)):
        database.execute(
            "insert into rekindle.publish_log"
            " (day, run_id, product, is_current, row_count, changed_count, content_digest, published_at)"
            " values ('2017-06-06', 'r', 'recall', %s, 5, %s, 'd', clock_timestamp())",
            is_current,
            changed,
        )


@pytest.mark.usefixtures("recorded")
def test_what_is_recorded_is_told():
    found = samples(metrics.gather())

    expected = {
        ("rekindle_up",): 1,
        ("rekindle_published_fresh", "sms.audience"): 1,
        ("rekindle_published_fresh", "sms.ltv_scores"): 0,
        ("rekindle_published_days_behind", "sms.audience"): 0,
        ("rekindle_published_days_behind", "sms.ltv_scores"): 2,
        ("rekindle_published_rows", "sms.audience"): 5,
        ("rekindle_published_changed_rows", "recall"): 2,
        ("rekindle_runs", "daily", "done"): 1,
        ("rekindle_runs", "daily", "failed"): 1,
        ("rekindle_runs", "backfill", "running"): 1,
        ("rekindle_stage_failed", "publish"): 0,
        ("rekindle_delivered_rows", "users"): 10,
        ("rekindle_loaded_rows", "users"): 7,
        ("rekindle_duplicate_rows", "users"): 1,
        ("rekindle_quarantined_rows", "users"): 2,
        ("rekindle_checks", "stop"): 1,
        ("rekindle_checks_failed", "stop"): 0,
        ("rekindle_checks_failed", "warn"): 1,
        ("rekindle_audience_users", "sms.audience", "eligible"): 4,
        ("rekindle_champion", "recall", "4"): 1,
        ("rekindle_champion_from_day_timestamp_seconds", "recall"): 1496707200,
        ("rekindle_checks_day_timestamp_seconds", "stop"): 1496707200,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["rekindle_stage_duration_seconds", "publish"] >= 0
    assert found["rekindle_waiting_since_timestamp_seconds", "recall", "5"] > 1.7e9
    assert ("rekindle_waiting_since_timestamp_seconds", "recall", "4") not in found
    assert found["rekindle_run_last_duration_seconds", "daily", "done"] >= 0
    assert ("rekindle_run_last_duration_seconds", "backfill", "running") not in found
    assert found["rekindle_run_running_since_timestamp_seconds", "backfill"] > 1.7e9
    assert {name for name, *_ in found} == set(names())


@pytest.mark.usefixtures("recorded")
def test_the_command_tells_them_once():
    told_ = CliRunner().invoke(app, ["metrics"])
    data = CliRunner().invoke(app, ["metrics", "--json"])

    assert told_.exit_code == data.exit_code == 0
    assert 'rekindle_published_rows{table="sms.audience"} 5\n' in told_.stdout
    assert {"name": "rekindle_up", "labels": {}, "value": 1.0} in json.loads(data.stdout)["metrics"]


def test_before_anything_has_run_only_that_it_is_up(database: Any):  # noqa: ARG001 - must be there, and empty
    assert samples(metrics.gather()) == {("rekindle_up",): 1}


def test_a_role_of_its_own_can_read_them_and_nothing_about_people(database: Any, monkeypatch: pytest.MonkeyPatch):
    """Once it is there a migration grants it what it reads; without it nothing is granted and nothing fails."""
    role = f"metrics_{uuid4().hex[:8]}"
    reader = replace(granting.METRICS, role=role)
    postgres.transact(lambda connection: granting.let_read(connection, (reader,)))
    database.execute(f"create role {role} login password '{'x' * 12}'")
    try:
        postgres.transact(lambda connection: granting.let_read(connection, (reader,)))
        database.use(monkeypatch, user=role, password="x" * 12)
        assert samples(metrics.gather())["rekindle_up",] == 1
        for about_people in ("sms.audience", "rekindle.permission"):
            with pytest.raises(InputError, match="permission denied"):
                postgres.transact(lambda connection, table=about_people: connection.execute(f"select * from {table}"))
    finally:
        postgres.disconnect()
        database.execute(f"drop owned by {role}")
        database.execute(f"drop role {role}")


def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: ARG001
    monkeypatch.setenv("REKINDLE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    with metrics.server("127.0.0.1", 0) as taken, pytest.raises(InputError, match="Nothing can be served"):
        CliRunner().invoke(app, ["metrics", "--port", str(taken.server_port)], catch_exceptions=False)
