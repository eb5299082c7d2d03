"""
What is personal: rows that break every rule, and then a search for whom they are about.

Everybody here has the name of one person and a number of one range, so that either is found wherever it is.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import postgres, records, report
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.phones import phone_hmac
from rekindle.landing.zone import LandingZone
from rekindle.settings import settings
from rekindle.warehouse import checks, contracts
from spark_jobs.ingest import raw
from tests.bad_inputs import bad_input
from tests.spark_jobs.ingest.test_raw import as_csv, as_jsonl

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.spark_jobs.conftest import Warehouse

DAY = date(2024, 5, 1)
SOURCES = ("contacts", "consents", "messages", "replies")
NAME, RANGE, WORDS = "zaphod", "7700900", "heart of gold"
TRACES = tuple(text.encode() for text in (NAME, RANGE, "7700 900", WORDS))
PHONE = "+44 7700 900101"


def contact(**changes: object) -> dict[str, Any]:
    return {"user_id": NAME, "phone": PHONE, "country": "GB"} | changes


def consent(consent_id: str, **changes: object) -> dict[str, Any]:
    given = {"consent_id": consent_id, "user_id": NAME, "phone": "00447700900101", "message_channel": "sms"}
    given |= {"purpose": "marketing", "action": "grant", "at": f"{DAY}T09:00:00Z", "source": "web"}
    return given | {"policy_version": "3"} | changes


def message(message_id: str, **changes: object) -> dict[str, Any]:
    sent = {"message_id": message_id, "campaign_id": "spring", "user_id": NAME, "message_channel": "sms"}
    return sent | {"sent_at": f"{DAY}T10:00:00Z", "arm": "treatment", "status": "sent", "cost": "0.0079"} | changes


def reply(reply_id: str, **changes: object) -> dict[str, Any]:
    return {"reply_id": reply_id, "phone": PHONE, "received_at": f"{DAY}T11:00:00Z", "text": WORDS} | changes


CONSENTS = [
    consent("granted"),
    consent("withdrawn", action="withdraw", phone=None, message_channel=None, purpose=None),
    consent("incomplete", at=None, source="", policy_version=None),
    consent("undecided", action="maybe"),
    consent("undated", at="yesterday"),
    consent("foretold", at="2031-01-01T00:00:00Z"),
    consent("withdrawn some day", action="withdraw", at="yesterday"),
    consent("withdrawn in future", action="withdraw", at="2031-01-01T00:00:00Z"),
    consent("nobody", user_id="null"),
    consent("endless", user_id=NAME * 100),
    consent("rounded", user_id=None, phone="4.47700900E+11"),
    consent("twice"),
    consent("twice", phone="+447700900102"),
]
REPLIES = [
    reply("stop"),
    reply("silent", text=None),
    reply("from nobody", phone="unknown"),
    reply("undated", received_at="soon"),
    reply("twice"),
    reply("twice", text=f"{WORDS}, call {PHONE}"),
]
FILES: dict[str, dict[str, str | bytes]] = {
    "users": {"a.jsonl": as_jsonl({"user_id": NAME, "registered_at": "2024-01-01T00:00:00Z"})},
    "contacts": {
        "a.csv": as_csv(contact(), contact(user_id=f"{NAME}-2", phone=""), contact(user_id="1.0")),
        "b.csv": as_csv(contact(phone="+44 7700 900103")),
        "c.csv": as_csv(contact(user_id=f"{NAME}-3")).encode()
        + f"{NAME},{PHONE}\n{NAME},{PHONE},\xff".encode("latin-1"),
    },
    "consents": {"a.jsonl": as_jsonl(*CONSENTS) + f'{{"user_id": "{NAME}", "phone": "{PHONE}"\n'},
    "messages": {
        "a.jsonl": as_jsonl(message("m1"), message("m2", sent_at=None, arm="control", cost=None)),
        "b.csv": as_csv(message("of a part of a cent", user_id="somebody", cost="0.0079001")),
    },
    "replies": {"a.csv": as_csv(*REPLIES) + f'x,"{PHONE}",{WORDS}\n'},
}


def deliver(landing: Path, source: str, day: date, files: dict[str, str | bytes]) -> None:
    folder = landing / source / f"day={day}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "_SUCCESS").touch()


@dataclass(frozen=True)
class Loaded:
    warehouse: Warehouse
    told: dict[str, raw.Ingested]
    run_id: str

    def quarantine(self, source: str) -> dict[str, list[dict[str, Any]]]:
        """Rows of quarantine by reason."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self.warehouse.rows("raw.quarantine", f"source = '{source}'"):
            found.setdefault(row["reason"], []).append(row)
        return found


@pytest.fixture(scope="module")
def loaded(warehouse: Warehouse) -> Loaded:
    for source, files in FILES.items():
        deliver(warehouse.landing, source, DAY, files)
    run_id = records.start_run("test", Days.one(DAY))
    told = {s: raw.main(warehouse.spark, Days.one(DAY), run_id, source=s) for s in ("users", *SOURCES)}
    checks.build_data_docs(run_id)
    report.write(DAY, run_id)
    return Loaded(warehouse, told, run_id)


def test_the_law_holds_of_each(loaded: Loaded):
    counts = {s: [loaded.told[s].told[name] for name in ("delivered", "loaded", "quarantined")] for s in SOURCES}

    assert counts == {"contacts": [7, 3, 4], "consents": [14, 6, 8], "messages": [3, 2, 1], "replies": [7, 3, 4]}


def test_a_consent_that_lacks_what_it_needs_is_loaded_to_be_seen(loaded: Loaded):
    rows = {row["consent_id"]: row for row in loaded.warehouse.rows("raw.consents")}

    heard = {"withdrawn some day", "withdrawn in future"}
    assert set(rows) == {"granted", "withdrawn", "incomplete", "twice", *heard}
    assert {rows[name]["at"] for name in heard} == {None}
    assert {rows[name]["occurred_on"] for name in heard} == {DAY}
    assert loaded.told["consents"].told["warnings"]["unusable_time"] == len(heard)
    assert [rows["incomplete"][name] for name in ("at", "source", "policy_version")] == [None] * 3
    assert rows["incomplete"]["occurred_on"] == DAY
    assert rows["withdrawn"]["message_channel"] is None


@bad_input("more digits than the cost of a message has", gets="Q")
def test_a_cost_of_more_digits_than_are_kept_is_not_rounded(loaded: Loaded):
    assert [row["column"] for row in loaded.quarantine("messages")["too_precise"]] == ["cost"]


def test_a_number_is_told_again_without_being_kept(loaded: Loaded):
    key = phone_hmac(PHONE, settings().phone_key.get_secret_value())
    consents = {row["consent_id"]: row["phone_hmac"] for row in loaded.warehouse.rows("raw.consents")}

    assert consents["granted"] == key
    assert consents["withdrawn"] is None
    assert {row["phone_hmac"] for row in loaded.warehouse.rows("raw.replies")} == {key}


def test_quarantine_says_what_was_wrong_and_of_whom_nothing(loaded: Loaded):
    consents, replies = loaded.quarantine("consents"), loaded.quarantine("replies")

    (undecided,) = consents["not_in_list"]
    assert json.loads(undecided["raw_text"]) == consent("undecided", action="maybe") | {
        "user_id": "masked",
        "phone": "masked",
    }
    assert [row["raw_text"] for row in (*consents["bad_json"], *replies["wrong_cell_count"])] == ["masked"] * 2
    (conflict,) = replies["conflicting_duplicate"]
    assert json.loads(conflict["raw_text"])["text"] == "masked"
    assert [row["column"] for row in replies["missing"]] == ["phone"]


def test_nobody_is_found_in_quarantine_records_logs_and_pages(loaded: Loaded, platform: Path):
    quarantine = json.dumps(loaded.warehouse.rows("raw.quarantine"), default=str).encode()
    searched = {"raw.quarantine": quarantine, "schema rekindle": schema_rekindle()}
    for folder in (platform / "logs", checks.data_docs_folder(loaded.run_id), platform / "reports"):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                searched[str(path)] = gzip.decompress(content) if path.suffix == ".gz" else content

    assert {path.rsplit("/")[-1] for path in searched} >= {"spark.log", "index.html", f"{DAY}.html"}
    traces = (*TRACES, settings().phone_key.get_secret_value().encode())
    assert [name for name, content in searched.items() if any(trace in content for trace in traces)] == []


def test_a_number_stands_in_one_table_only(loaded: Loaded):
    holding = [
        table
        for table in contracts.tables()
        if table.startswith("raw.") and RANGE in json.dumps(loaded.warehouse.rows(table), default=str).replace(" ", "")
    ]

    # What people write is theirs: it may hold a number, and is personal as a whole.
    assert holding == ["raw.contacts"]


@pytest.mark.parametrize(
    ("day", "source", "content", "match"),
    [
        (2, "consents", as_csv(consent("c", at="2024-05-02T09:00:00")), "no_time_zone: .*row 1, column 'at'"),
        (3, "contacts", f"{NAME},{PHONE},GB\n", "missing_column: .*a.csv has no column 'user_id', which is required"),
        (4, "contacts", f"user_ida,{PHONE},GB\n", "missing_column: .*'user_id', which is required. Deliver"),
        (5, "contacts", f"{NAME},{PHONE},{NAME}\n", "duplicate_column: .*a.csv has a column twice"),
    ],
)
def test_an_error_that_stops_a_run_quotes_nobody(warehouse: Warehouse, day: int, source: str, content: str, match: str):
    """Also where a file has no header: what stands there is no name of a column."""
    deliver(warehouse.landing, source, date(2024, 6, day), {"a.csv": content})

    with pytest.raises(InputError, match=match) as error:
        raw.main(warehouse.spark, Days.one(date(2024, 6, day)), "test", source=source)

    assert not any(trace.decode() in str(error.value) for trace in (*TRACES, b"user_ida"))


def test_without_a_key_no_phone_is_loaded(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    deliver(warehouse.landing, "replies", date(2024, 7, 1), {"a.csv": as_csv(reply("r"))})
    monkeypatch.delenv("REKINDLE_PHONE_KEY")
    settings.cache_clear()
    try:
        with pytest.raises(InputError, match="no_phone_key"):
            raw.main(warehouse.spark, Days.one(date(2024, 7, 1)), "test", source="replies")
    finally:
        monkeypatch.undo()
        settings.cache_clear()


WHISPERS = """
table: raw.whispers
is: What is whispered.
owner: tests
landing: {kind: fact, required: false, time: occurred_at}
key: [day, whisper_id, occurred_on]
partition: day
columns:
  day: shared
  whisper_id: {type: id, is: The whisper.}
  user_id: shared
  number_hmac: {type: string, nullable: true, of_phone: number, personal: phone, is: Where it came from.}
  said: {type: string, personal: text, is: What was whispered.}
  volume: {type: int, is: How loud.}
  occurred_at: shared
  occurred_on: shared
"""


def test_a_new_source_is_masked_because_its_contract_says_what_is_personal(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "shared.yml").write_text((contracts.FOLDER / "shared.yml").read_text())
    (tmp_path / "raw.whispers.yml").write_text(WHISPERS)
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    whisper = {"whisper_id": "w", "user_id": NAME, "number": PHONE, "said": WORDS, "occurred_at": f"{DAY}T09:00:00Z"}
    deliver(tmp_path, "whispers", DAY, {"a.jsonl": as_jsonl(whisper | {"volume": "loud"}, whisper | {"volume": 3})})
    contracts.load.cache_clear()
    try:
        contract = contracts.load("raw.whispers")
        zone = LandingZone(str(tmp_path))
        read = raw.delivered_rows(spark, contract, zone.deliveries(contract, Days.one(DAY)), zone)
        rows = {row["fate"]: row for row in raw.judged(contract, read).collect()}
    finally:
        contracts.load.cache_clear()

    assert set(json.loads(rows["quarantined"]["raw_text"]).items()) >= {
        *(("volume", "loud"), ("user_id", "masked"), ("number", "masked"), ("said", "masked"))
    }
    assert rows["loaded"]["number_hmac"] == phone_hmac(PHONE, settings().phone_key.get_secret_value())


def schema_rekindle() -> bytes:
    """All rows of our records, as text."""

    def read(connection: Any) -> list[Any]:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'rekindle'").fetchall()
        return [connection.execute(f'select t::text from rekindle."{table}" t').fetchall() for (table,) in tables]

    return str(postgres.transact(read)).encode()
