"""
The folder of pages, a file a day beside the index, and the links between them.

Which day is the next one is known when its page is written, and then stands in the page of the day before it. Only that
one line of a neighbour is ever rewritten: what the page says of its own day stays as it was written. The alternative, a
link that the index resolves, costs whoever reads day after day a second click for each.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from markupsafe import Markup

from rekindle.days import NotADayError, parse_day
from rekindle.points import durable
from rekindle.report import words

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from pathlib import Path

INDEX = "index.html"
WATCHING = "watching/index.html"
LIFECYCLE = "lifecycle/index.html"
OVER_WEEKS = {WATCHING: "What is watched from week to week", LIFECYCLE: "The life of users from week to week"}
"""Pages over weeks beside those of days, and how the index names them."""

LINKS = re.compile(r"<!--days-->.*?<!--/days-->", re.DOTALL)


def path_of(folder: Path, day: date) -> Path:
    """Return where the page about a day is."""
    return folder / f"{day}.html"


def days_in(folder: Path) -> set[date]:
    """Find the days that have a page; what is named like one of no day is none of ours."""
    found = set()
    for path in folder.glob("*.html"):
        with suppress(NotADayError):
            found.add(parse_day(path.stem))
    return found


def links(day: date, days: Collection[date]) -> Markup:
    """Link the nearest of the other days before and after, where there are such, and the day's place in the index."""
    before = max((other for other in days if other < day), default=None)
    after = min((other for other in days if other > day), default=None)
    parts = [
        _link(f"{before}.html", f"\u2190 {words.day_of(before)}", "prev") if before else Markup("<span></span>"),
        _link(f"{INDEX}#{day}", "All days", "up"),
        _link(f"{after}.html", f"{words.day_of(after)} \u2192", "next") if after else Markup("<span></span>"),
    ]
    return Markup('<!--days--><nav aria-label="Other days">{}</nav><!--/days-->').format(Markup("").join(parts))


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    written = path.with_name(f".{path.stem}.{uuid4().hex}")
    try:
        written.write_text(text, encoding="utf-8")
        with durable("page", path.name):
            written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def link_neighbours(folder: Path, day: date, days: Collection[date]) -> None:
    """Let the pages before and after a day's link it; one that was written without links stays without."""
    before, after = (max((d for d in days if d < day), default=None), min((d for d in days if d > day), default=None))
    for neighbour in (before, after):
        if neighbour is None:
            continue
        path = path_of(folder, neighbour)
        page = path.read_text(encoding="utf-8")
        own = str(links(neighbour, days))
        linked = own.join(LINKS.split(page, maxsplit=1))
        if linked != page:
            write(path, linked)


def _link(to: str, text: str, rel: str) -> Markup:
    return Markup('<a href="{}" rel="{}">{}</a>').format(to, rel, text)
