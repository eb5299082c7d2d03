"""The page about tables: every table of the graph and every published one, with its edges, columns and drawing."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from rekindle import docs
from rekindle.docs import drawing
from rekindle.docs.page import render
from rekindle.docs.tables import described
from rekindle.publishing import publications
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage


@pytest.fixture(scope="module")
def page() -> str:
    return render(described(), dbt="dbt.html")


def drawn(page: str) -> ET.Element:
    return ET.fromstring(re.search(r'<svg class="lineage".*?</svg>', page, re.DOTALL)[0])  # noqa: S314 - our own


def edges(page: str) -> set[tuple[str, str]]:
    """Who reads whom, as the arrows of the drawing say it."""
    told = [path.findtext("title") for path in drawn(page).iter("path") if path.get("class") == "edge"]
    return {tuple(text.split(" reads ")) for text in told}


def test_every_table_is_on_the_page_with_its_edges(page):
    tables = lineage.graph().tables
    sources = {f"landing.{source}" for source in contracts.landing_sources()}
    expected = {(name, read) for name, t in tables.items() if not t.is_by_product for read in t.reads}
    expected |= {(f"raw.{source}", f"landing.{source}") for source in contracts.landing_sources()}
    # What ingestion writes beside the sources' tables is made of the same files.
    expected |= {(name, source) for name, t in tables.items() if t.is_by_product for source in sources}
    published = {p.target: p for p in publications.declared()}
    for p in published.values():
        expected |= {(p.target, f"sms.{read}") for read in p.reads}
        expected |= {(p.target, p.contract.table)} if p.contract else set()
        expected |= {(p.history_target, p.contract.table)} if p.history else set()

    assert edges(page) == expected
    nodes = {link.get("href").removeprefix("#") for link in drawn(page).iter("a")}
    assert nodes == set(tables) | sources | set(published) | {p.history_target for p in published.values() if p.history}
    assert nodes == set(re.findall(r'<article id="([^"]+)">', page)), "a table leads to what is said of it"


PERMISSION = ("marts.permission", "marts.recent_assignments")
"""What a publish reads beside the tables that it publishes."""


def test_there_is_a_way_from_each_source_to_what_tools_read(page):
    readers: dict[str, set[str]] = {}
    for reader, read in edges(page):
        readers.setdefault(read, set()).add(reader)

    def reached(name: str) -> set[str]:
        return {name}.union(*(reached(reader) for reader in readers.get(name, ())))

    # Or to what pages are made of. What nothing is made of yet is loaded and shown, and leads to what a run wrote of it.
    read = {
        "sms.audience",
        "sms.recommendations",
        *(name for name, table in lineage.graph().tables.items() if table.recorded),
    }
    for source in contracts.landing_sources():
        if readers.get(f"raw.{source}", set()) - {"raw.deliveries", "raw.quarantine"}:
            assert (read | set(PERMISSION)) & reached(f"landing.{source}")


def test_a_table_is_told_with_its_columns_and_how_far_back_it_reads(page):
    (article,) = re.findall(r'<article id="features\.user">.*?</article>', page, re.DOTALL)

    contract = contracts.load("features.user")
    assert f"<summary>{len(contract.columns)} columns</summary>" in article
    assert contract.column("recency_days").description in article
    assert '<a href="#features.user_item_day">features.user_item_day</a> <small>28 days</small>' in article
    (audience,) = re.findall(r'<article id="sms\.audience">.*?</article>', page, re.DOTALL)
    for column in ("user_id", "eligible", "updated_at"):
        assert f"<code>{column}</code>" in audience
    assert "Lapsed users" in page, "a mart says what its yml says"


def test_each_table_is_drawn_below_what_it_reads_and_none_over_another(page):
    boxes = {
        link.get("href").removeprefix("#"): (float(link.find("rect").get("x")), float(link.find("rect").get("y")))
        for link in drawn(page).iter("a")
    }
    rows: dict[float, list[float]] = {}
    for x, y in boxes.values():
        rows.setdefault(y, []).append(x)

    assert all(boxes[read][1] < boxes[reader][1] for reader, read in edges(page))
    assert all(right - left >= drawing.NODE_WIDTH for xs in rows.values() for left, right in pairwise(sorted(xs)))


def test_the_page_needs_nothing_but_itself(page):
    assert not re.findall(r"""(?:src|href)=["'](?!#|dbt\.html)""", page)
    assert "default-src 'none'" in page


def test_it_lies_beside_the_page_that_dbt_makes(tmp_path, monkeypatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    of_dbt = tmp_path / "static_index.html"
    of_dbt.write_text("by dbt")
    try:
        path = docs.write(of_dbt)
    finally:
        monkeypatch.undo()
        settings.cache_clear()

    assert path == tmp_path / "home" / "docs" / "index.html"
    assert 'href="dbt.html"' in path.read_text(encoding="utf-8")
    assert (path.parent / "dbt.html").read_text() == "by dbt"
