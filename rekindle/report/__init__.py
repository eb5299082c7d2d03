"""
The daily report: one self-contained HTML page about a day, for whoever answers for the scores.

It is read most when something went wrong, so it is written of whatever there is: a run that failed has a page that says
where, and what readers of the published tables have instead. Everything on it comes from Postgres.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from rekindle.report.gathering import gather
from rekindle.report.page import render
from rekindle.settings import settings
from rekindle.warehouse import checks

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


KINDS = ("daily", "backfill")
"""Kinds of run that a page is about: those that score a day. Others would replace its page by an almost empty one."""


def write(day: date, run_id: str) -> Path:
    """Write the page about a run's day to `<home>/reports/<day>.html`, whole or not at all, and return its path."""
    folder = settings().home / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    facts = gather(day, run_id)
    data_docs = _data_docs(run_id)
    html = render(facts, data_docs=os.path.relpath(data_docs, folder) if data_docs else None)
    path, written = folder / f"{day}.html", folder / f".{day}.{uuid4().hex}"
    try:
        written.write_text(html, encoding="utf-8")
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    return path


def _data_docs(run_id: str) -> Path | None:
    """Return the first page of a run's Data Docs, rendered if validations are newer; None if it audited nothing."""
    folder = checks.data_docs_folder(run_id)
    validated = max((file.stat().st_mtime for file in folder.rglob("validations/**/*.json")), default=None)
    if validated is None:
        return None
    index = next(folder.rglob("index.html"), None)
    if index is None or index.stat().st_mtime < validated:
        # Great Expectations takes ten seconds to import: a page that is written again does without.
        checks.build_data_docs(run_id)
    return next(folder.rglob("index.html"))
