"""
Gathering: all that the report says, read from Postgres.

Products are those that the publish log knows, their scores the columns of their history: a product or column that is
added is in the report without a word here. What is counted is counted by Postgres: the populations may be millions.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import class_row

from rekindle import contracts, records
from rekindle.errors import InputError
from rekindle.publishing import AUDIENCE_SCORES, REASONS
from rekindle.report.facts import DAYS_SHOWN, DayFacts, Freshness, ProductDay, Publish, Score, Spread, TopList, TopUser
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.records import Connection, Run
    from rekindle.report.facts import Kind

TOP_COUNT = 10

SHARE_DECIMALS = 3
"""Shares are published with three decimals, money with two."""

SHARE_BINS = 20
SHARE_ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)

AMOUNT_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""The edges of amounts within a power of ten, about equally far from each other on a logarithmic axis."""
AMOUNT_BINS = 24

SAMPLE_NOTES = "SAMPLE"
"""A file in the landing zone that says, line by line, what is to be known about the sample that was put there."""

DECILES = [n / 10 for n in range(1, 10)]


def gather(day: date, run_id: str) -> DayFacts:
    """Find what there is to say about a run's day. Raises InputError if there is no such run."""
    run = _run(day, run_id)
    stages, checks = records.stages(run_id=run_id, day=day), records.checks(run_id=run_id, day=day)

    def work(connection: Connection) -> DayFacts:
        # One picture: a publish that commits meanwhile is in none of the figures, or in all.
        connection.execute("set transaction isolation level repeatable read, read only")
        products = tuple(_product(connection, name, day) for name in _product_names(connection))
        return DayFacts(
            day=day,
            run=run,
            stages=tuple(stages),
            checks=tuple(checks),
            products=products,
            top=_top(connection, products, day),
            freshness=_freshness(connection),
            eligible_count=_value(connection, "select count(*) from sms.audience where eligible"),
            sources={s: contracts.landing_contract(s).landing.kind for s in contracts.landing_sources()},
            currency=settings().currency,
            sample_notes=_sample_notes(),
            seen_at=_value(connection, "select clock_timestamp()"),
        )

    return records.transact(work)


def _run(day: date, run_id: str) -> Run:
    for run in records.runs(day):
        if run.run_id == run_id:
            return run
    raise InputError(
        f"There is no record of a run {run_id} of {day}.",
        todo="Run the day, or name one of its runs.",
        safe="No report was written.",
    )


def _sample_notes() -> tuple[str, ...]:
    path = Path(settings().landing_zone.removeprefix("file://")) / SAMPLE_NOTES
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


# Products


def _product_names(connection: Connection) -> list[str]:
    """Whom the audience is about comes first."""
    question = "select distinct product, product = %s from rekindle.publish_log order by 2 desc, 1"
    return [name for name, _ in connection.execute(question, [_audience_product()])]


def _audience_product() -> str:
    return AUDIENCE_SCORES.removeprefix("sms.").removesuffix("_scores")


def _product(connection: Connection, name: str, day: date) -> ProductDay:
    history = _history(name)
    populations = dict(
        connection.execute(
            sql.SQL("select day, count(*) from {} where day between %s and %s group by day order by day").format(
                history
            ),
            [day - timedelta(days=DAYS_SHOWN - 1), day],
        )
    )
    before = max((other for other in populations if other < day), default=None)
    table = f"scores.{name}_daily"
    contract = contracts.load(table) if table in contracts.tables() else None
    about = {column.name: column.description for column in contract.columns} if contract else {}
    return ProductDay(
        name=name,
        about=contract.description.split(". ")[0] + "." if contract else "",
        publish=_publish(connection, name, day),
        populations=populations,
        scores=tuple(
            _score(connection, history, column, kind, day, before, about.get(column, ""))
            for column, kind in _score_columns(connection, name).items()
        ),
    )


def _history(product: str) -> sql.Identifier:
    return sql.Identifier("sms", f"{product}_scores_history")


def _publish(connection: Connection, product: str, day: date) -> Publish | None:
    with connection.cursor(row_factory=class_row(Publish)) as cursor:
        return cursor.execute(
            """
            select run_id, published_at, is_current from rekindle.publish_log
            where product = %s and day = %s order by publish_id desc limit 1
            """,
            [product, day],
        ).fetchone()


def _score_columns(connection: Connection, product: str) -> dict[str, Kind]:
    """Read from Postgres' catalog which columns are scores: numbers with decimals, but for the rest of the reasons."""
    columns = connection.execute(
        """
        select attname, (atttypmod - 4) & 65535 from pg_attribute
        where attrelid = %s::regclass and atttypid = 'numeric'::regtype and attnum > 0 and not attisdropped
            and attname <> 'other_contribution'
        order by attnum
        """,
        [f"sms.{product}_scores_history"],
    )
    return {name: "share" if decimals == SHARE_DECIMALS else "amount" for name, decimals in columns}


# Scores


def _score(  # noqa: PLR0917 - what a chart is made of
    connection: Connection, history: sql.Identifier, column: str, kind: Kind, day: date, before: date | None, about: str
) -> Score:
    days = [day] if before is None else [before, day]
    names = {"history": history, "column": sql.Identifier(column)}
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
        return Score(column, about, kind, (), None, None)
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
    return Score(column, about, kind, edges, spreads.get(day), spreads.get(before) if before else None)


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


def _top(connection: Connection, products: Sequence[ProductDay], day: date) -> TopList | None:
    """Find the highest scores of the product that the audience is about, beside what else is known of those users."""
    ours = next((p for p in products if p.name == _audience_product() and day in p.populations), None)
    if ours is None:
        return None
    score = ours.scores[0]
    rows = connection.execute(
        sql.SQL(
            "select user_id, {column}, {reasons} from {history} where day = %s"
            " order by {column} desc, percentile desc, user_id limit %s"
        ).format(
            column=sql.Identifier(score.column),
            reasons=sql.SQL(", ").join(map(sql.Identifier, REASONS)),
            history=_history(ours.name),
        ),
        [day, TOP_COUNT],
    ).fetchall()
    others = _others(connection, [p for p in products if p is not ours], [row[0] for row in rows], day)
    users = tuple(
        TopUser(user_id, value, tuple(_reason(r) for r in reasons if r is not None), others.get(user_id, {}))
        for user_id, value, *reasons in rows
    )
    return TopList(ours.name, score.column, score.kind, users)


def _others(
    connection: Connection, products: Sequence[ProductDay], users: Sequence[str], day: date
) -> dict[str, dict[str, Any]]:
    """Scores of other products on the day, by user and column."""
    found: dict[str, dict[str, Any]] = {}
    for product in products:
        columns = [score.column for score in product.scores if score.day]
        if not columns:
            continue
        rows = connection.execute(
            sql.SQL("select user_id, {} from {} where day = %s and user_id = any(%s)").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), _history(product.name)
            ),
            [day, list(users)],
        )
        for user_id, *values in rows:
            found.setdefault(user_id, {}).update(zip(columns, values, strict=True))
    return found


def _reason(published: str) -> tuple[str, str]:
    """Part a published reason, `last active 23 days ago (+0.35)`, into its words and its contribution."""
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
