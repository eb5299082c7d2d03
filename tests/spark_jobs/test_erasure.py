"""
Erasure: somebody is everywhere, is erased, and is then looked for by bytes.

Everybody's name is a word that stands nowhere else, so that a search finds it wherever it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from rekindle import erasure, postgres
from rekindle.days import Days
from rekindle.erasure import warehouse as warehouse_steps
from rekindle.landing import tombstones
from rekindle.landing.phones import phone_hmac
from rekindle.publishing import publications
from rekindle.settings import settings
from tests.reference import search
from tests.spark_jobs.conftest import stale_features
from tests.spark_jobs.ingest.test_raw import as_csv, as_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.spark_jobs.conftest import Warehouse

pytestmark = pytest.mark.slow

DAY = date(2024, 5, 1)
LATER = DAY + timedelta(1)
ERASED, TWIN, OTHER = "slartibartfast", "slartibartfasta", "agrajag"
"""Who is erased, somebody whose id begins like theirs, and somebody else."""
PHONE, OTHERS_PHONE = "+44 7700 900321", "+44 7700 900987"
DIGITS = "447700900321"
DEVICE, SHARED = (sha256(name.encode()).hexdigest() for name in ("a device", "a shared device"))
NEVER_THERE = "majikthise"
MODEL = {"product": "recall", "version": "3", "trained_day": "2024-04-30"}
WORDS = "the fjords are mine"

FILES: dict[str, str] = {
    "users.jsonl": as_jsonl(*({"user_id": u, "registered_at": "2024-01-01T00:00:00Z"} for u in (ERASED, TWIN, OTHER)))
    + f'{{"user_id": "{ERASED}", "registered_at": \n',
    "events.jsonl": as_jsonl(
        *(
            {"event_id": f"e-{u}", "user_id": u, "occurred_at": f"{DAY}T09:00:00Z", "type": "visit", "item_id": "i"}
            for u in (ERASED, TWIN, OTHER)
        ),
        {"event_id": "late", "user_id": ERASED, "occurred_at": "yesterday", "type": "visit"},
    ),
    "contacts.csv": as_csv(
        {"user_id": ERASED, "phone": PHONE, "country": "GB"}, {"user_id": OTHER, "phone": OTHERS_PHONE, "country": "GB"}
    ),
    "consents.jsonl": as_jsonl(
        *(
            {
                "consent_id": f"c-{n}",
                "user_id": ERASED,
                "phone": PHONE,
                "message_channel": "sms",
                "purpose": "marketing",
            }
            | {"action": action, "at": f"{DAY}T0{n}:00:00Z", "source": "web", "policy_version": "3"}
            for n, action in enumerate(("grant", "withdraw"))
        )
    ),
    "devices.csv": as_csv(
        {"user_id": ERASED, "id_type": "idfa", "id_hash": DEVICE},
        {"user_id": ERASED, "id_type": "idfa", "id_hash": SHARED},
        {"user_id": OTHER, "id_type": "idfa", "id_hash": SHARED},
    ),
    "ad_exposures.csv": as_csv(
        *(
            {"request_id": f"a-{n}", "id_type": "idfa", "id_hash": hashed, "occurred_at": f"{DAY}T10:00:00Z"}
            | {"strategy": "recall_value", "bid": "0.01", "price": "0.01", "won": 1, "clicked": 0}
            for n, hashed in enumerate((DEVICE, SHARED))
        )
    ),
    "replies.csv": as_csv(
        {"reply_id": "r1", "phone": PHONE, "received_at": f"{DAY}T11:00:00Z", "text": WORDS},
        {"reply_id": "r2", "phone": OTHERS_PHONE, "received_at": f"{DAY}T11:00:00Z", "text": "hello"},
    ),
}


def deliver(landing: Path, day: date) -> None:
    for name, text in FILES.items():
        if day != DAY and name.startswith(("replies", "ad_exposures")):
            continue
        folder = landing / name.partition(".")[0] / f"day={day}"
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
        (folder / "_SUCCESS").touch()


@dataclass(frozen=True)
class World:
    """Where somebody was, and what erasing them did."""

    warehouse: Warehouse
    home: Path
    before: list[str]
    held: dict[str, Any]
    done: erasure.Erased
    began: datetime

    def search(self) -> list[str]:
        return found_in(self.home)


def needles() -> list[str]:
    return [
        ERASED,
        PHONE,
        DIGITS,
        f"0{DIGITS[2:]}",
        WORDS,
        DEVICE,
        *(sha256(t.encode()).hexdigest() for t in (ERASED, DIGITS, PHONE)),
    ]


def found_in(home: Path) -> list[str]:
    """Files, and tables of each database, in which the person is; the twin is somebody else."""
    texts = needles()
    hide = [TWIN.encode()]
    hits = [
        name
        for name in search.in_files(home, [t.encode() for t in texts], but=(*search.NOT_OURS, "secrets.json"))
        if _is_there(b"\n".join(search.contents(home / name)), texts, hide)
    ]
    for database in ("scores", "lake", "mlflow", "airflow"):
        with _administrator(database) as connection:
            if connection is not None:
                hits += [f"{database}: {table}" for table in search.in_database(connection, texts)]
    return hits


def _is_there(content: bytes, texts: list[str], hide: list[bytes]) -> bool:
    for other in hide:
        content = content.replace(other, b"")
    return any(text.encode() in content for text in texts)


def _administrator(database: str) -> Any:
    from contextlib import nullcontext

    from rekindle.platform.credentials import credentials
    from rekindle.platform.home import Home
    from rekindle.platform.postgres import running_port

    home = Home(settings().home)
    try:
        return psycopg.connect(
            make_conninfo(
                host="127.0.0.1",
                port=running_port(home),
                user="postgres",
                password=credentials(home).postgres,
                dbname=database,
            )
        )
    except psycopg.OperationalError:
        return nullcontext(None)


@pytest.fixture(scope="module")
def world(warehouse: Warehouse, platform: Path) -> Iterator[World]:
    """Somebody in every table, in a page and in a log; then erased."""
    spark = warehouse.spark
    deliver(warehouse.landing, DAY)
    warehouse.ingest(Days.one(DAY))
    for table in ("features.user_day", "features.user_item_day", "features.user"):
        warehouse.build(table, Days.one(DAY))
    spark.sql("CREATE TABLE lake.features.diary (day DATE, user_id STRING, note STRING) USING iceberg")
    spark.sql(
        f"INSERT INTO lake.features.diary VALUES (DATE'{DAY}', '{ERASED}', 'dear'), (DATE'{DAY}', '{OTHER}', 'dear')"
    )
    spark.sql(
        f"INSERT INTO lake.marts.recall_population VALUES (DATE'{DAY}', '{ERASED}', 9), (DATE'{DAY}', '{TWIN}', 9)"
    )
    spark.sql("ALTER TABLE lake.features.diary CREATE TAG recall_1")
    spark.sql(f"DELETE FROM lake.features.diary WHERE user_id = '{ERASED}'")
    _publish()
    page = platform / "reports" / f"{DAY}.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text(f'<bdi class="id">{ERASED}</bdi><bdi class="id">{TWIN}</bdi>')
    (platform / "logs" / "task.log").write_text(f"CAST_INVALID_INPUT '{ERASED}' {PHONE}\n")
    (platform / "data_docs").mkdir(exist_ok=True)
    before = found_in(platform)
    held = erasure.held(spark, ERASED)
    _erase_and_die(spark)
    done = erasure.erase(spark, [ERASED, NEVER_THERE], learnt_from=_nothing)
    yield World(warehouse, platform, before, held, done, _erased_at())
    page.unlink()
    spark.sql("DROP TABLE lake.features.diary")
    spark.sql("DELETE FROM lake.marts.recall_population")
    _clear()


def _erase_and_die(spark: SparkSession) -> None:
    """An attempt that ends after three tables, of which raw.contacts, which knows the phones, is one."""
    clean, cleaned = warehouse_steps.clean, []

    def until_it_dies(spark: SparkSession, holding: Any, *rest: Any) -> Any:
        if len(cleaned) == 3:
            raise KeyboardInterrupt
        cleaned.append(holding.table)
        return clean(spark, holding, *rest)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(warehouse_steps, "clean", until_it_dies)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(spark, [ERASED], learnt_from=lambda _spark, _ids: [MODEL])
    assert "raw.contacts" in cleaned


def _nothing(_spark: SparkSession, _ids: Any) -> list[dict[str, Any]]:
    """What is found of models when the rows are gone."""
    return []


def _publish() -> None:
    """Rows of the database as a publish, a plan and the hourly run leave them."""
    key = settings().phone_key.get_secret_value()

    def work(connection: Any) -> None:
        for table in ("recall_scores", "ltv_scores", "audience"):
            publication = next(p for p in publications.declared() if p.table == table)
            required = [c for c in publication.current_columns if c.type == "boolean" and not c.nullable]
            values = {c.name: "false" for c in required}
            if publication.permits:
                values["suppression_reason"] = "'no_consent'"
            for user in (ERASED, OTHER):
                connection.execute(
                    f"insert into {publication.target} (user_id, {', '.join(values)}, schema_version, day, run_id, updated_at)"
                    f" values (%s, {', '.join(values.values())}, 1, %s, 'a run', clock_timestamp())",
                    [user, DAY],
                )
        connection.execute(
            "insert into rekindle.holdout (user_id, phone_hmac, is_held_out, decided_on, decided_by, share)"
            " values (%s, %s, false, %s, 'hash', .05)",
            [ERASED, phone_hmac(PHONE, key), DAY],
        )
        connection.execute("insert into rekindle.profile (user_id, day) values (%s, %s)", [ERASED, DAY])
        connection.execute(
            "insert into rekindle.permission (user_id, day, code) values (%s, %s, 'no_phone')", [ERASED, DAY]
        )

    postgres.transact(work)


def _clear() -> None:
    def work(connection: Any) -> None:
        for table in ("sms.recall_scores", "sms.ltv_scores", "sms.audience", "sms.erasure_feed"):
            connection.execute(f"delete from {table}")
        for table in ("withdrawal", "erasure", "phone_opt_out", "tombstone"):
            connection.execute(f"delete from rekindle.{table}")
        connection.execute("delete from rekindle.freshness where table_name = 'erasure_feed'")

    postgres.transact(work)


def _erased_at() -> datetime:
    return postgres.transact(
        lambda connection: postgres.only_value(connection.execute("select min(erased_at) from rekindle.erasure"))
    )


def select(query: str) -> list[tuple[Any, ...]]:
    return postgres.transact(lambda connection: connection.execute(query).fetchall())


def test_the_search_finds_somebody_who_is_there(world: World):
    """A search that finds nothing in files that are packed would find nothing afterwards either."""
    text = " ".join(world.before)

    for place in (
        "raw/users/data",
        "features/diary/metadata",
        "raw/quarantine",
        "raw/contacts",
        "raw/replies",
        "features/user",
    ):
        assert place in text
    for place in (
        "features/diary",
        "marts/recall_population",
        "reports/",
        "logs/",
        "rekindle.holdout",
        "sms.recall_scores",
    ):
        assert place in text


def test_after_erasure_only_the_feed_and_what_waits_for_it_name_somebody(world: World):
    kept = {"rekindle.erasure", "rekindle.withdrawal", "sms.audience", "sms.erasure_feed", "sms.ltv_scores"}

    assert set(world.search()) == {f"scores: {table}" for table in kept | {"sms.recall_scores"}}


def test_an_exposure_is_erased_with_the_device_that_nobody_else_has(world: World):
    rows = world.warehouse.rows

    assert [row["id_hash"] for row in rows("raw.ad_exposures")] == [SHARED]
    assert [(row["user_id"], row["id_hash"]) for row in rows("raw.devices")] == [(OTHER, SHARED)]
    assert {row["id_hash"] for row in world.held["tables"]["raw.ad_exposures"]} == {DEVICE}


def test_a_published_row_says_that_somebody_is_erased_and_nothing_else(
    world: World,  # noqa: ARG001 - they were erased
):
    (row,) = select(f"select to_jsonb(a) from sms.audience a where user_id = '{ERASED}'")
    said = {name: value for name, value in row[0].items() if value is not None}

    assert set(said) - {*publications.STAMPS, "content_updated_at"} == {
        *("user_id", "in_population", "eligible", "eligible_before_holdout", "suppression_reason", "schema_version")
    }
    assert not said["eligible"]
    assert said["suppression_reason"] == "erased"
    assert select("select user_id from sms.erasure_feed order by 1") == [(NEVER_THERE,), (ERASED,)]


def test_what_was_done_is_logged_of_nobody(world: World):
    hashed = tombstones.of_user(ERASED)
    steps = [
        step for (step,) in select(f"select step from rekindle.erasure_log where user_hmac = '{hashed}' order by 1")
    ]

    assert {"begun", "done", "files", "table raw.users", "table features.diary"} <= set(steps)
    assert (hashed,) in select("select user_hmac from rekindle.tombstone")
    assert world.done.removed_rows["raw.events"] == 1


def test_versions_that_have_learnt_from_them_are_listed_also_after_an_attempt_that_died(world: World):
    assert world.done.models == [MODEL]


def test_what_is_held_on_somebody_is_told_from_everywhere(world: World):
    tables = world.held["tables"]

    assert set(tables) >= {
        *("raw.users", "raw.events", "raw.contacts", "raw.consents", "raw.replies", "raw.quarantine", "features.user"),
        *("marts.recall_population", "rekindle.holdout", "rekindle.permission", "sms.audience"),
    }
    assert [row["phone"] for row in tables["raw.contacts"]] == [PHONE]
    assert not any(OTHER in str(rows) for rows in tables.values())
    assert not world.held["is_erased"]


def test_a_phone_that_was_closed_stays_closed_for_its_next_holder(
    world: World,  # noqa: ARG001 - they were erased
):
    key = settings().phone_key.get_secret_value()

    assert select("select phone_hmac from rekindle.phone_opt_out") == [(phone_hmac(PHONE, key),)]


def test_a_table_that_nobody_declares_loses_them_too(world: World):
    """With its tag, which would have kept the snapshot; and without a word of code about it."""
    rows = world.warehouse.rows("features.diary")

    assert [row["user_id"] for row in rows] == [OTHER]
    assert world.warehouse.rows("features.diary.refs", "type = 'TAG'") == []


def test_erasure_makes_nothing_stale_and_the_law_stands_as_it_was_recorded(world: World):
    assert stale_features() == {}
    ledger = {row["source"]: row for row in world.warehouse.rows("raw.deliveries", f"day = DATE'{DAY}'")}
    assert ledger["users"]["loaded_rows"] == 3
    assert ledger["users"]["delivered_rows"] == 4


def test_a_later_delivery_of_them_is_dropped_and_counted(world: World):
    """Also a row that cannot be told into columns, and one that breaks another rule."""
    deliver(world.warehouse.landing, LATER)
    told = {source: done.told for source, done in world.warehouse.ingest(Days.one(LATER)).items()}
    dropped = world.warehouse.rows("raw.quarantine", f"day = DATE'{LATER}'")

    assert [told["users"][name] for name in ("delivered", "loaded", "duplicates", "quarantined")] == [4, 2, 0, 2]
    assert told["events"]["warnings"]["erased"] == 2
    assert {(row["reason"], row["raw_text"]) for row in dropped if row["source"] != "replies"} == {("erased", None)}
    assert {row["user_id"] for row in world.warehouse.rows("raw.users", f"day = DATE'{LATER}'")} == {TWIN, OTHER}


def test_after_the_days_of_the_feed_nothing_names_them(world: World):
    """The next upkeep, a month later; what the later delivery of their phone brought goes with it."""
    later = world.began + timedelta(settings().erasure_feed_days, hours=1)
    done = erasure.erase_pending(world.warehouse.spark, at=later)

    assert done is not None and done.forgotten == 2
    assert world.search() == []
    assert erasure.erase_pending(world.warehouse.spark, at=later) is None


def test_others_stay(world: World):
    rows = world.warehouse.rows

    assert {row["user_id"] for row in rows("raw.users")} == {TWIN, OTHER}
    assert {row["user_id"] for row in rows("raw.contacts")} == {OTHER}
    assert {row["text"] for row in rows("raw.replies")} == {"hello"}
    assert {row["user_id"] for row in rows("features.user")} == {TWIN, OTHER}
    assert (world.home / "reports" / f"{DAY}.html").read_text().count(TWIN) == 1
