"""The page: a pure function from what is declared of the tables to one self-contained HTML text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from rekindle.docs.drawing import draw
from rekindle.docs.tables import LAYERS
from rekindle.report import page as reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.docs.tables import Described

FOLDER = Path(__file__).parent

REACHES = {"day": "the same day", "always": "every day up to it"}
"""How far back a table reads, in words where the declaration's own would need the reader to know them."""


def render(tables: Sequence[Described], *, dbt: str | None = None) -> str:
    """Make the page about `tables`, each of which comes after what it reads. `dbt` is the path of dbt's page."""
    reads = {table.name: list(table.reads) for table in tables}
    layers = {table.name: table.layer for table in tables}
    return reports.template("page.html.j2", FOLDER).render(
        tables=tables,
        layers=LAYERS,
        readers={name: [other for other, read in reads.items() if name in read] for name in reads},
        reaches=REACHES,
        drawing=draw(reads, layers, f"Lineage of {len(tables)} tables: each below all that it reads."),
        dbt=dbt,
        css=reports.css() + Markup((FOLDER / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of ours
    )
