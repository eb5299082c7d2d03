"""What is published is declared: a made-up publication is migrated and published by its declaration alone."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg
import pyarrow as pa
import pytest
import yaml
from alembic import command
from alembic.config import Config

from rekindle import postgres, publishing, records, report
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.publishing import publications
from rekindle.publishing.spooling import spool
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import contracts

MONDAY = date(2017, 6, 5)
TUESDAY = MONDAY + timedelta(days=1)

VISITS = """
table: scores.visits_daily
is: How often a user will visit a shop. One row per user, shop and day.
owner: crm-data
key: [day, user_id, shop_id]
partition: day
built_by: score
columns:
  day: shared
  user_id: shared
  shop_id: {type: id, is: The shop.}
  expected_visits: {type: double, between: [0, null], is: Visits within a week.}
  kind: {type: string, nullable: true, in: [new, old], is: What kind of visitor.}
  run_id: shared
stop_if:
  constant: [expected_visits]
publish:
  name: visits
  table: visit_scores
  history: true
  who_left: blanked
  keeps: [kind]
  figures: {expected_visits: count}
  headline: expected_visits
  columns:
    expected_visits: {type: "numeric(8,1)"}
    kind: {type: text}
"""

ERASED = """
table: sms.erasure_feed
is: Whom to forget. One row per erased user.
owner: crm-data
key: [user_id]
publish:
  name: erasure_feed
  table: erasure_feed
  who_left: deleted
  query: select user_id, erased_at from rekindle.made_up_erasure
  columns:
    erased_at: {type: timestamp with time zone, nullable: false, is: When the user was erased.}
"""

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("user_id", pa.string()),
        ("shop_id", pa.string()),
        ("expected_visits", pa.float64()),
        ("kind", pa.string()),
        ("run_id", pa.string()),
    ]
)


class Scored(NamedTuple):
    name: str
    table: str


PRODUCT = Scored("visits", "scores.visits_daily")


@pytest.fixture
def declarations(tmp_path, monkeypatch):
    """A copy of the contracts that tests add to."""
    folder = tmp_path / "contracts"
    shutil.copytree(contracts.FOLDER, folder)
    monkeypatch.setattr(contracts, "FOLDER", folder)
    forget()

    def add(text, **changes):
        raw = yaml.safe_load(text)
        raw["publish"] |= changes
        (folder / f"{raw['table']}.yml").write_text(yaml.safe_dump(raw, sort_keys=False))
        forget()
        return folder / f"{raw['table']}.yml"

    yield add
    monkeypatch.undo()
    forget()


def forget():
    for cached in (contracts.tables, contracts.load, publications.declared, publications.standing_column):
        cached.cache_clear()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


def visits(*rows, day=MONDAY):
    base = {"day": day, "kind": "new", "run_id": "the run that scored"}
    named = [dict(zip(("user_id", "shop_id", "expected_visits"), row, strict=True)) for row in rows]
    return pa.Table.from_pylist([base | row for row in named], SCHEMA)


# Declarations


def test_the_publications_are_those_that_are_declared():
    """Written out, so that a file that nobody finds is noticed."""
    assert [(p.name, p.target, p.history) for p in publications.declared()] == [
        ("ltv", "sms.ltv_scores", True),
        ("recall", "sms.recall_scores", True),
        ("return_value", "sms.return_values", True),
        ("three_recommended", "sms.recommendations", False),
        ("vip_30", "sms.vip_30_scores", True),
        ("campaign_list", "sms.campaign_list", False),
        ("erasure_feed", "sms.erasure_feed", False),
        ("activation_audience", "sms.activation_audience", False),
        ("audience", "sms.audience", False),
    ]
    assert publications.leaders() == {"recall_scores", "vip_30_scores"}
    assert "sms.audience" not in contracts.tables()


def test_neither_publishing_nor_the_report_knows_a_publication_by_name():
    names = {name for p in publications.declared() for name in (p.name, p.table)}
    files = [path for room in ("publishing", "report") for path in (PROJECT / "rekindle" / room).glob("*.*")]
    files.append(PROJECT / "spark_jobs" / "publish.py")
    known = {path.name: found for path in files if (found := names & set(re.findall(r"\w+", path.read_text())))}

    assert not known, "Declare what differs in the section `publish` of the contract."
    assert len(files) > 10


NO_FIGURES = {"figures": {}, "headline": None, "keeps": []}
WRONG = {
    "a key that nothing reads": ({"hedline": "expected_visits"}, "hedline, which nothing reads"),
    "an unknown unit": ({"figures": {"expected_visits": "metres"}}, "none of share, money, days, count"),
    "figures without a headline": ({"headline": None}, "no headline"),
    "a headline that is no column": ({"headline": "visits"}, "names visits, which is none of its columns"),
    "an unknown way to leave": ({"who_left": "vanished"}, "does not know vanished"),
    "a column that the table has not": (NO_FIGURES | {"columns": {"height": {"type": "date", "is": "…"}}}, "a column height"),
    "a type that is not spelt as Postgres does": ({"columns": {"kind": {"type": "varchar"}}}, "a type as Postgres spells"),
    "SQL for a name": ({"table": "x; drop table y"}, "no name for Postgres"),
    "another's name": ({"name": "recall"}, "share a name"),
    "nothing on who left": (None, "does not say who_left"),
    "a table that nobody publishes": ({"reads": ["nothing"]}, "reads nothing, which nobody publishes"),
    "a stamp as a column": (NO_FIGURES | {"columns": {"run_id": {"type": "text"}}}, "run_id, which every published table has"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_declaration_that_does_not_fit_is_refused_by_name(changes, told, declarations):
    if changes is None:
        declarations(VISITS.replace("  who_left: blanked\n", ""))
    else:
        declarations(VISITS, **changes)

    with pytest.raises(InputError, match=told):
        publications.declared()


def test_queries_that_read_each_other_come_in_order_and_never_in_a_circle(declarations):
    one, two = ({"name": n, "table": n, "who_left": "kept", "query": "select", "columns": {}} for n in ("a_one", "two"))
    head = {"is": "…", "owner": "crm-data", "key": ["user_id"]}
    declarations(yaml.safe_dump({"table": "sms.a_one", **head, "publish": one | {"reads": ["two"]}}))
    declarations(yaml.safe_dump({"table": "sms.two", **head, "publish": two | {"reads": ["audience"]}}))
    assert [p.table for p in publications.declared()][5:] == [
        "campaign_list",
        "erasure_feed",
        "activation_audience",
        "audience",
        "two",
        "a_one",
    ]

    declarations(yaml.safe_dump({"table": "sms.two", **head, "publish": two | {"reads": ["a_one"]}}))
    with pytest.raises(InputError, match="read each other"):
        publications.declared()


# From a declaration to tables


@pytest.fixture
def made_up(declarations, empty_database, home):  # noqa: ARG001 - spools into the home
    """A database of its own with the made-up publications, as `rekindle migrate` makes it."""
    declarations(VISITS)
    postgres.migrate()
    return empty_database


def test_a_new_publication_gets_its_tables_rights_and_comments_by_migrating(made_up):
    assert columns(made_up, "sms.visit_scores") == {
        "user_id": "text",
        "shop_id": "text",
        "in_population": "boolean",
        "expected_visits": "numeric(8,1)",
        "kind": "text",
        "schema_version": "integer",
        "day": "date",
        "run_id": "text",
        "updated_at": "timestamp with time zone",
    }
    assert "in_population" not in columns(made_up, "sms.visit_scores_history")
    for table in ("visit_scores", "visit_scores_history", "recall_scores", "ltv_scores_history", "audience"):
        assert made_up.value(f"select has_table_privilege('sms_reader', 'sms.{table}', 'select')")
        undescribed = made_up.rows(
            f"select attname from pg_attribute where attrelid = 'sms.{table}'::regclass and attnum > 0"
            " and col_description(attrelid, attnum) is null"
        )
        assert undescribed == []
    comment = made_up.value("select obj_description('sms.visit_scores'::regclass, 'pg_class')")
    assert comment == "How often a user will visit a shop. One row per user, shop and day."


def test_a_made_up_product_is_published_by_its_contract_alone(made_up):
    run_id = records.start_run("daily", Days.one(MONDAY))
    publish = publishing.publish
    publish({PRODUCT: visits(("u1", "s1", 1.26), ("u1", "s2", 0.0), ("u2", "s1", 3.0))}, MONDAY, run_id)
    done = publish({PRODUCT: visits(("u1", "s1", 1.31), ("u2", "s1", 2.0), day=TUESDAY)}, TUESDAY, run_id)

    current = "select user_id, shop_id, in_population, expected_visits, kind, day from sms.visit_scores order by 1, 2"
    assert [tuple(row.values()) for row in made_up.rows(current)] == [
        ("u1", "s1", True, Decimal("1.3"), "new", MONDAY),  # 1.26 and 1.31 are one published value
        ("u1", "s2", False, None, "new", TUESDAY),  # who left keeps what is declared
        ("u2", "s1", True, Decimal("2.0"), "new", TUESDAY),
    ]
    assert [p.changed_count for p in done.products] == [2]
    history = "select count(*) as n, day from sms.visit_scores_history group by day order by day"
    assert [row["n"] for row in made_up.rows(history)] == [3, 2]
    assert {row["table_name"]: row["day"] for row in publishing.freshness()} == {"visit_scores": TUESDAY}
    best = publishing.history_of(PRODUCT, MONDAY, limit=2)
    assert [(row["user_id"], row["shop_id"]) for row in best] == [("u2", "s1"), ("u1", "s1")]

    with pytest.raises(CheckFailedError, match="key user_id, shop_id is unique, 1 rows"):
        publish({PRODUCT: visits(("u1", "s1", 1.0), ("u1", "s1", 2.0))}, MONDAY, run_id)
    with pytest.raises(psycopg.errors.CheckViolation):
        made_up.execute("update sms.visit_scores set expected_visits = null where in_population")


def test_a_column_that_is_gained_is_added_and_filled_and_none_is_dropped(made_up, declarations):
    run_id = records.start_run("daily", Days.one(MONDAY))
    rows = visits(("u1", "s1", 1.0), ("u2", "s1", 2.0))
    publishing.publish({PRODUCT: rows}, MONDAY, run_id)
    taller = VISITS.replace(
        "  run_id: shared\n", "  run_id: shared\n  height: {type: int, nullable: true, is: Height.}\n"
    )
    taller = taller.replace("    kind: {type: text}\n", "    height: {type: integer}\n").replace(
        "keeps: [kind]", "keeps: []"
    )
    declarations(taller)
    with_height = rows.append_column("height", pa.array([150, 190], pa.int32()))

    with pytest.raises(InputError, match="rekindle migrate"):
        publishing.publish({PRODUCT: with_height}, MONDAY, run_id)
    postgres.migrate()
    publishing.publish({PRODUCT: with_height}, MONDAY, run_id)

    assert made_up.rows("select kind, height from sms.visit_scores order by user_id") == [
        {"kind": "new", "height": 150},
        {"kind": "new", "height": 190},
    ]
    assert made_up.value("select max(height) from sms.visit_scores_history") == 190
    about = "select col_description('sms.visit_scores_history'::regclass, attnum) from pg_attribute"
    assert (
        made_up.value(f"{about} where attrelid = 'sms.visit_scores_history'::regclass and attname = 'height'")
        == "Height."
    )


def test_a_type_that_readers_know_is_never_changed(made_up, declarations):
    declarations(VISITS.replace("numeric(8,1)", "numeric(8,2)"))

    with pytest.raises(InputError, match=r"expected_visits numeric\(8,1\), declared as numeric\(8,2\)"):
        postgres.migrate()

    assert columns(made_up, "sms.visit_scores")["expected_visits"] == "numeric(8,1)"


def test_what_comes_from_a_query_is_published_by_itself(declarations, empty_database):
    declarations(ERASED)
    postgres.migrate()
    empty_database.execute("create table rekindle.made_up_erasure (user_id text, erased_at timestamptz)")
    empty_database.execute("insert into rekindle.made_up_erasure values ('u1', '2017-06-05Z'), ('u2', '2017-06-05Z')")
    run_id = records.start_run("daily", Days.one(MONDAY))

    first = publishing.refresh(["erasure_feed"], MONDAY, run_id)
    again = publishing.refresh(["erasure_feed"], MONDAY, run_id)
    empty_database.execute("delete from rekindle.made_up_erasure where user_id = 'u1'")
    third = publishing.refresh(["erasure_feed"], TUESDAY, run_id)
    older = publishing.refresh(["erasure_feed"], MONDAY, run_id)

    assert [r.products[0].changed_count for r in (first, again, third, older)] == [2, 0, 1, 0]
    assert (older.products[0].is_current, older.products[0].current_day) == (False, TUESDAY)
    assert first.published_at < again.published_at < third.published_at
    (row,) = empty_database.rows("select * from sms.erasure_feed")
    assert row == {
        "user_id": "u2",
        "erased_at": datetime(2017, 6, 5, tzinfo=UTC),
        "schema_version": 1,
        "day": MONDAY,
        "run_id": run_id,
        "updated_at": first.published_at,
    }
    assert [(row["table_name"], row["day"]) for row in publishing.freshness()] == [("erasure_feed", TUESDAY)]
    with pytest.raises(InputError, match="recall_scores is published from no query"):
        publishing.refresh(["recall_scores"], MONDAY, run_id)


def test_what_is_of_a_table_that_was_never_published_waits_for_it(database):
    run_id = records.start_run("daily", Days.one(MONDAY))

    (audience,) = publishing.refresh(["audience"], MONDAY, run_id).products

    assert (audience.is_current, audience.current_day) == (False, None)
    assert database.rows("select * from sms.freshness") == []


@pytest.mark.usefixtures("made_up")
def test_the_report_shows_what_is_declared_in_its_unit():
    run_id = records.start_run("daily", Days.one(MONDAY))
    publishing.publish({PRODUCT: visits(("u1", "s1", 1.0), ("u2", "s1", 2.0))}, MONDAY, run_id)

    facts = report.gather(MONDAY, run_id)

    (product,) = facts.products
    assert (product.name, product.about, product.populations) == (
        "visits",
        "How often a user will visit a shop.",
        {MONDAY: 2},
    )
    (score,) = product.scores
    assert (score.column, score.about, score.unit, score.day.mean) == (
        "expected_visits",
        "Visits within a week.",
        "count",
        1.5,
    )
    assert facts.top is None, "Nothing that tools send from is of it."
    assert '<th scope="col">count</th>' in report.render(facts)


# Spooling


def test_scores_are_spooled_batch_by_batch_and_leave_no_file(declarations, home):
    declarations(VISITS)
    publication = publications.of_table(PRODUCT.table)
    table = visits(*[(f"u{n:05}", "s1", float(n)) for n in range(1000)])
    held = []

    def batches():
        for batch in table.to_batches(max_chunksize=100):
            held.append(pa.total_allocated_bytes())
            yield batch

    with spool(publication, pa.RecordBatchReader.from_batches(SCHEMA, batches())) as streamed:
        assert list((home / "spool").iterdir()) == [], "A file without a name outlives no process."
        streamed.file.seek(0)
        lines = streamed.file.read().splitlines()
    with spool(publication, table.take(list(reversed(range(1000))))) as sorted_first:
        assert sorted_first.digest == streamed.digest

    assert len(held) == 10
    assert max(held) - held[0] < table.nbytes / 2, "Of what was written, nothing is held."
    assert lines[999] == b'2017-06-05,"u00999","s1",999,"new"'
    assert streamed.file.closed


# What Postgres says of them


def test_each_table_view_and_column_that_tools_read_says_in_postgres_what_it_is(database):
    said = {
        (row["relation"], row["name"]): row["words"]
        for row in database.rows(
            """
            select relname as relation, attname as name, coalesce(col_description(attrelid, attnum),
                case when attname is null then obj_description(pg_class.oid, 'pg_class') end) as words
            from pg_class cross join lateral (
                select attrelid, attnum, attname from pg_attribute
                where attrelid = pg_class.oid and attnum > 0 and not attisdropped
                union all select null, null, null
            ) as columns
            where relnamespace = 'sms'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
            """
        )
    }
    published = {p.target: p.current_columns for p in publications.declared()}
    published |= {p.history_target: p.history_columns for p in publications.declared() if p.history}

    assert {f"sms.{relation}" for relation, _ in said} == {*published, "sms.freshness"}
    assert [where for where, words in said.items() if not words] == []
    for target, columns in published.items():
        for column in columns:
            assert said[target.removeprefix("sms."), column.name] == column.description
    assert said["freshness", "valid_until"] == "Until when it may be used."


# Histories by month


@pytest.fixture
def before_partitions(empty_database):
    """A database as it was before 0004, with scores of three months and rights that somebody gave."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "rekindle" / "migrations"))
    command.upgrade(config, "0002")
    for day in (MONDAY, TUESDAY, date(2017, 7, 1), date(2018, 1, 31)):
        empty_database.execute(
            """
            insert into sms.ltv_scores_history (user_id, ltv_30_status, ltv_90_status, ltv_365_status, currency,
                percentile, decile, other_contribution, model_name, model_version, model_digest, is_backfilled,
                day, run_id, updated_at)
            select 'u' || n, 'not_available', 'not_available', 'not_available', 'EUR', 50, 5, 0.1, 'm', '1',
                repeat('a', 64), false, %s, 'r', clock_timestamp() from generate_series(1, 100) as n
            """,
            day,
        )
    empty_database.execute("grant select on sms.ltv_scores_history to public")
    empty_database.execute("comment on column sms.ltv_scores_history.currency is 'Ours.'")
    return empty_database


SHAPE = """
select attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attrelid = 'sms.ltv_scores_history'::regclass and attnum > 0 order by attnum
"""
RULES = """
select conname, pg_get_constraintdef(oid) from pg_constraint
where conrelid = 'sms.ltv_scores_history'::regclass order by conname
"""
INDEXES = "select indexname from pg_indexes where schemaname = 'sms' and tablename = 'ltv_scores_history' order by 1"
ROWS = "select * from sms.ltv_scores_history order by day, user_id"


def test_a_history_becomes_months_without_losing_anything(before_partitions):
    database = before_partitions
    before = {query: database.rows(query) for query in (SHAPE, RULES, INDEXES, ROWS)}
    rights = "select relacl::text[] from pg_class where oid = 'sms.ltv_scores_history'::regclass"
    may = database.value(rights)

    postgres.migrate()

    assert {query: database.rows(query) for query in before} == before
    assert sorted(database.value(rights)) == sorted(may)
    months = "select inhrelid::regclass::text as name from pg_inherits where inhparent = %s::regclass order by 1"
    assert [row["name"] for row in database.rows(months, "sms.ltv_scores_history")] == [
        "rekindle.ltv_scores_history_2017_06",
        "rekindle.ltv_scores_history_2017_07",
        "rekindle.ltv_scores_history_2018_01",
    ]
    assert database.rows(months, "sms.recall_scores_history") == []
    assert database.value("select count(*) from pg_class where relname like '%%whole'") == 0


def test_a_new_month_is_made_without_waiting_for_readers(made_up):
    run_id = records.start_run("daily", Days.one(MONDAY))
    rows = (("u1", "s1", 1.0), ("u2", "s1", 2.0))
    publishing.publish({PRODUCT: visits(*rows)}, MONDAY, run_id)
    new_year = date(2018, 1, 1)
    with made_up.connect() as reader:
        seen = reader.execute("select count(*) from sms.visit_scores_history").fetchone()

        publishing.publish({PRODUCT: visits(*rows, day=new_year)}, new_year, run_id)

        assert (
            reader.execute("select count(*) from sms.visit_scores_history where day < '2018-01-01'").fetchone() == seen
        )
    by_month = (
        "select tableoid::regclass::text as month, count(*) as n from sms.visit_scores_history group by 1 order by 1"
    )
    assert [tuple(row.values()) for row in made_up.rows(by_month)] == [
        ("rekindle.visit_scores_history_2017_06", 2),
        ("rekindle.visit_scores_history_2018_01", 2),
    ]


def columns(database, table):
    rows = database.rows(
        "select attname, format_type(atttypid, atttypmod) as type from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 order by attnum",
        table,
    )
    return {row["attname"]: row["type"] for row in rows}
