"""
The life of users from week to week: how many come, become active, stay, pay and bring others; who lapses and who returns.

The figures are those of three small marts (dbt_project/models/marts/campaigns), kept in Postgres for this page.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle.lifecycle import gathering, page
from rekindle.report import folder
from rekindle.settings import settings

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


def write(day: date) -> Path:
    """Write `<home>/reports/lifecycle/index.html` from what is known up to `day`, and return its path."""
    path = settings().home / "reports" / folder.LIFECYCLE
    path.parent.mkdir(parents=True, exist_ok=True)
    found = gathering.gather(day - timedelta(gathering.SHOWN_WEEKS * 7), day)
    folder.write(path, page.render(found, settings().currency))
    return path
