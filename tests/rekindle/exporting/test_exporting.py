"""Exports from a real Postgres, as the role of the readers: who is in them, what changed, and what a file is."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest

from rekindle import exporting, postgres
from rekindle.errors import InputError
from rekindle.exporting import ATTRIBUTES, CELLS, OF_A_CAMPAIGN, export_audience, export_campaign
from rekindle.exporting.watermark import Watermark
from rekindle.publishing.publications import declared

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOST_COLUMNS = 50
"""Customer.io takes no more of a query."""

BASE = {
    "in_population": True,
    "eligible": True,
    "eligible_before_holdout": True,
    "valid_until": NOON + timedelta(hours=36),
    "phone_e164": "+14155550123",
    "consent_at": NOON,
    "consent_source": "shop",
    "policy_version": "7",
    "timezone": "America/New_York",
    "send_window_start": NOON,
    "send_window_end": NOON + timedelta(hours=4),
    "holdout": False,
    "expected_gain": 1,
    "content_updated_at": NOON,
    "return_probability": 0.25,
    "lapsed_days": 20,
    "horizon_days": 7,
    "percentile": 50,
    "decile": 5,
    "other_contribution": 0,
    "model_name": "m",
    "model_version": "1",
    "model_digest": "a" * 64,
    "day": "2026-02-28",
    "run_id": "r",
    "updated_at": NOON,
}
PERMISSION = (
    "valid_until phone_e164 consent_at consent_source policy_version timezone send_window_start send_window_end"
)
SCORE = "return_probability lapsed_days horizon_days percentile decile other_contribution model_name model_version model_digest"
NOT_ELIGIBLE = {
    "eligible": False,
    "eligible_before_holdout": False,
    "suppression_reason": "consent_withdrawn",
    **dict.fromkeys(PERMISSION.split()),
}
ERASED = {
    **NOT_ELIGIBLE,
    "in_population": False,
    "suppression_reason": "erased",
    "holdout": None,
    "expected_gain": None,
    **dict.fromkeys(SCORE.split()),
}
LISTED = {
    "campaign_id": ("text", "spring"),
    "user_id": ("text", None),
    "planned_for": ("date", "2026-02-28"),
    "assigned_at": ("timestamptz", NOON),
    "arm": ("text", "sms"),
    "is_control": ("boolean", False),
    "probability": ("double precision", 0.5),
    "rank": ("integer", 1),
    "offer": ("text", None),
    "schema_version": ("integer", 1),
    "day": ("date", "2026-02-28"),
    "run_id": ("text", "r"),
    "updated_at": ("timestamptz", NOON),
}
"""Columns of sms.campaign_list, with a row of it."""


@pytest.fixture
def audience(database, monkeypatch):
    """Write rows of sms.audience; whoever exports them then may read and nothing else."""

    def write(*rows):
        for row in rows:
            full = BASE | row
            names = ", ".join(full)
            database.execute(
                f"insert into sms.audience ({names}) values ({', '.join(['%s'] * len(full))})"
                f" on conflict (user_id) do update set ({names}) = row(excluded.{', excluded.'.join(full)})",
                *full.values(),
            )

    write.database = database
    postgres.disconnect()
    database.use(monkeypatch, options="-c role=sms_reader")
    yield write
    postgres.disconnect()


@pytest.fixture
def campaign(audience):
    """Write the list of a campaign."""
    database = audience.database
    is_missing = database.value("select to_regclass('sms.campaign_list') is null")
    if is_missing:
        columns = ", ".join(f"{name} {of}" for name, (of, _) in LISTED.items())
        database.execute(f"create table sms.campaign_list ({columns})")
        database.execute("grant select on sms.campaign_list to sms_reader")

    def write(*rows):
        for place, row in enumerate(rows, 1):
            full = {name: value for name, (_, value) in LISTED.items()} | {"rank": place} | row
            values = ", ".join(["%s"] * len(full))
            database.execute(f"insert into sms.campaign_list ({', '.join(full)}) values ({values})", *full.values())

    yield write
    if is_missing:
        database.execute("drop table sms.campaign_list")


def told(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["external_id"]: json.loads(line["payload"]) for line in lines}


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_braze_is_told_of_whoever_has_changed_also_of_who_is_not_eligible_any_more_or_erased(audience, tmp_path):
    audience({"user_id": "u1"}, {"user_id": "u2"}, {"user_id": "u3"})
    first = export_audience("braze", tmp_path / "all.jsonl", at=NOON)
    later = NOON + timedelta(seconds=1)
    audience({"user_id": "u1", "updated_at": later, **NOT_ELIGIBLE}, {"user_id": "u2", "updated_at": later, **ERASED})
    second = export_audience("braze", tmp_path / "changed.jsonl", since=first.watermark, at=NOON)

    assert (first.row_count, first.eligible_count, first.watermark) == (3, 3, Watermark(NOON, "u3"))
    assert (second.row_count, second.eligible_count, second.watermark) == (2, 0, Watermark(later, "u2"))
    changed = told(tmp_path / "changed.jsonl")
    assert {user: (said["eligible"], said["suppression_reason"]) for user, said in changed.items()} == {
        "u1": (False, "consent_withdrawn"),
        "u2": (False, "erased"),
    }
    assert {name for said in changed.values() for name in said} & {"phone", "phone_e164"} == set()
    assert changed["u2"]["return_probability"] is None


def test_whoever_follows_content_is_not_told_of_a_renewal_and_not_until_when_it_holds(audience, tmp_path):
    audience({"user_id": "u1"}, {"user_id": "u2"})
    first = export_audience("braze", tmp_path / "a", follow="content", at=NOON)
    later = NOON + timedelta(days=1)
    audience(
        {"user_id": "u1", "updated_at": later}, {"user_id": "u2", "updated_at": later, "content_updated_at": later}
    )
    second = export_audience("braze", tmp_path / "b", since=first.watermark, follow="content", at=NOON)

    assert list(told(second.path)) == ["u2"]
    assert "valid_until" not in told(second.path)["u2"]


def test_nothing_changed_is_no_file_and_the_same_watermark(audience, tmp_path):
    audience({"user_id": "u1"})
    first = export_audience("braze", tmp_path / "a.jsonl", at=NOON)
    again = export_audience("braze", tmp_path, since=first.watermark, at=NOON)

    assert (again.path, again.row_count, again.watermark) == (None, 0, first.watermark)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_csv_holds_who_may_be_texted_at_the_moment_and_nobody_else(audience, tmp_path):
    """Klaviyo grants consent to every row of a file."""
    audience(
        {"user_id": "u1"},
        {"user_id": "u2", **NOT_ELIGIBLE},
        {"user_id": "=u3"},
        {"user_id": "u4", "valid_until": NOON},
        {"user_id": "u5", **ERASED},
    )
    done = export_audience("csv", tmp_path, at=NOON)

    assert done.path.parent == tmp_path and done.path.suffix == ".csv"
    assert [(row["user_id"], row["phone_e164"]) for row in rows_of(done.path)] == [
        ("'=u3", "+14155550123"),
        ("u1", "+14155550123"),
    ]
    assert (done.row_count, done.watermark) == (2, None)


def test_a_permission_that_has_run_out_is_told_as_none(audience, tmp_path):
    audience({"user_id": "u1", "valid_until": NOON})
    done = export_audience("braze", tmp_path / "a.jsonl", at=NOON)

    assert done.eligible_count == 0
    assert told(done.path)["u1"]["eligible"] is False
    assert "phone" not in told(done.path)["u1"]


def test_by_default_postgres_clock_says_whether_a_permission_holds(audience, tmp_path):
    audience({"user_id": "u1"}, {"user_id": "u2", "valid_until": datetime(2999, 1, 1, tzinfo=UTC)})

    assert [row["user_id"] for row in rows_of(export_audience("csv", tmp_path).path)] == ["u2"]


def test_a_campaign_is_exported_in_its_order_without_controls_and_without_who_may_not_be_texted(
    audience, campaign, tmp_path
):
    audience(*({"user_id": f"u{n}"} for n in (1, 2, 3)), {"user_id": "u4", **NOT_ELIGIBLE})
    campaign(
        {"user_id": "u2", "offer": "-10 %"},
        {"user_id": "u3", "arm": "control", "is_control": True},
        {"user_id": "u4"},
        {"user_id": "u1"},
        {"user_id": "u1", "campaign_id": "autumn"},
    )
    done = export_campaign("spring", "csv", tmp_path / "spring.csv", at=NOON)

    assert [(row["user_id"], row["rank"], row["offer"]) for row in rows_of(done.path)] == [
        ("u2", "1", "'-10 %"),
        ("u1", "4", ""),
    ]
    assert (done.row_count, done.left_out_count) == (2, 1)
    assert set(told(export_campaign("spring", "braze", tmp_path / "b", at=NOON).path)) == {"u1", "u2"}
    with pytest.raises(InputError, match="unknown_campaign"):
        export_campaign("winter", "csv", tmp_path, at=NOON)


def test_a_file_is_for_its_owner_and_whole_or_not_there(audience, tmp_path, monkeypatch):
    audience({"user_id": "u1"}, {"user_id": "u2"})
    path = tmp_path / "a.csv"
    path.write_text("yesterday's")
    calls = iter([1, 0])
    monkeypatch.setattr(exporting, "Watermark", lambda *_: 1 / next(calls))
    with pytest.raises(ZeroDivisionError):
        export_audience("csv", path, at=NOON)

    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_text() == "yesterday's"
    monkeypatch.undo()
    audience.database.use(monkeypatch)
    export_audience("csv", path, at=NOON)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(rows_of(path)) == 2


def test_rows_come_in_batches_and_all_of_them(audience, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 2)
    audience(*({"user_id": f"u{n}"} for n in range(7)))

    assert export_audience("braze", tmp_path / "a", at=NOON).row_count == 7


def test_changes_are_found_by_the_index_alone(audience):
    """A pull of (user_id, updated_at) reads no row of the table, and one of more columns only those that have changed."""
    audience(*({"user_id": f"u{n}"} for n in range(20)))
    database = audience.database
    with database.connect(autocommit=True) as connection:
        connection.execute("vacuum (analyze) sms.audience")
        connection.execute("set enable_seqscan to off")
        for columns, scan in [
            ("user_id, updated_at", "Index Only Scan"),
            ("user_id, updated_at, eligible", "Index Scan"),
        ]:
            plan = connection.execute(
                f"explain select {columns} from sms.audience where (updated_at, user_id) > (%s, %s)"
                " order by updated_at, user_id limit 10000",
                [NOON, "u5"],
            ).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert f"{scan} using audience_updated_at_user_id_idx" in text, text
            assert "Sort" not in text


def test_no_export_names_more_columns_than_tools_take():
    for columns in (ATTRIBUTES, CELLS, (*OF_A_CAMPAIGN, *CELLS)):
        assert len(columns) == len(set(columns)) <= MOST_COLUMNS


def test_what_tools_read_has_at_most_50_columns_a_key_and_a_sentence_on_each(database):
    """Customer.io takes no more of a query, and Hightouch wants a key that is unique and never null."""
    for table, publication in ((p.target, p) for p in declared() if p.table in {"audience", "campaign_list"}):
        columns = database.rows(
            "select attname as name, col_description(attrelid, attnum) as said from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            table,
        )
        key = database.rows(
            "select attname as name, attnotnull as is_never_null from pg_index join pg_attribute"
            " on attrelid = indrelid and attnum = any(indkey) where indrelid = %s::regclass and indisprimary",
            table,
        )

        assert len(columns) <= MOST_COLUMNS, f"{table}: tools that name all columns would be refused"
        assert [column["name"] for column in columns if not column["said"]] == []
        assert {column["name"] for column in key if column["is_never_null"]} == set(publication.key)


def test_changes_are_no_csv(tmp_path):
    with pytest.raises(InputError, match="who left would stay"):
        export_audience("csv", tmp_path, since=Watermark(NOON, "u1"))
