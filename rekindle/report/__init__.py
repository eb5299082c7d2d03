"""
The daily report: one self-contained HTML page about a day, for whoever answers for the scores, and an index of all days.

It is read most when something went wrong, so it is written of whatever there is: a run that failed has a page that says
where, and what readers of the published tables have instead. Everything on it comes from Postgres.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rekindle import postgres, records
from rekindle.report import campaign, folder, index
from rekindle.report.gathering import gather
from rekindle.report.page import render
from rekindle.settings import settings
from rekindle.warehouse import checks

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


KINDS = ("daily", "backfill")
"""Kinds of run that a page is about: those that score a day. Others would replace its page by an almost empty one."""

PATIENCE_SECONDS = 60.0
"""For another page's writing, which takes seconds."""


def write(day: date, run_id: str) -> Path:
    """
    Write the page about a run's day to `<home>/reports/<day>.html` and return its path.

    Each file is written whole or not at all. The page is linked by those of the days beside it, and listed in the index. The
    pages of campaigns of which the day has made something known are written, too: `<home>/campaigns/<name>/result.html`.
    """
    path = page_path(day)
    home = path.parent
    home.mkdir(parents=True, exist_ok=True)
    facts = gather(day, run_id)
    data_docs = _data_docs(run_id)
    # Two pages that are written at once would each miss the other.
    with postgres.reports_lock(wait_seconds=PATIENCE_SECONDS):
        days = folder.days_in(home) | {day}
        shown_docs = os.path.relpath(data_docs, home) if data_docs else None
        folder.write(path, render(facts, data_docs=shown_docs, links=folder.links(day, days)))
        folder.link_neighbours(home, day, days)
        records.record_reported(index.reported(facts))
        campaign.write_known(day)
        others = {
            path: title for path, title in folder.OVER_WEEKS.items() if (home / path).is_file()
        } | campaign.pages()
        told = records.reported_days(index.TREND_DAYS)
        folder.write(index_path(), index.render(told, days, facts.currency, others))
    return path


def page_path(day: date) -> Path:
    """Return where the page about a day is, or would be."""
    return folder.path_of(settings().home / "reports", day)


def index_path() -> Path:
    """Return where the index of all days is."""
    return settings().home / "reports" / folder.INDEX


def _data_docs(run_id: str) -> Path | None:
    """Return the first page of a run's Data Docs, rendered if validations are newer; None if it audited nothing."""
    docs = checks.data_docs_folder(run_id)
    validated = max((file.stat().st_mtime for file in docs.rglob("validations/**/*.json")), default=None)
    if validated is None:
        return None
    first = next(docs.rglob("index.html"), None)
    if first is None or first.stat().st_mtime < validated:
        # Great Expectations takes ten seconds to import: a page that is written again does without.
        checks.build_data_docs(run_id)
    return next(docs.rglob("index.html"))
