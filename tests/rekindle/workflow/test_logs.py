"""Logs of runs are deleted when they are old, and nothing else in the home is."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from rekindle import postgres
from rekindle.settings import settings
from rekindle.workflow import logs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TODAY = date(2026, 5, 20)
RUN = "0" * 32

LOGS = (
    "logs/daily_scores-2017-12-31-0a1b2c3d.log",
    "logs/daily_scores-2017-12-31-0a1b2c3d.error.json",
    "logs/error-20260101T101010.log",
    "logs/airflow/dag_id=daily_scores/run_id=x/task_id=publish/attempt=1.log",
    f"dbt/{RUN}-training/dbt.log",
)
NO_LOGS = ("logs/spark.log", "logs/airflow-setup.log", "dbt/docs/index.html", "reports/2017-12-31.html", "secrets.json")


def write(home: Path, names: tuple[str, ...], age_days: int) -> None:
    at = (datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(age_days)).timestamp()
    for name in names:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for changed in (path, path.parent):
            os.utime(changed, (at, at))


def left(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def test_old_logs_of_runs_go_and_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    monkeypatch.setattr(postgres, "today", lambda: TODAY)
    settings.cache_clear()
    recent = tuple(name.replace("0" * 32, "1" * 32).replace("-20", "-19").replace("=x", "=y") for name in LOGS)
    write(tmp_path, recent, 30)
    write(tmp_path, (*LOGS, *NO_LOGS), 31)

    try:
        assert logs.delete_old() == len(LOGS)
    finally:
        settings.cache_clear()
    assert left(tmp_path) == {*recent, *NO_LOGS}


def test_data_docs_are_kept_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    monkeypatch.setattr(postgres, "today", lambda: TODAY)
    settings.cache_clear()
    write(tmp_path, (f"data_docs/{RUN}/index.html",), settings().data_docs_keep_days + 1)
    write(tmp_path, ("data_docs/recent/index.html",), settings().data_docs_keep_days)

    try:
        assert logs.delete_old() == 1
    finally:
        settings.cache_clear()
    assert left(tmp_path) == {"data_docs/recent/index.html"}


def test_a_home_without_logs_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "none"))
    monkeypatch.setattr(postgres, "today", lambda: TODAY)
    settings.cache_clear()

    assert logs.delete_old() == 0
    settings.cache_clear()
