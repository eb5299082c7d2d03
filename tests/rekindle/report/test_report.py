"""The report as a file."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from rekindle import postgres, records, report
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.report import folder
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
    assert sorted(file.name for file in (home / "reports").iterdir()) == ["2017-06-14.html", "index.html"]


@pytest.mark.parametrize(("of", "kept"), [(report, ["2017-06-14.html", "index.html"]), (report.index, ["index.html"])])
def test_a_write_that_fails_leaves_a_file_as_it_was(home, publish, monkeypatch, of, kept):
    run_id = publish(DAY, {"a": 0.9, "b": 0.1}, {"a": Decimal(3), "b": Decimal(4)})
    report.write(DAY, run_id)
    before = files(home)
    monkeypatch.setattr(of, "render", lambda *_, **__: "half a page \ud800")

    with pytest.raises(UnicodeEncodeError):
        report.write(DAY, run_id)

    after = files(home)
    assert after.keys() == before.keys()
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def files(home) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (home / "reports").iterdir()}


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


# Links between pages, and the index


def run_of(day: date) -> str:
    return records.start_run("daily", Days.one(day))


def links(path) -> list[str]:
    """The links of a page to other files, each of which is there."""
    found = re.findall(r'href="([^"#]+\.html)(?:#([^"]*))?"', path.read_text(encoding="utf-8"))
    for file, place in found:
        to = path.parent / file
        assert to.is_file()
        assert not place or f'id="{place}"' in to.read_text(encoding="utf-8")
    return [file for file, _ in found]


def test_pages_link_their_neighbours_in_whatever_order_they_are_written(home):  # noqa: ARG001 - where they are written
    days = [date(2017, 6, n) for n in (14, 10, 12)]
    alone, first, between = [report.write(day, run_of(day)) for day in days[:2]] + [None]

    assert links(alone) == ["2017-06-10.html", "index.html"]
    assert links(first) == ["index.html", "2017-06-14.html"]
    between = report.write(days[2], run_of(days[2]))
    assert links(first) == ["index.html", "2017-06-12.html"]
    assert links(between) == ["2017-06-10.html", "index.html", "2017-06-14.html"]
    assert links(alone) == ["2017-06-12.html", "index.html"]
    assert links(report.index_path()) == ["2017-06-14.html", "2017-06-12.html", "2017-06-10.html"]


def test_nothing_of_a_neighbour_but_its_links_is_written_again(home):
    before = report.write(DAY, run_of(DAY))
    marked = before.read_text(encoding="utf-8").replace("Ingestion", "Ingestion as it was then", 1)
    before.write_text(marked, encoding="utf-8")
    old = home / "reports" / "2017-06-16.html"
    old.write_text("<p>Written before there were links.</p>", encoding="utf-8")
    (old.parent / "2017-06-31.html").write_text("<p>Of no day.</p>", encoding="utf-8")

    report.write(date(2017, 6, 15), run_of(date(2017, 6, 15)))

    after = before.read_text(encoding="utf-8")
    assert after != marked
    assert folder.LINKS.sub("", after) == folder.LINKS.sub("", marked)
    assert old.read_text(encoding="utf-8") == "<p>Written before there were links.</p>"
    assert sorted(file.name for file in old.parent.iterdir()) == [
        "2017-06-14.html",
        "2017-06-15.html",
        "2017-06-16.html",
        "2017-06-31.html",
        "index.html",
    ]


def test_the_index_tells_what_the_pages_tell(home, publish):  # noqa: ARG001 - where they are written
    good = publish(DAY, {"a": 0.9, "b": 0.1}, {"a": Decimal(30), "b": Decimal(40)})
    with records.stage(good, DAY, "publish"):
        pass
    report.write(DAY, good)
    bad = date(2017, 6, 15)
    run_id = run_of(bad)
    records.record_checks(run_id, bad, "raw.orders", [records.CheckResult("broken", "stop", "failed", 3)])
    records.finish_run(run_id, "failed", "orders: the file is broken.")
    report.write(bad, run_id)

    failed, told = records.reported_days(90)

    assert (failed.severity, failed.headline, failed.failed_checks, failed.published) == ("failed", "Failed", 1, {})
    assert (told.severity, told.failed_checks, told.warnings, told.run_id) == ("passed", 0, 0, good)
    assert told.published["recall"] == {"rows": 2, "figure": "return_probability", "kind": "share", "mean": 0.5}
    # (1 - .9) of 15 and (1 - .1) of 20, half of what the fixture publishes for 90 days
    assert told.at_stake == Decimal("19.50")
    assert 0 < told.seconds < 5
    read = report.index_path().read_text(encoding="utf-8")
    assert "2017-06-14" in read and "Failed" in read


def test_what_came_true_of_a_day_is_known_to_the_index_when_it_is(home):  # noqa: ARG001 - where it is written
    for day in (DAY, date(2017, 6, 24)):
        report.write(day, run_of(day))
    columns = ["day", "product", "label", "scored_on", "decile", "is_backfilled", "users"]
    columns += ["predicted", "actual", "squared_error"]
    rows = [
        (date(2017, 6, 24), "recall", "active_1_7", DAY, decile, False, 10, predicted, 2.0, 1.0)
        for decile, predicted in ((1, 1.0), (2, 2.0))
    ]
    rows += [(date(2017, 6, 24), "ltv", "net_revenue_1_30", DAY, 1, False, 10, 5.0, 0.0, 1.0)]
    told = [dict(zip(columns, row, strict=True)) for row in rows]
    records.replace_days("rekindle.score_outcome", Days.one(date(2017, 6, 24)), columns, told)

    newest, oldest = records.reported_days(90)

    assert (newest.came_true, oldest.came_true) == ({}, {"recall active_1_7": 0.75, "ltv net_revenue_1_30": None})
    assert [one.came_true for one in records.reported_days(10)] == [{}, {}]


def test_pages_that_are_written_at_once_wait_for_each_other(home, monkeypatch):  # noqa: ARG001 - where they are written
    monkeypatch.setattr(report, "PATIENCE_SECONDS", 0.0)

    with postgres.reports_lock(), pytest.raises(InputError, match="Another process holds the reports"):
        report.write(DAY, run_of(DAY))
