"""The page about a day: a pure function from what is known about it to one self-contained HTML text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from markupsafe import Markup

from rekindle import groups
from rekindle.records import is_accepted, stops
from rekindle.report import charts, words
from rekindle.report.facts import DAYS_SHOWN
from rekindle.warehouse.checks.days import HISTORY_DAYS, MIN_HISTORY_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import jinja2

    from rekindle.bidding.results import Strategy
    from rekindle.experiments.estimates import Interval
    from rekindle.records import RecordedCheck, Stage
    from rekindle.report.facts import DayFacts, ProductDay

FOLDER = Path(__file__).parent

INGEST = "ingest "
"""Stages of this name ingest a source."""

HEADLINE_SHARE = 0.01
"""A warning about a smaller share of the rows does not headline: one bad row in a delivery is a usual day."""

FEW_ROWS = 20
"""Nor does one that compares counts below this: of a handful of rows chance makes half as many, or twice as many."""

FATES = ("loaded", "duplicates", "quarantined")
"""What delivered rows become: together they are what was delivered, exactly."""

WHY_MISSING = {
    "failed": "the run failed before that",
    "running": "the run has not come to that yet",
    "done": "the run ended without it",
}

Severity = Literal["failed", "warned", "open", "passed"]

NO_LINKS = Markup("")


@dataclass(frozen=True)
class Finding:
    """Something that a person should look at, and the section that tells more."""

    severity: Severity
    text: str
    section: str
    is_small: bool = False
    """A warning about so few rows that it is listed and does not headline."""


@dataclass(frozen=True)
class Headline:
    """What heads a page."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class Ingested:
    """The ingestion of a source; `counts` is empty where its stage left none. Notes are routine, warnings are not."""

    source: str
    status: str
    counts: dict[str, int]
    gap: int
    bar: Markup | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    small: frozenset[str] = frozenset()
    """The warnings that are about few of the delivered rows."""


@dataclass(frozen=True)
class Table:
    """The checks of a table, counted, and those that need words."""

    name: str
    counts: Counter[str]
    findings: tuple[RecordedCheck, ...]


@dataclass(frozen=True)
class Judged:
    """What a person should know first of a day, and what it is taken from."""

    headline: Headline
    findings: Sequence[Finding]
    ingested: Sequence[Ingested]
    tables: Sequence[Table]

    @property
    def outcomes(self) -> Counter[str]:
        """How many checks had which outcome."""
        return sum((table.counts for table in self.tables), Counter())


def judge(facts: DayFacts) -> Judged:
    """Find what a person should look at, and how the day is headed."""
    ingested = [_ingested(stage, facts) for stage in facts.stages if stage.stage.startswith(INGEST)]
    tables = _tables(facts.checks)
    findings = [
        *_failures(facts),
        *_permission_findings(facts),
        *_waiting_findings(facts),
        *_level_findings(facts),
        *_check_findings(tables, _rows_by_table(facts)),
        *_ingestion_findings(ingested),
    ]
    if facts.run.status == "failed":
        # The error has told which check it was.
        findings = [findings[0], *(finding for finding in findings if finding.severity != "failed")]
    return Judged(_headline(facts, findings), findings, ingested, tables)


def render(facts: DayFacts, *, data_docs: str | None = None, links: Markup = NO_LINKS) -> str:
    """Make the page. `data_docs` is the path of the run's Data Docs, relative to the page; `links` lead to other days."""
    judged = judge(facts)
    ingested, tables, totals = judged.ingested, judged.tables, judged.outcomes
    return template("page.html.j2").render(
        facts=facts,
        headline=judged.headline,
        findings=judged.findings,
        links=links,
        published=[product for product in facts.products if product.publish],
        is_own_publish=any(p.publish and p.publish.run_id == facts.run.run_id for p in facts.products),
        renewal=_renewal(facts),
        why_missing=WHY_MISSING[facts.run.status],
        ingested=ingested,
        fates=FATES,
        silent_sources=[s for s in facts.sources if s not in {i.source for i in ingested}],
        populations=[(product, _population(product, facts)) for product in facts.products],
        tables=tables,
        remarkable=[table for table in tables if table.findings],
        green=[table for table in tables if not table.findings],
        outcomes=[outcome for outcome in OUTCOMES if outcome != "accepted" or totals[outcome]],
        outcome_of=_outcome,
        totals=totals,
        told_totals=", ".join(f"{words.count(totals[o])} {o}" for o in OUTCOMES if totals[o]) + ".",
        scored_by=[one for product in facts.products for one in product.scored_by],
        scores=[score for product in facts.products for score in product.scores if score.day],
        absent_scores=[
            score.column
            for product in facts.products
            if facts.day in product.populations
            for score in product.scores
            if not score.day
        ],
        min_history_days=MIN_HISTORY_DAYS,
        smallest_group=groups.SMALLEST,
        data_docs=quote(data_docs, safe="/.") if data_docs else None,
        longest=max((stage.seconds for stage in facts.stages), default=0.0),
        seconds=sum(stage.seconds for stage in facts.stages),
        told_ads=_told_ads,
        charts=charts,
        words=words,
        css=css(),
    )


def _told_ads(ads: Sequence[Strategy]) -> dict[str, tuple[float, Interval]]:
    """What each strategy has caused, of those of which that can be told."""
    return {one.name: (one.caused.activations, one.caused.activations_interval) for one in ads if one.caused}


def css() -> Markup:
    """Return the style sheet that each page holds."""
    return Markup((FOLDER / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of ours


@cache
def template(name: str, *folders: Path) -> jinja2.Template:
    """Load a page's template, from the folders given or else from this one; what is put into it is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders or (FOLDER,)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


# Headline


def _headline(facts: DayFacts, findings: Sequence[Finding]) -> Headline:
    severities = Counter(finding.severity for finding in findings)
    if severities["failed"]:
        stage = next((stage.stage for stage in facts.stages if stage.status == "failed"), None)
        return Headline("failed", f"Failed at {stage}" if stage else "Failed")
    if facts.run.status == "running" and not any(_is_published_by(product, facts) for product in facts.products):
        return Headline("open", "Not finished: nothing is published yet")
    if severities["warned"] and not all(finding.is_small for finding in findings):
        return Headline("warned", words.warnings(severities["warned"]))
    if not facts.checks:
        return Headline("open", "No check was run")
    if severities["warned"]:
        few = "about few rows" if severities["warned"] == 1 else "about few rows each"
        return Headline("passed", f"No check failed; {words.warnings(severities['warned'])} {few}")
    return Headline("passed", "All checks passed")


def _is_published_by(product: ProductDay, facts: DayFacts) -> bool:
    return product.publish is not None and product.publish.run_id == facts.run.run_id


def _failures(facts: DayFacts) -> Iterator[Finding]:
    """Tell what ended the run, in the words that the error had for people."""
    if facts.run.status == "failed":
        yield Finding("failed", facts.run.error or "The run failed without a word.", "time")
        return
    for stage in facts.stages:
        if stage.status == "failed" and facts.run.status == "done":
            # What permission is made of: the run went on, and says below what follows.
            yield Finding("warned", f"{stage.stage} failed; scores did not wait for it.", "time")
        elif stage.status == "failed":
            yield Finding("failed", f"{stage.stage} failed; the run has not recorded why.", "time")


def _permission_findings(facts: DayFacts) -> Iterator[Finding]:
    """Tell why nobody was permitted anew: scores do not show it."""
    for stage in facts.stages:
        if why := stage.detail.get("no_new_permission"):
            yield Finding("warned", f"Nobody is permitted anew: {why}.", "time")


def _waiting_findings(facts: DayFacts) -> Iterator[Finding]:
    """Tell which version passed its gate and scores nothing until a person says so."""
    for product, gate in sorted(facts.waiting.items()):
        told = f"{product}: version {gate.version} passed its gate and waits for you: rekindle promote {product} {gate.version}."
        yield Finding("warned", told, "models")


def _level_findings(facts: DayFacts) -> Iterator[Finding]:
    """Tell of champions that promise too much or too little."""
    for told in facts.off:
        yield Finding("warned", f"{told}.", "models")


def _check_findings(tables: Sequence[Table], rows: Mapping[str, int]) -> Iterator[Finding]:
    """`rows` is how many a table's stage has written; of a table that nobody counted no share is known."""
    for table in tables:
        for check in table.findings:
            severity: Severity = "failed" if stops(check) else "warned"
            told = f"{table.name}: {words.rule(check)} \u2013 {words.figures(check)}."
            is_small = severity == "warned" and _is_about_few(check, rows.get(table.name, 0))
            yield Finding(severity, told, "checks", is_small)


def _is_about_few(check: RecordedCheck, written: int) -> bool:
    """Whether a check has failed by few of the rows that were written, or of tables that have few on any day."""
    if check.failed_rows is not None:
        return _is_few(check.failed_rows, written)
    rows, medians = check.detail.get("rows"), check.detail.get("median")
    # By day, as the checks of tables record them.
    if not isinstance(rows, list) or not isinstance(medians, list):
        return False
    return max(map(float, [*rows, *medians])) < FEW_ROWS


def _is_few(rows: int, of: int) -> bool:
    return rows == 1 or rows < HEADLINE_SHARE * of


def _rows_by_table(facts: DayFacts) -> dict[str, int]:
    """Stages are named after the table that they write, or after the source that they load."""
    names = {
        s.stage: f"raw.{s.stage.removeprefix(INGEST)}" if s.stage.startswith(INGEST) else s.stage for s in facts.stages
    }
    return {names[s.stage]: s.row_count for s in facts.stages if s.row_count is not None}


def _ingestion_findings(ingested: Sequence[Ingested]) -> Iterator[Finding]:
    for one in ingested:
        if one.gap:
            yield Finding("failed", f"{one.source}: the ingestion law is broken by {words.rows(abs(one.gap))}.", "law")
        if quarantined := one.counts.get("quarantined"):
            told = f"{one.source}: {words.rows(quarantined)} in quarantine."
            yield Finding("warned", told, "law", _is_few(quarantined, one.counts["delivered"]))
        for warning in one.warnings:
            yield Finding("warned", f"{one.source}: {warning}.", "law", warning in one.small)


def _renewal(facts: DayFacts) -> Any:
    """Return what the first table that was published for the day says of itself, if it is still about the day."""
    names = [product.table for product in facts.products]
    return next((f for f in facts.freshness if f.table_name in names and f.day == facts.day), None)


# Ingestion


def _ingested(stage: Stage, facts: DayFacts) -> Ingested:
    source, detail = stage.stage.removeprefix(INGEST), stage.detail
    if "delivered" not in detail:
        return Ingested(source, stage.status, {}, 0, None, (), ())
    counts = {name: int(detail.get(name, 0)) for name in ("delivered", *FATES)}
    gap = counts["delivered"] - sum(counts[fate] for fate in FATES)
    says = f"{source}: " + ", ".join(f"{words.count(counts[fate])} {fate}" for fate in FATES)
    told = {code: detail.get(code, 0) for code in ("late", "repeated", "unknown_user")} | detail.get("warnings", {})
    routine = words.ROUTINE if facts.sources.get(source) == "fact" else {*words.ROUTINE, words.NO_ROWS}
    notes = tuple(words.accepted({code: n for code, n in told.items() if code in routine}))
    warnings = tuple(words.accepted({code: n for code, n in told.items() if code not in routine}))
    few = {code: n for code, n in told.items() if code != words.NO_ROWS and _is_few(n, counts["delivered"])}
    bar = charts.stacked_bar({fate: counts[fate] for fate in FATES}, says)
    return Ingested(source, stage.status, counts, gap, bar, notes, warnings, frozenset(words.accepted(few)))


# Populations


def _population(product: ProductDay, facts: DayFacts) -> dict[str, Any]:
    """Compare the day's population with the median of the week before; of too few days there is none."""
    shown = [facts.day - timedelta(days=n) for n in reversed(range(DAYS_SHOWN))]
    week = [n for day, n in product.populations.items() if facts.day - timedelta(HISTORY_DAYS) <= day < facts.day]
    today = product.populations.get(facts.day)
    middle = median(week) if len(week) >= MIN_HISTORY_DAYS else None
    return {
        "today": today,
        "median": middle,
        "change": today / middle - 1 if middle and today is not None else None,
        "chart": charts.days(product.populations, shown),
    }


# Checks


OUTCOMES = ("passed", "warned", "accepted", "failed", "not judged")


def _outcome(check: RecordedCheck) -> str:
    if is_accepted(check):
        return "accepted"
    if check.outcome == "failed" and check.severity == "warn":
        return "warned"
    return check.outcome.replace("_", " ")


def _tables(checks: Sequence[RecordedCheck]) -> list[Table]:
    """Gather the checks by table, tables in the order in which they were checked, failures before warnings."""
    by_table: dict[str, list[RecordedCheck]] = {}
    for check in checks:
        by_table.setdefault(check.table_name, []).append(check)
    return [
        Table(
            name,
            Counter(map(_outcome, results)),
            tuple(sorted((c for c in results if c.outcome == "failed"), key=lambda c: (not stops(c), c.severity))),
        )
        for name, results in by_table.items()
    ]
