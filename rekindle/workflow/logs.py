"""Logs and Data Docs that runs leave in the home, a file or a folder each, and which nobody reads months later."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from rekindle import postgres
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OF_A_RUN = re.compile(r".+-\d{4}-\d{2}-\d{2}-[0-9a-f]{8}(\.error\.json|\.log)|error-\d{8}T\d{6}\.log")
"""Of a command's Airflow process, or of an error that nobody foresaw. Others are of servers, which go on writing to them."""

OF_DBT = re.compile(r"[0-9a-f]{32}-.+")
"""Where dbt built a group of marts, by run. Other folders are of commands, which write them anew."""


def delete_old() -> int:
    """
    Delete logs older than `logs_keep_days` and Data Docs older than `data_docs_keep_days`, by Postgres' clock.

    Returns how many they were.
    """
    conf, today = settings(), datetime.combine(postgres.today(), time(), UTC)
    kept = ((_of_runs(conf.home), conf.logs_keep_days), (_data_docs(conf.home), conf.data_docs_keep_days))
    old = [
        path
        for paths, keep_days in kept
        for path in paths
        if path.lstat().st_mtime < (today - timedelta(keep_days)).timestamp()
    ]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(old)


def _data_docs(home: Path) -> Iterator[Path]:
    """The folders of Great Expectations' pages, one a run."""
    yield from (path for path in (home / "data_docs").glob("*") if path.is_dir() and not path.is_symlink())


def _of_runs(home: Path) -> Iterator[Path]:
    """Files of commands, Airflow's of each task, and the folders in which dbt ran. Pages that people look at are no logs."""
    logs = home / "logs"
    yield from (path for path in logs.glob("*") if OF_A_RUN.fullmatch(path.name))
    yield from (path for path in logs.glob("airflow*/**/*") if path.is_file() and not path.is_symlink())
    yield from (path for path in (home / "dbt").glob("*-*") if OF_DBT.fullmatch(path.name))
