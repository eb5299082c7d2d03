"""The page: a pure function from what is declared of the tables to one self-contained HTML text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from rekindle import report
from rekindle.docs.drawing import draw
from rekindle.docs.tables import LAYERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jinja2

    from rekindle.docs.tables import Described

FOLDER = Path(__file__).parent
STYLES = (Path(report.__file__).parent / "style.css", FOLDER / "style.css")
"""The look of the daily report, and what is drawn here only."""

REACHES = {"day": "the same day", "always": "every day up to it"}
"""How far back a table reads, in words where the declaration's own would need the reader to know them."""


def render(tables: Sequence[Described], *, dbt: str | None = None) -> str:
    """Make the page about `tables`, each of which comes after what it reads. `dbt` is the path of dbt's page."""
    reads = {table.name: list(table.reads) for table in tables}
    layers = {table.name: table.layer for table in tables}
    return _template().render(
        tables=tables,
        layers=LAYERS,
        readers={name: [other for other, read in reads.items() if name in read] for name in reads},
        reaches=REACHES,
        drawing=draw(reads, layers, f"Lineage of {len(tables)} tables: each below all that it reads."),
        dbt=dbt,
        css=Markup("\n".join(style.read_text(encoding="utf-8") for style in STYLES)),  # noqa: S704 - files of ours
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
