"""The report as a file."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from rekindle import records, report
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.settings import settings
from rekindle.warehouse import contracts
from rekindle.warehouse.checks import days, suites

DAY = date(2017, 6, 14)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, database):  # noqa: ARG001 - its settings come first
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "a home"))
    settings.cache_clear()
    return tmp_path / "a home"


def test_writes_one_small_page_that_is_named_after_the_day(home, publish):
    hostile = "</bdi><script>alert(1)</script>"
    run_id = publish(DAY, {hostile: 0.9, "🛒": 0.8}, {hostile: Decimal(3), "🛒": Decimal(4)}, words="category: <b>")

    path = report.write(DAY, run_id)

    html = path.read_text(encoding="utf-8")
    assert path == home / "reports" / "2017-06-14.html"
    assert path.stat().st_size < 2_000_000
    assert "<script" not in html
    assert "&lt;/bdi&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "category: &lt;b&gt;" in html
    assert "Data Docs" not in html


def test_writing_again_replaces_the_page_and_leaves_nothing_beside_it(home, publish):
    first = publish(DAY, {"a": 0.9, "b": 0.1}, {"a": Decimal(3), "b": Decimal(4)})
    report.write(DAY, first)
    second = publish(DAY, {"c": 0.9, "d": 0.1}, {"c": Decimal(3), "d": Decimal(4)})

    path = report.write(DAY, second)

    assert second in path.read_text(encoding="utf-8")
    assert [file.name for file in (home / "reports").iterdir()] == ["2017-06-14.html"]


def test_a_write_that_fails_leaves_the_page_as_it_was(home, publish, monkeypatch):
    run_id = publish(DAY, {"a": 0.9, "b": 0.1}, {"a": Decimal(3), "b": Decimal(4)})
    before = report.write(DAY, run_id).read_bytes()
    monkeypatch.setattr(report, "render", lambda *_, **__: "half a page \ud800")

    with pytest.raises(UnicodeEncodeError):
        report.write(DAY, run_id)

    assert [file.read_bytes() for file in (home / "reports").iterdir()] == [before]


def test_a_failed_run_gets_its_page(home):  # noqa: ARG001 - where it is written
    run_id = records.start_run("daily", Days.one(DAY))
    with pytest.raises(ValueError, match="broken"), records.stage(run_id, DAY, "ingest orders"):
        raise ValueError("broken")
    records.finish_run(run_id, "failed", "orders: the file is broken.")

    html = report.write(DAY, run_id).read_text(encoding="utf-8")

    assert "Failed at ingest orders" in html
    assert "orders: the file is broken." in html


def test_a_run_that_is_not_known_gets_no_page(home):
    with pytest.raises(InputError, match="no record of a run nobody"):
        report.write(DAY, "nobody")

    assert list((home / "reports").iterdir()) == []


def test_links_the_data_docs_of_the_run_by_a_path_that_survives_moving_the_home(home):
    run_id = records.start_run("daily", Days.one(DAY))
    rules = [rule for rule in days.expected_of(contracts.load("scores.recall_daily")) if rule.column == "rows_change"]
    suites.validate("made up", rules, pd.DataFrame({"rows_change": [0.1]}), run_id)

    path = report.write(DAY, run_id)

    (link,) = re.findall(r'href="(\.\./[^"]*)"', path.read_text(encoding="utf-8"))
    page = path.parent / link
    assert page.resolve().is_relative_to(home / "data_docs" / run_id)
    assert "made up" in page.read_text(encoding="utf-8")
    assert report.write(DAY, run_id).read_text(encoding="utf-8").count("Data Docs of this run") == 1
