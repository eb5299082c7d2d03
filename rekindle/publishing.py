"""
Publishing: the scores of a day become what SMS tools read, in one Postgres transaction.

The tables `sms.<product>_scores` (current rows) and `sms.<product>_scores_history` say by their columns what is
published of a product: the score column of the same name, rounded to the column's type. So a further product needs its
own migration, and nothing here.

A publish has the tables to itself from taking the publish lock to its commit, and is stamped in between: tools that
follow `updated_at` miss no change.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.rows import dict_row
from pyarrow import csv

from rekindle import contracts
from rekindle.checks import HISTORY_DAYS, MIN_HISTORY_DAYS
from rekindle.errors import CheckFailedError, InputError
from rekindle.records import CheckResult, Connection, record_checks, transact
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rekindle.contracts import Contract

REASONS = ("reason_1", "reason_2", "reason_3")

STAMPS = ("day", "run_id", "updated_at")
"""When and by whom a row's content last changed; all other columns are its content."""

AUDIENCE_SCORES = "sms.recall_scores"
"""The audience is whom this table has: it is as fresh as this table is."""


class ScoreProduct(Protocol):
    """What this package wants to know of a product: its name, and the table whose contract its scores keep."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> str: ...


@dataclass(frozen=True)
class Published:
    """What a publish did with the scores of a product."""

    product: str
    table: str
    row_count: int
    changed_count: int
    """Current rows that are new, have other content, or left the population."""
    current_day: date | None
    """The day that the current rows are about."""
    is_current: bool
    """Whether the current rows were published, or history only: a backfill, or a day older than `current_day`."""


@dataclass(frozen=True)
class PublishResult:
    day: date
    published_at: datetime
    """The `updated_at` of all rows that this publish changed."""
    products: tuple[Published, ...]


def publish(
    scores: Mapping[ScoreProduct, pa.Table], day: date, run_id: str, *, backfill: bool = False
) -> PublishResult:
    """
    Publish the scores of `day`: current rows, history, audience and freshness change together or not at all.

    A backfill, and a day older than the current rows, changes history only. Raises CheckFailedError, and publishes
    nothing, when a rule of a contract is broken.
    """
    deliveries = [_deliver(product, table) for product, table in scores.items()]
    judged: dict[str, list[CheckResult]] = {}
    attempts = 0

    def work(connection: Connection) -> PublishResult:
        nonlocal attempts
        attempts += 1
        published_at = _take_turn(connection)
        if attempts > 1 and (before := _logged(connection, deliveries, day, run_id)):
            return before  # the answer to the first attempt got lost, its commit did not
        for delivery in deliveries:
            _stage(connection, delivery)
            judged[delivery.target] = list(_judge(connection, delivery, day))
        _refuse(day, judged)
        stamps = {"day": day, "run_id": run_id, "at": published_at}
        products = tuple(_merge_product(connection, delivery, stamps, backfill=backfill) for delivery in deliveries)
        if any(published.is_current for published in products):
            _merge_audience(connection, stamps)
        return PublishResult(day, published_at, products)

    try:
        return transact(work)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # Postgres' own text quotes the row, and with it the user.
        rule = error.diag.constraint_name or type(error).__name__
        raise _refusal(day, f"{error.diag.table_name or 'the staged scores'} broke {rule}") from None
    finally:
        for table, results in judged.items():
            record_checks(run_id, day, table, results)


def history_of(product: ScoreProduct, day: date, *, user_id: str | None = None, limit: int) -> list[dict[str, Any]]:
    """Return what was published of a product for a day, the best scores first; of one user where one is named."""
    contract = contracts.load(product.table)
    figure = next(name for name in contract.names if name not in contract.key)
    query = sql.SQL("select * from {} where day = %s and (%s::text is null or user_id = %s) ").format(
        sql.Identifier("sms", f"{product.name}_scores_history")
    ) + sql.SQL("order by percentile desc, {} desc, user_id limit %s").format(sql.Identifier(figure))

    def work(connection: Connection) -> list[dict[str, Any]]:
        return connection.cursor(row_factory=dict_row).execute(query, [day, user_id, user_id, limit]).fetchall()

    return transact(work)


def freshness() -> list[dict[str, Any]]:
    """Return a row per published table: which day it is about, until when it may be used."""
    query = (
        "select table_name, day, row_count, published_at, valid_until, status from sms.freshness order by table_name"
    )
    return transact(lambda connection: connection.cursor(row_factory=dict_row).execute(query).fetchall())


# Delivery: from Arrow to a staging table


@dataclass(frozen=True)
class _Delivery:
    """A product's scores as COPY takes them."""

    product: str
    contract: Contract
    types: Mapping[str, str]
    rows: bytes
    digest: str

    @property
    def target(self) -> str:
        return f"sms.{self.product}_scores"

    @property
    def staging(self) -> str:
        return f"staged_{self.product}"


def _deliver(product: ScoreProduct, scores: pa.Table) -> _Delivery:
    contract = contracts.load(product.table)
    missing = [name for name in contract.names if name not in scores.column_names]
    if missing:
        raise InputError(
            f"The scores of {product.name} have no column {', '.join(missing)}.",
            todo=f"Give what contracts/{product.table}.yml describes.",
            safe="Nothing was published.",
        )
    columns = {name: scores.column(name) for name in contract.names if name not in {"run_id", "reasons"}}
    columns |= _reasons(scores.column("reasons"))
    # In the order of the users, so that equal scores are equal bytes and the tables are written from front to back.
    staged = pa.table(columns).sort_by("user_id")
    rows = io.BytesIO()
    csv.write_csv(staged, rows, csv.WriteOptions(include_header=False))
    types = {name: _postgres_type(name, staged.schema.field(name).type) for name in staged.column_names}
    return _Delivery(product.name, contract, types, rows.getvalue(), hashlib.sha256(rows.getbuffer()).hexdigest())


def _reasons(reasons: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Lay out the largest contributions as columns; who has fewer has nulls."""
    largest = pc.list_slice(reasons.combine_chunks(), 0, len(REASONS), return_fixed_size_list=True)
    columns = {}
    for place, name in enumerate(REASONS):
        reason = pc.list_element(largest, place)
        # A source may deliver NUL in a text, and Postgres' text holds anything but that.
        columns[f"{name}_words"] = pc.replace_substring(pc.struct_field(reason, "words"), "\x00", "\ufffd")
        columns[f"{name}_contribution"] = pc.struct_field(reason, "contribution")
    return columns


def _postgres_type(name: str, arrow: pa.DataType) -> str:
    kinds = {
        "text": (pa.types.is_string, pa.types.is_large_string),
        "bigint": (pa.types.is_integer,),
        "double precision": (pa.types.is_floating,),
        "numeric": (pa.types.is_decimal,),
        "date": (pa.types.is_date,),
        "boolean": (pa.types.is_boolean,),
    }
    for postgres, tests in kinds.items():
        if any(test(arrow) for test in tests):
            return postgres
    raise InputError(f"Scores cannot be published with {name} of type {arrow}.", todo="Use a type that Postgres has.")


def _stage(connection: Connection, delivery: _Delivery) -> None:
    columns = ", ".join(f"{name} {kind}{COLLATION.get(kind, '')}" for name, kind in delivery.types.items())
    connection.execute(f"create temporary table {delivery.staging} ({columns}) on commit drop")
    names = ", ".join(delivery.types)
    with connection.cursor().copy(f"copy {delivery.staging} ({names}) from stdin (format csv)") as copy:
        copy.write(delivery.rows)


COLLATION = {"text": ' collate "C"'}
"""As in the tables of schema `sms`: sorting and comparing by bytes is also several times faster."""


# Judgement: the contract once more, on exactly what would be published


def _judge(connection: Connection, delivery: _Delivery, day: date) -> Iterator[CheckResult]:
    broken = dict(_broken_rows(delivery, day))
    constants = delivery.contract.stop_if.get("constant", ())
    ((row_count, repeated, *others),) = connection.execute(
        f"""
        select count(*), count(*) - count(distinct user_id)
            {"".join(f", count(*) filter (where {where})" for where in broken.values())}
            {"".join(f", count(*) > 1 and min({name}) = max({name})" for name in constants)}
        from {delivery.staging}
        """
    )
    yield _result("key user_id is unique", failed_rows=repeated)
    for rule, failed_rows in zip(broken, others[: len(broken)], strict=True):
        yield _result(rule, failed_rows=failed_rows)
    for name, is_constant in zip(constants, others[len(broken) :], strict=True):
        rule = f"{name} is not constant"
        if row_count > 1:
            yield _result(rule, failed_rows=row_count if is_constant else 0)
        else:
            yield CheckResult(rule, "stop", "not_judged")
    if limit := delivery.contract.stop_if.get("rows_change_by"):
        yield _judge_row_count(connection, delivery.product, day, row_count, limit)


def _broken_rows(delivery: _Delivery, day: date) -> Iterator[tuple[str, str]]:
    """Name each rule about rows, with the SQL of a row that breaks it. NaN is greater than any number to Postgres."""
    yield f"day is {day}", f"day is distinct from date '{day}'"
    for column in delivery.contract.columns:
        name, kind = column.name, delivery.types.get(column.name)
        if kind is None:
            continue
        if not column.nullable:
            yield f"{name} is not null", f"{name} is null"
        if column.between:
            low, high = column.between
            outside = [f"{name} < {low}"] * (low is not None) + [f"{name} > {high}"] * (high is not None)
            rule = f"{name} is between {'-∞' if low is None else low} and {'∞' if high is None else high}"
            yield rule, " or ".join(outside)
        if column.one_of:
            yield f"{name} is one of {', '.join(column.one_of)}", f"{name} <> all (array{list(column.one_of)})"
        if column.matches:
            yield f"{name} matches {column.matches}", f"{name} !~ '{column.matches}'"
    for name, kind in delivery.types.items():
        if kind in {"double precision", "numeric"}:
            yield f"{name} is a finite number", f"{name} in ('nan', 'infinity', '-infinity')"


def _judge_row_count(connection: Connection, product: str, day: date, row_count: int, limit: float) -> CheckResult:
    """Compare with the median of what was published for the days of the week before."""
    rule = f"rows change by at most {limit:g} of the week's median"
    ((days, median),) = connection.execute(
        """
        select count(*), percentile_cont(0.5) within group (order by row_count)
        from (
            select distinct on (day) day, row_count from rekindle.publish_log
            where product = %s and day between %s and %s order by day, publish_id desc
        ) as week
        """,
        [product, day - timedelta(days=HISTORY_DAYS), day - timedelta(days=1)],
    )
    if days < MIN_HISTORY_DAYS or not median:
        return CheckResult(rule, "stop", "not_judged", detail={"days": days})
    change = abs(row_count - median) / median
    detail = {"rows": row_count, "median": median, "change": round(change, 3)}
    return CheckResult(rule, "stop", "passed" if change <= limit else "failed", detail=detail)


def _result(rule: str, *, failed_rows: int) -> CheckResult:
    return CheckResult(rule, "stop", "failed" if failed_rows else "passed", failed_rows or None)


def _refuse(day: date, judged: Mapping[str, Sequence[CheckResult]]) -> None:
    failed = [(table, r) for table, results in judged.items() for r in results if r.outcome == "failed"]
    if failed:
        raise _refusal(
            day,
            "; ".join(
                f"{table}: {r.rule}, " + (f"{r.failed_rows} rows" if r.failed_rows else f"{r.detail}")
                for table, r in failed
            ),
        )


def _refusal(day: date, what: str) -> CheckFailedError:
    return CheckFailedError(
        f"The scores of {day} are not fit to be published. {what}.",
        todo="Find out which stage made them so, repair it, and run the day again.",
        safe="Nothing was published: readers keep what they had.",
        code="check_failed",
    )


# Merging


def _take_turn(connection: Connection) -> datetime:
    """Wait until no one else publishes; stamp this publish later than every one before, whatever the clock does."""
    try:
        connection.execute("select pg_advisory_xact_lock(hashtextextended('rekindle publish', 0))")
    except psycopg.errors.LockNotAvailable as error:
        raise InputError(
            "Another process is publishing.", todo="Wait for it to end and run again.", code="already_running"
        ) from error
    # All joins here are of whole tables. Postgres has no statistics yet of what was just written, and a nested loop
    # that it believes to be short takes minutes for 60,000 rows.
    connection.execute("set local enable_nestloop to off")
    ((published_at,),) = connection.execute(
        "select greatest(clock_timestamp(), max(published_at) + interval '1 microsecond') from rekindle.publish_log"
    )
    return published_at


def _merge_product(
    connection: Connection, delivery: _Delivery, stamps: Mapping[str, Any], *, backfill: bool
) -> Published:
    current_day = _current_day(connection, delivery.target)
    is_current = not backfill and (current_day is None or stamps["day"] >= current_day)
    _merge_history(connection, delivery, stamps)
    changed_count = 0
    if is_current:
        current_day = stamps["day"]
        changed_count = _merge_current(connection, delivery, stamps)
        _renew(connection, delivery.target, stamps)
    row_count = _count(connection, delivery.staging)
    connection.execute(
        """
        insert into rekindle.publish_log
            (day, run_id, product, is_current, row_count, changed_count, content_digest, published_at)
        values (%(day)s, %(run_id)s, %(product)s, %(is_current)s, %(row_count)s, %(changed_count)s, %(digest)s, %(at)s)
        """,
        {
            **stamps,
            "product": delivery.product,
            "is_current": is_current,
            "row_count": row_count,
            "changed_count": changed_count,
            "digest": delivery.digest,
        },
    )
    return Published(delivery.product, delivery.target, row_count, changed_count, current_day, is_current)


def _merge_history(connection: Connection, delivery: _Delivery, stamps: Mapping[str, Any]) -> None:
    """Make the day's partition what was staged, touching only rows that differ."""
    history = f"{delivery.target}_history"
    connection.execute(
        f"""
        delete from {history} as t
        where day = %(day)s and not exists (select from {delivery.staging} as s where s.user_id = t.user_id)
        """,
        stamps,
    )
    content = _content(connection, history)
    rows = _select_list({name: _published(delivery, column) for name, column in content.items()})
    _merge(connection, history, list(content), f"select user_id, {rows} from {delivery.staging}", stamps, of_day=True)


def _merge_current(connection: Connection, delivery: _Delivery, stamps: Mapping[str, Any]) -> int:
    """Bring in who is scored; who no longer is stays, without a score: a row is never silently dropped."""
    target = delivery.target
    content = _content(connection, target)
    values = [column for name, column in content.items() if name != "in_population"]
    member = {"in_population": "true", **{c.name: _published(delivery, c) for c in values}}
    left = {"in_population": "false", **{c.name: c.default or f"null::{c.type}" for c in values}}
    source = f"""
        select user_id, {_select_list(member)} from {delivery.staging}
        union all
        select user_id, {_select_list(left)} from {target} as t
        where in_population and not exists (select from {delivery.staging} as s where s.user_id = t.user_id)
    """
    return _merge(connection, target, list(content), source, stamps)


def _merge_audience(connection: Connection, stamps: Mapping[str, Any]) -> None:
    content = list(_content(connection, "sms.audience"))
    _merge(connection, "sms.audience", content, f"select user_id, {', '.join(content)} from rekindle.audience", stamps)
    _renew(connection, "sms.audience", {**stamps, "day": _current_day(connection, AUDIENCE_SCORES)})


def _merge(
    connection: Connection,
    target: str,
    content: Sequence[str],
    source: str,
    stamps: Mapping[str, Any],
    *,
    of_day: bool = False,
) -> int:
    """Insert or update the rows of `source` whose content `target` does not have yet, and stamp them."""
    columns = ", ".join(["user_id", *content, *STAMPS])
    theirs, ours = (", ".join(f"{row}.{name}" for name in content) for row in ("s", "t"))
    changed = [*content, *STAMPS]
    return connection.execute(
        f"""
        with s as materialized ({source})
        insert into {target} ({columns})
        select s.user_id, {theirs}, %(day)s, %(run_id)s, %(at)s
        from s left join {target} as t on t.user_id = s.user_id {"and t.day = %(day)s" if of_day else ""}
        where t.user_id is null or ({ours}) is distinct from ({theirs})
        on conflict ({"user_id, day" if of_day else "user_id"}) do update
        set ({", ".join(changed)}) = ({", ".join(f"excluded.{name}" for name in changed)})
        """,
        stamps,
    ).rowcount


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    default: str | None


def _content(connection: Connection, table: str) -> dict[str, _Column]:
    """Read from Postgres' catalog which columns are the content of a published table."""
    rows = connection.execute(
        """
        select a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute as a left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
        order by a.attnum
        """,
        [table],
    )
    return {name: _Column(name, kind, default) for name, kind, default in rows if name not in {"user_id", *STAMPS}}


def _published(delivery: _Delivery, column: _Column) -> str:
    """SQL of a published value: the score column of that name, rounded by the column's type."""
    if column.name in REASONS:
        words, contribution = f"{column.name}_words", f"round({column.name}_contribution::numeric, 2)"
        return f"{words} || ' (' || case when {contribution} < 0 then '' else '+' end || {contribution} || ')'"
    if column.name in delivery.types:
        return f"{column.name}::{column.type}"
    if column.default:
        return column.default
    raise InputError(
        f"{delivery.target} has a column {column.name} that the scores of {delivery.product} have not.",
        todo="Let the migration name its columns like those of the contract, or give the column a default.",
        safe="Nothing was published.",
    )


def _select_list(expressions: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} as {name}" for name, expression in expressions.items())


def _current_day(connection: Connection, table: str) -> date | None:
    row = connection.execute("select day from rekindle.freshness where table_name = %s", [_bare(table)]).fetchone()
    return row[0] if row else None


def _renew(connection: Connection, table: str, stamps: Mapping[str, Any]) -> None:
    """Say of a table which day it is about and until when it may be used."""
    connection.execute(
        """
        insert into rekindle.freshness (table_name, day, row_count, published_at, valid_until)
        values (%(table)s, %(day)s, %(row_count)s, %(at)s,
            (%(day)s::date + 1)::timestamp at time zone 'UTC' + make_interval(hours => %(valid_hours)s))
        on conflict (table_name) do update
        set (day, row_count, published_at, valid_until) =
            (excluded.day, excluded.row_count, excluded.published_at, excluded.valid_until)
        """,
        {
            **stamps,
            "table": _bare(table),
            "row_count": _count(connection, table),
            "valid_hours": settings().valid_hours,
        },
    )


def _count(connection: Connection, table: str) -> int:
    ((count,),) = connection.execute(f"select count(*) from {table}")
    return count


def _bare(table: str) -> str:
    return table.removeprefix("sms.")


def _logged(connection: Connection, deliveries: Sequence[_Delivery], day: date, run_id: str) -> PublishResult | None:
    """Find this very publish in the log: whether a commit arrived whose answer was lost."""
    products = []
    published_at = None
    for delivery in deliveries:
        row = connection.execute(
            """
            select row_count, changed_count, is_current, published_at from rekindle.publish_log
            where day = %s and run_id = %s and product = %s and content_digest = %s
            order by publish_id desc limit 1
            """,
            [day, run_id, delivery.product, delivery.digest],
        ).fetchone()
        if row is None:
            return None
        row_count, changed_count, is_current, published_at = row
        current_day = _current_day(connection, delivery.target)
        products.append(Published(delivery.product, delivery.target, row_count, changed_count, current_day, is_current))
    return PublishResult(day, published_at, tuple(products)) if published_at else None
