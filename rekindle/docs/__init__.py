"""
The page about all tables: how they come from each other, from the landing zone to `sms`, and what is in them.

Drawn from what whoever writes a table declares: contracts, the yml of marts, and publications. dbt's own page about its models,
with their SQL and tests, lies beside it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from rekindle.docs.page import render
from rekindle.docs.tables import described
from rekindle.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

DBT = "dbt.html"


def write(dbt_page: Path) -> Path:
    """Write the page to `<home>/docs/index.html`, with a copy of dbt's page beside it, and return its path."""
    folder = settings().home / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(dbt_page, folder / DBT)
    path = folder / "index.html"
    path.write_text(render(described(), dbt=DBT), encoding="utf-8")
    return path
