"""A day's recommendations on real tables: trained, made, made again, and against loops over the rows they are made of."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml import behaviour, registry
from ml.products import RECOMMENDATION
from ml.registry import why_skipped
from ml.training import recommending
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.settings import settings
from rekindle.warehouse import lineage
from rekindle.workflow import unchanged
from spark_jobs import publish, recommendations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from tests.spark_jobs.conftest import Warehouse

pytestmark = pytest.mark.usefixtures("mlflow_ready")

DAY, FIRST = date(2016, 5, 9), date(2016, 2, 1)
BLOCKED, SOLD_OUT, ABROAD = "i00", "i13", "i26"
USERS, BLOCKS = 60, 3


def tiles() -> list[tuple[date, str, date, str, str]]:
    """Users of three groups who have items of their own third, and one item in four of any; by arithmetic, without a lot."""
    rows = []
    for user in range(USERS):
        for visit in range(16):
            on = FIRST + timedelta((user * 7 + visit * 6) % (DAY - FIRST).days)
            group = user % BLOCKS if visit % 4 else (user + visit) % BLOCKS
            item = group * 12 + (user * 5 + visit * visit * 3) % 12
            rows.append((on, f"u{user:02}", on, f"i{item:02}", f"c{group}"))
    # What comes after the day is known to nobody on it.
    rows.append((DAY + timedelta(1), "u00", DAY + timedelta(1), "tomorrow", "c0"))
    return sorted(set(rows))


@pytest.fixture(scope="module")
def filled(warehouse: Warehouse) -> Iterator[SparkSession]:
    """Tables as ingestion, tiles and marts would have filled them."""
    spark = warehouse.spark
    items = [f"i{n:02}" for n in range(36)] + ["new"]
    put(
        spark,
        "features.user_item_day",
        "day date, user_id string, activity_on date, item_id string, category string",
        tiles(),
    )
    put(
        spark,
        "raw.users",
        "day date, user_id string, registered_at timestamp, country string",
        [(FIRST, f"u{n:02}", None, "GB" if n % 2 else "us") for n in range(USERS)] + [(FIRST, "cold", None, "GB")],
    )
    put(
        spark,
        "raw.items",
        "day date, item_id string, category string, title string, in_stock string, countries string",
        [
            (
                DAY - timedelta(3) if item == "new" else FIRST,
                item,
                "c0" if item == "new" else f"c{int(item[1:]) // 12}",
                f"Item {item}",
                "false" if item == SOLD_OUT else None,
                "US, CA" if item == ABROAD else None,
            )
            for item in items
        ],
    )
    put(spark, "raw.blocked_items", "day date, item_id string, is_blocked string", [(FIRST, BLOCKED, "true")])
    put(spark, "marts.recall_population", "day date, user_id string", [(DAY, "u01"), (DAY, "cold"), (DAY, "unknown")])
    yield spark
    for table in ("marts.recall_population", *RECOMMENDATION.tables):
        spark.sql(f"DELETE FROM {table}")


def put(spark: SparkSession, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    there, given = spark.table(table), spark.createDataFrame(rows, columns)
    nulls = [
        f"cast(null as {f.dataType.simpleString()}) as `{f.name}`" for f in there.schema if f.name not in given.columns
    ]
    spark.sql(f"DELETE FROM {table}")
    given.selectExpr("*", *nulls).select(*there.columns).writeTo(table).append()


@pytest.fixture(scope="module")
def trained(filled: SparkSession) -> recommending.Training:
    return recommending.train(filled, DAY, records.start_run("train", Days.one(DAY)))


@pytest.fixture(scope="module")
def made(filled: SparkSession, trained: recommending.Training) -> dict[str, list[dict[str, Any]]]:
    """What a daily run makes of the day, by table."""
    assert trained.promoted, trained.verdict.why
    run_id = records.start_run("daily", Days.one(DAY))
    done = recommendations.main(filled, Days.one(DAY), run_id)
    records.finish_run(run_id, "done")
    found = rows_of(filled)
    assert done.row_counts == {table: len(rows) for table, rows in found.items()}
    return found


def rows_of(spark: SparkSession) -> dict[str, list[dict[str, Any]]]:
    return {table: [row.asDict() for row in spark.table(table).collect()] for table in RECOMMENDATION.tables}


def test_what_was_trained_is_in_office_with_a_card_and_files_that_run_nothing(trained):
    files = registry.files_of(trained.version)

    assert set(files) <= {"model.json", "booster_ranker.txt"}
    assert trained.version.judged.sample_digest
    assert registry.find_champion(RECOMMENDATION) == trained.version
    assert why_skipped(RECOMMENDATION, DAY) is None


def test_a_training_that_is_repeated_is_no_news(filled, trained):
    again = recommending.train(filled, DAY, records.start_run("train", Days.one(DAY)))

    assert again.same_as is None or again.same_as.version == trained.version.version
    assert registry.find_champion(RECOMMENDATION) == trained.version


def test_nobody_is_shown_what_may_not_be_shown(made):
    had = {(user, item) for _, user, _, item, _ in tiles()}
    british = {f"u{n:02}" for n in range(1, USERS, 2)} | {"cold"}
    shown = {(row["user_id"], row["item_id"]) for row in made["recs.ranked_daily"]}

    assert {user for user, _ in shown} == {f"u{n:02}" for n in range(USERS)} | {"cold"}
    assert not shown & had
    assert not {item for _, item in shown} & {BLOCKED, SOLD_OUT, "tomorrow"}
    assert not {user for user, item in shown if item == ABROAD} & british
    assert {user for user, item in shown if item == ABROAD}
    withheld = {row["item_id"]: row["withheld"] for row in made["recs.item_daily"] if row["withheld"]}
    assert withheld == {BLOCKED: "blocked", SOLD_OUT: "in_stock"}


def test_places_have_no_gap_and_who_is_cold_is_told_so(made):
    for user in ("u01", "cold"):
        ranks = sorted(row["rank"] for row in made["recs.ranked_daily"] if row["user_id"] == user)
        assert ranks == list(range(1, len(ranks) + 1))
    assert {row["is_fallback"] for row in made["recs.ranked_daily"] if row["user_id"] == "cold"} == {True}
    assert "cold" not in {row["user_id"] for row in made["recs.u2i"]}


def test_users_of_items_are_those_that_a_loop_counts(made):
    since = DAY - timedelta(29)
    pairs = {(user, item) for day, user, _, item, _ in tiles() if since <= day <= DAY}
    users_of = Counter(item for _, item in pairs)

    assert {row["item_id"]: row["users_30_days"] for row in made["recs.item_daily"]} == {
        **{row["item_id"]: users_of[row["item_id"]] for row in made["recs.item_daily"]}
    }
    everybody = [row for row in made["recs.c2i"] if row["kind"] == "everybody"]
    counts = [users_of[row["item_id"]] for row in sorted(everybody, key=lambda row: row["rank"])]
    assert counts == sorted(counts, reverse=True)


def test_a_new_item_is_known_by_its_category(made):
    (new,) = (row for row in made["recs.item_daily"] if row["item_id"] == "new")

    assert (new["category"], new["users_30_days"], new["title"]) == ("c0", 0, "Item new")


def test_a_message_names_the_first_three_of_the_list(made):
    lists = {}
    for row in sorted(made["recs.ranked_daily"], key=lambda row: row["rank"]):
        lists.setdefault(row["user_id"], []).append(row["item_id"])
    messages = {row["user_id"]: row for row in made["recs.message_daily"]}

    assert set(messages) == {"u01", "cold"}
    for user, row in messages.items():
        assert [row[f"item_{n}"] for n in (1, 2, 3)] == lists[user][:3]
        assert [row[f"title_{n}"] for n in (1, 2, 3)] == [f"Item {item}" for item in lists[user][:3]]


def test_a_day_that_was_made_stands_and_made_again_is_the_same(filled, made):
    assert unchanged.is_scored(RECOMMENDATION, DAY)
    run_id = records.start_run("daily", Days.one(DAY))
    recommendations.main(filled, Days.one(DAY), run_id)
    again = rows_of(filled)

    for table, rows in made.items():
        assert without_run(again[table]) == without_run(rows)


def without_run(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(str({name: value for name, value in row.items() if name != "run_id"}) for row in rows)


def test_a_day_declares_all_that_it_read(made):  # noqa: ARG001 - it has to be made
    for table in RECOMMENDATION.tables:
        built = records.builds(table, DAY, DAY)[DAY]
        assert set(built.inputs) == set(lineage.graph().windows(table, DAY))


def test_who_is_taken_out_of_the_warehouse_is_in_no_list(filled, made):  # noqa: ARG001 - after it was made
    filled.sql("DELETE FROM features.user_item_day WHERE user_id = 'u01'")
    filled.sql("DELETE FROM raw.users WHERE user_id = 'u01'")
    recommendations.main(filled, Days.one(DAY), records.start_run("daily", Days.one(DAY)))

    for table, rows in rows_of(filled).items():
        assert "u01" not in {row.get("user_id") for row in rows}, table


def test_without_items_and_without_blocked_ones_the_rules_are_off_by_name(filled, made):  # noqa: ARG001 - after it was made
    filled.sql("DELETE FROM raw.items")
    filled.sql("DELETE FROM raw.blocked_items")
    done = recommendations.main(filled, Days.one(DAY), records.start_run("daily", Days.one(DAY)))

    assert "blocked: off, no item is said to be blocked or not" in done.rules
    assert "in_stock: off, items do not say whether they are in stock" in done.rules
    assert "countries: off, items have no countries" in done.rules
    assert done.row_count > 0


def test_what_is_published_of_it_is_what_the_service_reads(filled, made):  # noqa: ARG001 - after it was made
    found = publish.recommended_of(filled, DAY)
    assert found is not None
    users, items = found.users.read_all().to_pylist(), found.items.read_all().to_pylist()
    ranked: dict[str, list[str]] = {}
    for row in sorted(rows_of(filled)["recs.ranked_daily"], key=lambda row: row["rank"]):
        ranked.setdefault(row["user_id"], []).append(row["item_id"])

    assert {row["user_id"]: row["items"] for row in users} == ranked
    assert [row["user_id"] for row in users] == sorted(ranked)
    assert [row["item_id"] for row in items] == sorted(row["item_id"] for row in items)


def test_an_empty_warehouse_is_refused_by_name(filled):
    with pytest.raises(Exception, match="nothing can be said"):
        recommending.train(filled, FIRST - timedelta(30), records.start_run("train", Days.one(FIRST)))


def test_a_day_before_any_delivery_knows_nobody(filled):
    found = behaviour.read(filled, FIRST - timedelta(30), settings())

    assert len(found.known.interactions) == len(found.user_ids) == 0


def test_promotions_of_it_are_told_like_those_of_any(trained):
    told = registry.overview(RECOMMENDATION)

    assert told["champion"] == trained.version.version
    assert postgres.transact(
        lambda c: c.execute("select count(*) from rekindle.gates where product = %s", [RECOMMENDATION.name]).fetchone()
    )
