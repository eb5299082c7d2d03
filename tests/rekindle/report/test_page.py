"""The page, made of facts alone."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser

import jinja2
import jinja2.nodes
import pytest

from rekindle.records import Gate
from rekindle.report import page as page_module
from rekindle.report.came_true import CameTrue, Period, Sums
from rekindle.report.facts import Publish
from rekindle.report.page import FOLDER, judge, render
from rekindle.settings import PROJECT
from tests.bad_inputs import bad_input

HOSTILE = '<script>alert("x")</script>'
RIGHT_TO_LEFT = "שלם \u202eלעלם 🛒"

STYLE = (FOLDER / "style.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL), strict=True))

VOID = {"meta", "line", "path"}


class Page(HTMLParser):
    """A page as its elements, refusing what is not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.ancestors: list[list[dict[str, str | None]]] = []
        self._attributes: list[dict[str, str | None]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.ancestors.append(list(self._attributes))
        if tag not in VOID:
            self.open.append(tag)
            self._attributes.append(dict(attrs))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
            self._attributes.pop()

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def text(html: str) -> str:
    """What a reader reads."""
    body = re.sub(r"<(style|title)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


# Whatever the data hold


@bad_input("`<script>` in a category", gets="fine")
def test_escapes_every_value_that_comes_from_data(a):
    facts = a.facts(
        run=a.run(status="failed", error=f"orders: {HOSTILE}", kind=HOSTILE),
        stages=(a.ingestion(HOSTILE, warnings={HOSTILE: 3}, late=1), a.stage(HOSTILE, status="failed")),
        checks=(
            a.check(rule=HOSTILE, outcome="failed", detail={"examples": [HOSTILE], HOSTILE: HOSTILE}),
            a.check(table_name=HOSTILE, severity="warn", outcome="failed", failed_rows=2),
        ),
        products=(a.product(name=HOSTILE, about=HOSTILE, scores=(a.score(column=HOSTILE, about=HOSTILE),)),),
        top=a.top(a.user(HOSTILE, reasons=((HOSTILE, HOSTILE),), others={HOSTILE: 1})),
        sources={HOSTILE: "fact", f"{HOSTILE}2": "fact"},
        currency=HOSTILE,
        sample_notes=(HOSTILE,),
    )

    html = render(facts, data_docs=f"../{HOSTILE}/index.html")

    assert "<script" not in html
    assert 'alert("' not in html
    assert HOSTILE in text(html)


@bad_input("emoji and right-to-left text", gets="fine")
def test_shows_any_script_as_it_is_and_keeps_its_direction_to_itself(a):
    html = render(a.facts(top=a.top(a.user(RIGHT_TO_LEFT, reasons=((RIGHT_TO_LEFT, "+0.10"),)))))

    assert f'<bdi class="id">{RIGHT_TO_LEFT}</bdi>' in html
    assert f"<bdi>{RIGHT_TO_LEFT}</bdi>" in html


@bad_input("`<script>` in a category", "emoji and right-to-left text", gets="fine")
def test_every_page_escapes_what_is_put_into_it_and_is_utf8():
    """There is one way to a template, which escapes; what is called safe is a text of the template's own."""
    templates = {path: path.read_text(encoding="utf-8") for path in (PROJECT / "rekindle").rglob("*.j2")}
    modules = [path.read_text(encoding="utf-8") for path in (PROJECT / "rekindle").rglob("*.py")]
    called_safe = [
        one.node
        for source in templates.values()
        for one in jinja2.Environment(autoescape=True).parse(source).find_all(jinja2.nodes.Filter)
        if one.name == "safe"
    ]

    assert len(templates) > 5
    assert sum(text.count("jinja2.Environment(") for text in modules) == 1
    assert page_module.template("base.html.j2").environment.autoescape is True
    assert all(isinstance(node, jinja2.nodes.Const) for node in called_safe)
    for path, source in templates.items():
        assert '<meta charset="utf-8">' in source or "extends" in source, path


def test_a_minus_is_a_minus(a):
    assert "\u22120.35" in text(render(a.facts()))


# Self-contained, small, for a phone, light and dark, for everybody


def test_loads_nothing_and_runs_nothing(a):
    html = render(a.facts(), data_docs="../data_docs/a b/index.html")
    page = Page(html)

    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:| on\w+=", html)
    assert "default-src 'none'" in page.attributes("content")[-1]
    assert [href for href in page.attributes("href") if not href.startswith("#")] == ["../data_docs/a%20b/index.html"]


def test_stays_under_2_mb_with_a_thousand_broken_rules(a):
    long = [a.check(rule=f"rule {n} {'x' * 200}", outcome="failed", failed_rows=n) for n in range(1000)]

    html = render(a.facts(checks=tuple(long), top=a.top(*[a.user("u" * 512)] * 10)))

    assert len(html.encode()) < 2_000_000


def test_is_well_formed_and_its_links_lead_somewhere(a):
    warned = a.check(severity="warn", outcome="failed", failed_rows=1)
    page = Page(render(a.facts(checks=(warned,), stages=(a.ingestion("orders", loaded=9, quarantined=1),))))

    anchors = {href.removeprefix("#") for href in page.attributes("href") if href.startswith("#")}
    ids = page.attributes("id")
    assert anchors == {"checks", "law"}
    assert anchors <= set(ids)
    assert len(ids) == len(set(ids))
    assert set(page.attributes("aria-labelledby")) <= set(ids)


def test_sections_come_in_the_order_in_which_a_day_is_read(a):
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", render(a.facts()))

    assert headings == [
        "Ingestion",
        "Populations",
        "Models",
        "Scores",
        "What came true",
        "Whom a message may move",
        "Checks",
        "Freshness",
        "Where the time went",
    ]


def test_every_chart_says_in_words_what_it_shows(a):
    charts = [attributes for tag, attributes in Page(render(a.facts())).elements if tag == "svg"]

    assert len(charts) >= 4
    for chart in charts:
        assert chart["role"] == "img"
        assert re.search(r"\d", chart["aria-label"])


def test_tables_scroll_within_and_nothing_is_wider_than_a_phone(a):
    page = Page(render(a.facts()))
    tables = [around for (tag, _), around in zip(page.elements, page.ancestors, strict=True) if tag == "table"]

    assert tables
    for around in tables:
        assert any(attributes.get("class") == "scroll" for attributes in around)
    assert re.search(
        r"\.scroll \{[^}]*position: relative; overflow-x: auto", STYLE
    )  # else what is hidden in it sticks out
    assert "width=device-width" in page.attributes("content")[0]
    widths = [float(rem) for rem in re.findall(r"(?<!-)\bmin-width: ([\d.]+)rem", STYLE)]
    assert max(widths) * 16 < 320
    columns = re.findall(r"minmax\((.*?), 1fr\)", STYLE)
    assert columns
    assert all(column == "0" or column.startswith("min(100%,") for column in columns)


def test_a_table_that_was_left_as_it_is_says_so(a):
    kept, built = a.stage("features.user", detail={"kept": True}), a.stage("features.user_day")

    html = render(a.facts(stages=(kept, built)))

    assert html.count(", unchanged") == 1
    assert "features.user, unchanged" in html


def test_no_column_is_cut_on_a_phone(a):
    """What has more than four columns is folded into paragraphs, in which each figure has its name, or stood upright."""
    failed = a.stage("ingest items", status="failed")
    html = render(a.facts(stages=(a.ingestion("orders"), a.stage("ingest users"), failed), came_true=(came_true(),)))

    tables = re.findall(r"<table(.*?)</table>", html, re.DOTALL)
    assert len(tables) == 6  # ingestion, deciles, what came true, checks, freshness, time
    wide = [table for table in tables if table.split("</thead>")[0].count("<th ") > 4]
    assert len(wide) == 5
    for table in wide:
        assert re.match(r' class="(stacks|small)"', table)
        if "stacks" in table.split(">")[0]:
            cells = re.findall(r"<td([^>]*)>", table)
            assert cells and all("data-of=" in cell or "wide" in cell or "told" in cell for cell in cells)
    narrow = STYLE.split("@media (width < 48rem) {")[1]
    assert "content: attr(data-of)" in narrow.split("\n}")[0]
    assert ".small tr { flex-direction: column;" in STYLE.split("@media (max-width: 30rem) {")[1].split("\n}")[0]


def came_true() -> CameTrue:
    sums = Sums(users=10, predicted=3.0, actual=3.0, error=1.0)
    period = Period("this week", date(2017, 6, 1), date(2017, 6, 2), 2, 0, sums)
    return CameTrue("recall", "active_1_7", "share", (period,), {1: sums})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_and_marks_stand_out_in_both_colour_schemes(scheme):
    """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for what a chart is read by."""
    colours = dict(re.findall(r"--(\w+): (#\w{6})", SCHEMES[scheme]))

    for name in ("ink", "soft", "value", "failed", "warned", "passed"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("before", "value", "failed"):
        assert contrast(colours[name], colours["paper"]) >= 3, name


def test_follows_the_colour_scheme_of_the_reader():
    assert "color-scheme: light dark" in SCHEMES["light"]
    assert "@media (prefers-color-scheme: dark)" in STYLE
    names = {scheme: set(re.findall(r"--\w+", text)) for scheme, text in SCHEMES.items()}
    assert names["light"] == names["dark"]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# What became of the day


def test_a_good_day_says_so(a):
    read = text(render(a.facts()))

    assert "All checks passed" in read
    assert "Wednesday, 14 June 2017" in read
    assert "Published 15 Jun 2017, 04:05 UTC Valid until 16 Jun 2017, 04:05 UTC" in read
    assert "Not known yet: nobody is eligible." in read
    assert a.run_id in read


def test_each_thing_to_look_at_is_counted_and_named_in_the_headline(a):
    facts = a.facts(
        stages=(a.ingestion("orders", loaded=8, quarantined=2, unknown_user=1, warnings={"number_as_text": 5}),),
        checks=(
            a.check(rule="mean of x moves by at most 0.1", severity="warn", outcome="failed", detail={"limit": 0.1}),
        ),
    )

    read = text(render(facts))

    assert "4 warnings" in read
    assert "orders: 2 rows in quarantine." in read
    assert "orders: 1 row of users that no delivery has named yet." in read
    assert "orders: 5 rows with a number as text, which was cast." in read
    assert "raw.orders: mean of x moves by at most 0.1 \u2013 limit 0.1." in read


def test_late_and_repeated_rows_are_told_but_are_no_warning(a):
    read = text(render(a.facts(stages=(a.ingestion("orders", late=3, repeated=1),))))

    assert "All checks passed" in read
    assert "3 rows late, from before the day; 1 row repeated from an earlier delivery" in read


def test_a_state_without_news_is_no_warning_and_a_day_without_facts_is(a):
    nothing = {"delivered": 0, "loaded": 0, "warnings": {"no_rows": 1}}

    assert "All checks passed" in text(render(a.facts(stages=(a.ingestion("users", **nothing),))))
    assert "1 warning orders: the delivery has no rows." in text(
        render(a.facts(stages=(a.ingestion("orders", **nothing),)))
    )


def test_a_failed_run_says_where_and_why_and_what_is_missing(a):
    failed = a.run(status="failed", error="user: features.user broke its contract. Nothing was released.")
    broken = a.check(table_name="features.user", rule="key is unique", outcome="failed", failed_rows=14)
    facts = a.facts(
        run=failed,
        stages=(a.ingestion("orders"), a.stage("features.user", status="failed", row_count=None)),
        checks=(a.check(), broken),
        products=(a.product(publish=None, populations={a.yesterday: 2}, scores=(a.score(day=None),)),),
        top=None,
    )

    read = text(render(facts))

    assert "Failed at features.user" in read
    assert "features.user broke its contract. Nothing was released." in read
    assert "Nothing for this day. Readers keep what they had." in read
    assert "Nothing of recall is published for this day: the run failed before that." in read
    assert "There is no list for this day: the run failed before that." in read
    assert "failed features.user: key is unique. 14 rows" in read
    assert "recall The chance. none for this day" in read


def test_a_run_that_failed_before_its_first_stage_has_a_page(a):
    facts = a.facts(
        run=a.run(status="failed", error="wait_for_deliveries: no_delivery"),
        stages=(),
        checks=(),
        products=(),
        top=None,
        freshness=(),
    )

    read = text(render(facts))

    assert "Failed wait_for_deliveries: no_delivery" in read
    for told in ("This run ingested nothing.", "No product was ever published.", "No check was run.", "no stage"):
        assert told in read


def test_an_unfinished_run_does_not_claim_that_all_is_well(a):
    facts = a.facts(run=a.run(status="running", finished_at=None), products=(a.product(publish=None),))

    assert "Not finished: nothing is published yet" in text(render(facts))


def test_a_run_without_checks_does_not_claim_that_they_passed(a):
    assert "No check was run" in text(render(a.facts(checks=())))


def test_says_when_what_readers_have_comes_from_an_earlier_run(a):
    earlier = Publish("another", a.run().started_at, is_current=True)

    read = text(render(a.facts(products=(a.product(publish=earlier),))))

    assert "by an earlier run: this one published nothing, readers keep what they had" in read


def test_rows_that_ran_out_are_called_so(a):
    (fresh,) = a.facts().freshness
    expired = type(fresh)(**{**vars(fresh), "status": "expired"})
    newer = type(fresh)(**{**vars(fresh), "day": a.day + timedelta(days=1)})

    assert "16 Jun 2017, 04:05 UTC, which is over" in text(render(a.facts(freshness=(expired,))))
    assert "The current rows are about another day" in text(render(a.facts(freshness=(newer,))))


# Figures


def test_shows_the_law_and_by_how_much_it_is_broken(a):
    good = a.ingestion("orders", delivered=1234, loaded=1200, duplicates=30, quarantined=4)
    bad = a.ingestion("users", delivered=10, loaded=7, duplicates=1)

    read = text(render(a.facts(stages=(good, bad))))

    assert "holds 1,234 1,200 30 4" in read
    assert "off by 2 10 7 1 0" in read
    assert "users: the ingestion law is broken by 2 rows." in read


def test_says_which_sources_left_no_figures(a):
    stages = (a.stage("ingest orders"), a.stage("ingest items", status="failed"))

    read = text(render(a.facts(stages=stages)))

    assert "orders left no figures" in read
    assert "items failed , nothing was loaded" in read
    assert "No ingestion is recorded for users." in read


def test_a_population_is_compared_with_the_median_of_the_week(a):
    week = {a.day - timedelta(days=n): rows for n, rows in enumerate((120, 100, 90, 110, 4000))}
    week[a.day - timedelta(days=8)] = 9_999_999

    read = text(render(a.facts(products=(a.product(populations=week),))))

    assert "120 users +14.3% against the week's median of 105" in read


def test_a_median_of_two_days_is_none(a):
    week = {a.day - timedelta(days=n): 100 for n in range(3)}

    assert "fewer than 3 days to compare with" in text(render(a.facts(products=(a.product(populations=week),))))


def test_counts_checks_by_table_and_outcome(a):
    outcomes = [("stop", "passed"), ("stop", "passed"), ("warn", "failed"), ("warn", "not_judged"), ("stop", "failed")]
    checks = [a.check(rule=f"r{n}", severity=s, outcome=o) for n, (s, o) in enumerate(outcomes)]

    read = text(render(a.facts(checks=tuple(checks))))

    assert "2 passed, 1 warned, 1 failed, 1 not judged." in read
    assert "raw.orders 2 1 1 1" in read


def test_a_broken_rule_comes_with_its_figures(a):
    detail = {"limit": 0.4, "days": ["2017-06-14: 0.52"], "examples": ["a3f09c", "77b0fe"]}
    check = a.check(rule="negative_sale", outcome="failed", failed_rows=1234, detail=detail)

    read = text(render(a.facts(checks=(check,))))

    assert "negative sale. 1,234 rows; limit 0.4; 2017-06-14: 0.52; for example a3f09c, 77b0fe" in read


def test_an_accepted_check_is_told_with_who_and_why_and_fails_nothing(a):
    told = "2017-06-14 by ada, 2017-06-15 04:05 UTC: a <sale>"
    detail = {"days": ["2017-06-14: 0.5"], "soft": "rows_change_by", "moved": {"2017-06-14": 0.5}}
    check = a.check(
        outcome="failed", rule="rows change", detail=detail | {"accepted_days": ["2017-06-14"], "accepted": [told]}
    )
    read = text(render(a.facts(checks=(check,))))

    assert "1 warning " in read
    assert "1 accepted." in read
    assert f"accepted raw.orders: rows change. 2017-06-14: 0.5; accepted {told}" in read
    assert "rows_change_by" not in read
    assert judge(a.facts(checks=(check,))).headline.severity == "warned"


def test_a_score_without_values_is_named_as_not_available(a):
    scores = (a.score(), a.score(column="ltv_365", day=None, before=None, edges=()))

    assert "Not available for this day: ltv_365." in text(render(a.facts(products=(a.product(scores=scores),))))


def test_says_what_the_sample_is(a):
    note = "The sample data are simulated by their authors."

    assert note in text(render(a.facts(sample_notes=(note,))))
    assert "sample" not in text(render(a.facts()))


def test_adds_up_where_the_time_went(a):
    stages = (a.stage("features.user", seconds=61.4), a.stage("publish", seconds=3.6, row_count=1234))

    read = text(render(a.facts(stages=stages)))

    assert "1 min 5 s in 2 stages." in read
    assert re.search(r"publish .*3\.6 s 1,234", read)


def test_a_warning_about_one_row_does_not_headline_and_is_listed(a):
    read = text(render(a.facts(stages=(a.ingestion("orders", delivered=1000, loaded=999, quarantined=1),))))

    assert "No check failed; 1 warning about few rows" in read
    assert "orders: 1 row in quarantine." in read


def test_one_row_does_not_headline_in_a_small_delivery_either(a):
    one = a.check(severity="warn", outcome="failed", failed_rows=1)
    stages = (a.ingestion("orders", delivered=6, loaded=5, quarantined=1, warnings={"trimmed_id": 1}),)

    assert "No check failed; 3 warnings about few rows each" in text(render(a.facts(checks=(one,), stages=stages)))


@pytest.mark.parametrize(
    ("severity", "rows", "median", "headline"),
    [
        ("warn", 1, "6", "No check failed; 1 warning about few rows"),
        ("warn", 0, "19.5", "No check failed; 1 warning about few rows"),
        ("warn", 20, "6", "1 warning raw.orders:"),
        ("warn", 1, "20", "1 warning raw.orders:"),
        ("stop", 1, "6", "Failed raw.orders:"),
    ],
)
def test_a_change_among_a_handful_of_rows_is_listed_and_does_not_headline(a, severity, rows, median, headline):
    detail = {"limit": 0.6, "days": [f"{a.day}: 0.833"], "rows": [rows], "median": [median]}
    check = a.check(rule="rows change", severity=severity, outcome="failed", detail=detail)

    read = text(render(a.facts(checks=(check,))))

    assert read.split("14 June 2017 ")[1].startswith(headline)
    assert f"rows change \u2013 limit 0.6; 2017-06-14: 0.833; rows {rows}; median {median}." in read


def test_a_warning_about_a_share_of_the_rows_or_about_figures_headlines(a):
    moved = a.check(rule="mean moves", severity="warn", outcome="failed", failed_rows=None)
    few = a.check(severity="warn", outcome="failed", failed_rows=2)
    stages = (a.ingestion("orders", delivered=1000, loaded=990, quarantined=10),)
    many_rows = (a.stage("ingest orders", row_count=1000),)

    assert "1 warning" in text(render(a.facts(stages=stages))).split("Published")[0]
    assert "about few rows" not in text(render(a.facts(stages=stages)))
    assert "about few rows" not in text(render(a.facts(checks=(moved,), stages=many_rows)))
    assert "about few rows" not in text(render(a.facts(checks=(few,), stages=())))
    assert "No check failed; 1 warning about few rows" in text(render(a.facts(checks=(few,), stages=many_rows)))


def test_tables_without_a_finding_are_folded_and_the_others_are_not(a):
    green, broken = a.check(table_name="raw.users"), a.check(severity="warn", outcome="failed", failed_rows=5)
    html = render(a.facts(checks=(green, broken)))

    folded = html.split("<details")[1].split("</details>")[0]
    assert "raw.users" in folded and "1 table without a finding" in folded
    assert "raw.orders" not in folded


def test_a_version_that_waits_for_a_person_is_a_warning_with_what_to_say(a):
    waiting = {"recall": Gate("recall", "7", "a" * 64, True, "", {}, None, a.day)}

    found = judge(a.facts(waiting=waiting)).findings

    assert [(one.severity, one.section) for one in found] == [("warned", "models")]
    assert found[0].text == "recall: version 7 passed its gate and waits for you: rekindle promote recall 7."
    assert "waits for you" in render(a.facts(waiting=waiting))


def test_a_day_on_which_nobody_is_permitted_anew_says_so_beside_its_scores(a):
    why = "consents of 2024-06-30 is not loaded"
    stages = (a.stage("ingest consents", status="failed"), a.stage("permission", detail={"no_new_permission": why}))

    page = render(a.facts(stages=stages))

    assert f"Nobody is permitted anew: {why}." in page
    assert "ingest consents failed; scores did not wait for it." in page
    assert "2 warnings" in page
