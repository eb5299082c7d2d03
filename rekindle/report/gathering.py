"""
Gathering: all that the report says, read from Postgres.

Products are the publications with a history that the publish log knows, their scores the figures that these declare: what
is added there is in the report without a word here. What is counted is counted by Postgres: the populations may be millions.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import class_row

from rekindle import postgres, records
from rekindle.bidding import results
from rekindle.errors import InputError
from rekindle.publishing import publications, stake
from rekindle.report import came_true, responses, scored_by
from rekindle.report.facts import (
    DAYS_SHOWN,
    DayFacts,
    Freshness,
    ProductDay,
    Publish,
    Score,
    Spread,
    TopList,
    TopUser,
    kind_of,
)
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication
    from rekindle.records import RecordedCheck, Run, Stage
    from rekindle.report.scored_by import Office

TOP_COUNT = 10

SHARE_BINS = 20
SHARE_ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)

AMOUNT_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""The edges of amounts within a power of ten, about equally far from each other on a logarithmic axis."""
AMOUNT_BINS = 24

SAMPLE_NOTES = "SAMPLE"
"""A file in the landing zone that says, line by line, what is to be known about the sample that was put there."""

DECILES = [n / 10 for n in range(1, 10)]

WEEK = timedelta(days=7)
"""How often the level of a champion is looked at."""


def gather(day: date, run_id: str) -> DayFacts:
    """Find what there is to say about a run's day. Raises InputError if there is no such run."""
    run = _run(day, run_id)
    known, answered = came_true.find(day), responses.find(day)
    offices = scored_by.offices([p for p in publications.declared() if p.history])
    found = {product: records.waiting(product) for product in records.judged_products()}
    waiting = {product: gate for product, gate in found.items() if gate and gate.trained_day <= day}
    off = _off(day)
    stages = records.stages(run_id=run_id, day=day)
    checks = _checks(day, run_id, stages)

    def work(connection: Connection) -> DayFacts:
        # One picture: a publish that commits meanwhile is in none of the figures, or in all.
        connection.execute("set transaction isolation level repeatable read, read only")
        shown = _shown(connection)
        products = tuple(_product(connection, p, day, offices.get(p.name)) for p in shown)
        return DayFacts(
            day=day,
            run=run,
            stages=tuple(stages),
            checks=tuple(checks),
            products=products,
            top=_top(connection, day),
            freshness=_freshness(connection),
            eligible_count=_eligible_count(connection),
            sources={
                source: landing.kind
                for source in contracts.landing_sources()
                if (landing := contracts.landing_contract(source).landing)
            },
            currency=settings().currency,
            sample_notes=sample_notes(),
            waiting=waiting,
            off=off,
            seen_at=_value(connection, "select clock_timestamp()"),
            came_true=known,
            responses=answered,
            ads=results.of_rows(records.ad_results(day)),
        )

    return postgres.transact(work)


def _checks(day: date, run_id: str, stages: Sequence[Stage]) -> list[RecordedCheck]:
    """
    What the rules said of what the run has built, and of what it has left as it was, when that was built.

    Of what a history has built nothing is said here: its rules looked at all of its days.
    """
    own = records.checks(run_id=run_id, day=day)
    if not any(stage.detail.get("kept") for stage in stages):
        return own
    looked_at = {check.table_name for check in own}
    of_the_day = {run.run_id for run in records.runs(day) if run.first_day == run.last_day}
    left = {
        (table, build.run_id)
        for table in lineage.graph().order
        for build in records.builds(table, day, day).values()
        if table not in looked_at and build.run_id in of_the_day
    }
    return own + [check for check in records.checks(day=day) if (check.table_name, check.run_id) in left]


def _off(day: date) -> tuple[str, ...]:
    """What the last look at a champion, within a week, says of a level that does not hold; of none that has left office."""
    looked = {
        (check.table_name, check.rule): check
        for check in records.checks_since(day - WEEK, f"%{records.CALIBRATION}")
        if check.day <= day
    }
    failed = [check.detail for check in looked.values() if check.outcome == "failed"]
    return tuple(
        f"{said['product']} version {said['version']}: {said['told']}"
        for said in failed
        if [p.version for p in records.standing(records.promotions(said["product"]))][-1:] == [said["version"]]
    )


def _run(day: date, run_id: str) -> Run:
    for run in records.runs(day):
        if run.run_id == run_id:
            return run
    raise InputError(
        f"There is no record of a run {run_id} of {day}.",
        todo="Run the day, or name one of its runs.",
        safe="No report was written.",
    )


def sample_notes() -> tuple[str, ...]:
    """What is to be known about a sample or a simulation that fills the landing zone, such as that it is simulated."""
    path = Path(settings().landing_zone.removeprefix("file://")) / SAMPLE_NOTES
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


# Products


def _shown(connection: Connection) -> list[Publication]:
    """Find the publications that were ever published; what another one is of comes first, because tools send to it."""
    logged = {name for (name,) in connection.execute("select distinct product from rekindle.publish_log")}
    shown = [p for p in publications.declared() if p.history and p.name in logged]
    return sorted(shown, key=lambda p: (p.table not in publications.leaders(), p.name))


def _product(connection: Connection, publication: Publication, day: date, office: Office | None) -> ProductDay:
    history = _history(publication)
    populations = dict(
        connection.execute(
            sql.SQL("select day, count(*) from {} where day between %s and %s group by day order by day").format(
                history
            ),
            [day - timedelta(days=DAYS_SHOWN - 1), day],
        )
    )
    before = max((other for other in populations if other < day), default=None)
    return ProductDay(
        name=publication.name,
        table=publication.table,
        about=publication.description.split(". ")[0] + ".",
        publish=_publish(connection, publication.name, day),
        populations=populations,
        scores=tuple(_score(connection, publication, figure, day, before) for figure in publication.figures),
        headline=publication.headline,
        scored_by=scored_by.find(connection, publication, day, office) if office else (),
    )


def _history(publication: Publication) -> sql.Identifier:
    return sql.Identifier(*publication.history_target.split("."))


def _eligible_count(connection: Connection) -> int:
    """Count who may be sent to, in all that says so."""
    return sum(
        _value(connection, f"select count(*) from {publication.target} where {publication.permits}")
        for publication in publications.declared()
        if publication.permits
    )


def _publish(connection: Connection, product: str, day: date) -> Publish | None:
    with connection.cursor(row_factory=class_row(Publish)) as cursor:
        return cursor.execute(
            """
            select run_id, published_at, is_current from rekindle.publish_log
            where product = %s and day = %s order by publish_id desc limit 1
            """,
            [product, day],
        ).fetchone()


# Scores


def _score(connection: Connection, publication: Publication, column: str, day: date, before: date | None) -> Score:
    days = [day] if before is None else [before, day]
    names = {"history": _history(publication), "column": sql.Identifier(column)}
    about, unit = publication.column(column).description, publication.figures[column]
    kind = kind_of(unit)
    found = connection.execute(
        sql.SQL(
            """
            select day, count({column}), avg({column})::float8,
                percentile_cont(%s::float8[]) within group (order by {column}),
                min({column})::float8, max({column})::float8, (min({column}) filter (where {column} > 0))::float8
            from {history} where day = any(%s) and {column} is not null group by day
            """
        ).format(**names),
        [DECILES, days],
    ).fetchall()
    if not found:
        return Score(column, about, kind, (), None, None, unit)
    lowest, highest = min(row[4] for row in found), max(row[5] for row in found)
    least = min((row[6] for row in found if row[6] is not None), default=0.0)
    edges = share_edges(lowest, highest) if kind == "share" else amount_edges(least, highest)
    binned: dict[date, list[int]] = {row[0]: [0] * len(edges) for row in found}
    for of, place, users in connection.execute(
        sql.SQL(
            """
            select day, width_bucket({column}::float8, %s::float8[]), count(*)
            from {history} where day = any(%s) and {column} is not null group by 1, 2
            """
        ).format(**names),
        [list(edges), days],
    ):
        binned[of][min(place, len(edges) - 1)] += users
    spreads = {of: Spread(of, users, mean, tuple(deciles), tuple(binned[of])) for of, users, mean, deciles, *_ in found}
    return Score(column, about, kind, edges, spreads.get(day), spreads.get(before) if before else None, unit)


def share_edges(lowest: float, highest: float) -> tuple[float, ...]:
    """Cut the axis of shares into equal bins that end where the largest fits, on both sides if some are negative."""
    end = next((end for end in SHARE_ENDS if end >= max(highest, -lowest)), SHARE_ENDS[-1])
    first = -end if lowest < 0 else 0.0
    return tuple(round(first + n * (end - first) / SHARE_BINS, 6) for n in range(SHARE_BINS + 1))


def amount_edges(least: float, highest: float) -> tuple[float, ...]:
    """Cut the axis of amounts at 0 and then logarithmically, from the least that is above 0 to the highest."""
    if highest <= 0 or least <= 0:
        return (0.0, 1.0)
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(highest)) + 1)
    steps = [step * 10.0**power for power in powers for step in AMOUNT_STEPS]
    fitting = [low for low, high in pairwise(steps) if high > least and low <= highest]
    last = next(step for step in steps if step > fitting[-1])
    return (0.0, *fitting[-AMOUNT_BINS:], last)


# The list, and what is said of the tables


def _top(connection: Connection, day: date) -> TopList | None:
    """Find the users with the most at stake, of whom tools are about to send to, beside what else is known of them."""
    found = stake.find(connection, day, TOP_COUNT)
    if found is None or (headline := found.publication.headline) is None:
        return None
    ours = found.publication
    reasons = [column.name for column in ours.columns if column.reason]
    others = [figure for p in publications.declared() if p is not ours and p.history for figure in p.figures]
    users = tuple(
        TopUser(
            row["user_id"],
            row[headline],
            tuple(_reason(row[name]) for name in reasons if row.get(name) is not None),
            {name: row[name] for name in others if row.get(name) is not None},
            row[stake.VALUE],
        )
        for row in found.rows
    )
    return TopList(ours.name, headline, kind_of(ours.figures[headline]), users, found.says, found.total)


def _reason(published: str) -> tuple[str, str]:
    """Part a published reason, `last active 23 days ago: raises the chance (+0.35)`, into its words and its contribution."""
    words, _, contribution = published.rpartition(" (")
    return words, contribution.removesuffix(")")


def _freshness(connection: Connection) -> tuple[Freshness, ...]:
    with connection.cursor(row_factory=class_row(Freshness)) as cursor:
        return tuple(
            cursor.execute(
                "select table_name, day, row_count, published_at, valid_until, status from sms.freshness order by 1"
            )
        )


def _value(connection: Connection, question: str, parameters: Mapping[str, Any] | None = None) -> Any:
    ((value,),) = connection.execute(question, parameters)
    return value
