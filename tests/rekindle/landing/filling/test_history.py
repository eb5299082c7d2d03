import csv
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from rekindle.errors import InputError
from rekindle.settings import PROJECT
from rekindle.warehouse import contracts
from tests import command_line
from tests.bad_inputs import bad_input

ORDERS = "order_id,user_id,occurred_at,kind,amount,currency"
USERS = "user_id,registered_at"
FIRST = "o1,ann,2024-03-01T10:00:00Z,sale,1.00,USD"
EVENT = '{"event_id": "e", "user_id": "a", "occurred_at": "2024-03-01T10:00:00Z", "type": "v"}'


def lines(zone, source, form="csv"):
    """Delivered lines by day, without a csv's header."""
    found = {}
    for path in sorted(zone.glob(f"{source}/day=*/{source}.{form}")):
        text = path.read_text(encoding="utf-8").splitlines()
        found[path.parent.name.removeprefix("day=")] = text[1:] if form == "csv" else text
    return found


def days(zone, source):
    return sorted(mark.parent.name.removeprefix("day=") for mark in zone.glob(f"{source}/day=*/_SUCCESS"))


def refused(zone, match, run, *arguments):
    """Run a command that must end with exit code 2 and write nothing. Returns the error's text."""
    with pytest.raises(InputError, match=match) as error:
        run(*arguments)
    assert error.value.exit_code == 2
    assert not zone.exists() or not any(zone.glob("[!.]*"))
    return str(error.value)


# The day of a row


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2024-03-01T00:00:00Z", "2024-03-01"),
        ("2024-03-01T23:59:59.999999999Z", "2024-03-01"),
        ("2024-03-01 12:00Z", "2024-03-01"),
        ("2024-03-01T23:30:00-05:00", "2024-03-02"),
        ("2024-03-01T00:30:00+0200", "2024-02-29"),
        ("2024-01-01T01:00:00+14", "2023-12-31"),
    ],
)
def test_a_row_is_delivered_on_the_utc_day_it_occurred(zone, rekindle, history, time, day):
    rekindle("import", "orders", history("orders.csv", ORDERS, f"o1,ann,{time},sale,1.00,USD"))

    assert days(zone, "orders") == [day]


def read(path):
    """Rows of a delivered file, their times as text."""
    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path, convert_options=AS_TEXT).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = pyarrow.parquet.ParquetFile(path).read().to_pylist()
    return [{**row, "occurred_at": row["occurred_at"].isoformat()} for row in rows]


AS_TEXT = pyarrow.csv.ConvertOptions(column_types={"occurred_at": pa.string()})


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_three_forms_are_delivered_alike(zone, rekindle, history, form):
    """One history has the same rows on the same days in each form, and keeps its form."""
    times = [datetime(2024, 3, n, 23, 30, tzinfo=UTC) for n in (2, 1, 2, 4)]
    rows = [
        {"event_id": f"e{n}", "user_id": "ann", "occurred_at": time.isoformat(), "type": "visit"}
        for n, time in enumerate(times)
    ]
    if form == "parquet":
        table = pa.Table.from_pylist([{**row, "occurred_at": time} for row, time in zip(rows, times, strict=True)])
        path = zone.parent / "events.parquet"
        pyarrow.parquet.write_table(table, path)
    elif form == "jsonl":
        path = history("events.jsonl", *map(json.dumps, rows))
    else:
        path = history("events.csv", ",".join(rows[0]), *(",".join(row.values()) for row in rows))

    rekindle("import", "events", path)

    assert {path.parent.name: read(path) for path in zone.glob("events/day=*/*.*")} == {
        "day=2024-03-01": [rows[1]],
        "day=2024-03-02": [rows[0], rows[2]],
        "day=2024-03-04": [rows[3]],
    }
    assert {path.name for path in zone.glob("events/day=*/*.*")} == {f"events.{form}"}


def test_days_without_rows_are_declared_empty(zone, rekindle, history):
    answer = rekindle(
        "import", "orders", history("orders.csv", ORDERS, FIRST, "o2,ann,2024-03-05T10:00:00Z,sale,1.00,USD")
    )

    assert days(zone, "orders") == [f"2024-03-0{n}" for n in range(1, 6)]
    assert list(lines(zone, "orders")) == ["2024-03-01", "2024-03-05"]
    assert answer["sources"]["orders"] == {"rows": 2, "deliveries": 5, "empty": 3, "unchanged": 0, "replaced": 0}


def test_a_day_column_says_when_a_row_was_delivered_and_is_not_passed_on(zone, rekindle, history):
    """Real delivery days beat guessed ones, and `day` is the partition: in the file it would be a second one."""
    path = history("items.csv", "item_id,day,category", "mug,2024-03-01,kitchen", "mug,2024-03-03,gifts")
    rekindle("import", "items", path)
    assert lines(zone, "items") == {"2024-03-01": ['"mug","kitchen"'], "2024-03-03": ['"mug","gifts"']}

    line = '{"event_id": "e1", "user_id": "zoë", "occurred_at": "2024-03-01T10:00:00Z", "type": "visit"'
    rekindle("import", "events", history("events.jsonl", line + ', "day": "2024-03-02"}'))
    assert lines(zone, "events", "jsonl") == {"2024-03-02": [line + "}"]}


def test_a_file_can_be_the_delivery_of_one_day(zone, rekindle, history):
    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST), "--day", "2024-03-07")

    assert days(zone, "orders") == ["2024-03-07"]
    assert len(lines(zone, "orders")["2024-03-07"]) == 1


def test_a_file_without_rows_declares_a_day_empty(zone, rekindle, history):
    answer = rekindle("import", "orders", history("orders.csv", ORDERS), "--day", "2024-03-07")

    assert [path.name for path in (zone / "orders" / "day=2024-03-07").iterdir()] == ["_SUCCESS"]
    assert answer["sources"]["orders"]["empty"] == 1


# Which days


def test_each_source_about_texting_is_delivered_on_the_day_that_it_speaks_of(zone, rekindle, history):
    """Byte for byte: numbers are told apart from people when they are loaded, and not here."""
    grant = "c1,ann,+44 7700 900101,sms,marketing,grant,2024-03-01T10:00:00Z,web,3"
    consents = "consent_id,user_id,phone,message_channel,purpose,action,at,source,policy_version"
    messages = "message_id,campaign_id,user_id,message_channel,sent_at,arm,status,cost"
    rekindle("import", "consents", history("consents.csv", consents, grant))
    rekindle("import", "contacts", history("contacts.csv", "user_id,phone", "ann,07700 900101"))
    sent = "m1,spring,ann,sms,2024-03-02T10:00:00Z,treatment,sent,.0079"
    rekindle("import", "messages", history("messages.csv", messages, sent))
    stop = '{"reply_id": "r1", "phone": "+447700900101", "received_at": "2024-03-03T10:00:00Z", "text": "STOP"}'
    rekindle("import", "replies", history("replies.jsonl", stop))

    assert lines(zone, "consents") == {"2024-03-01": [grant]}
    assert lines(zone, "contacts") == {"2024-03-01": ["ann,07700 900101"]}
    assert lines(zone, "messages") == {"2024-03-02": [sent]}
    assert lines(zone, "replies", "jsonl") == {"2024-03-03": [stop]}


def test_states_from_before_the_history_are_delivered_with_its_first_day(zone, rekindle, history):
    """Users may have registered years before the first order that was kept; those years are not days of the history."""
    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST, "o2,ann,2024-03-03T10:00:00Z,sale,1.00,USD"))
    rekindle("import", "users", history("users.csv", USERS, "ann,2009-05-01T00:00:00Z", "ben,2024-03-02T00:00:00Z"))
    rekindle("import", "items", history("items.csv", "item_id", "mug"))

    assert days(zone, "users") == days(zone, "items") == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert list(lines(zone, "users")) == ["2024-03-01", "2024-03-02"]
    assert list(lines(zone, "items")) == ["2024-03-01"]


def test_states_that_are_there_are_declared_unchanged_on_later_days(zone, rekindle, history):
    """The order of imports does not matter to the daily run, which expects each source every day."""
    rekindle("import", "users", history("users.csv", USERS, "ann,2024-03-01T00:00:00Z"))
    answer = rekindle("import", "orders", history("orders.csv", ORDERS, "o2,ann,2024-03-03T10:00:00Z,sale,1.00,USD"))

    assert days(zone, "users") == days(zone, "orders") == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert answer["sources"]["users"]["empty"] == 2


def test_facts_that_are_there_are_not_declared_absent(zone, rekindle, history):
    """That nothing happened on a day, only its own source can say; the answer tells what to do."""
    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST))
    visit = "e1,ann,2024-03-02T10:00:00Z,visit"
    answer = rekindle("import", "events", history("events.csv", "event_id,user_id,occurred_at,type", visit))

    assert days(zone, "orders") == ["2024-03-01"]
    assert [note for note in answer["notes"] if note.startswith("orders is delivered up to 2024-03-01")]

    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST))
    assert days(zone, "orders") == ["2024-03-01", "2024-03-02"]


def test_limits_leave_out_other_facts_and_say_how_many(zone, rekindle, history):
    path = history("orders.csv", ORDERS, *(f"o{n},ann,2024-03-0{n}T10:00:00Z,sale,1.00,USD" for n in range(1, 8)))

    answer = rekindle("import", "orders", path, "--from", "2024-03-03", "--to", "2024-03-05")

    assert list(lines(zone, "orders")) == ["2024-03-03", "2024-03-04", "2024-03-05"]
    assert answer["notes"][0] == "4 rows on other days are left out."


def test_lateness_moves_the_same_rows_in_every_form(zone, rekindle, history):
    ids = [f"e{n}" for n in range(200)]
    rows = [{"event_id": i, "user_id": "ann", "occurred_at": "2024-03-01T10:00:00Z", "type": "visit"} for i in ids]
    rows.append({"event_id": "last", "user_id": "ann", "occurred_at": "2024-03-09T10:00:00Z", "type": "visit"})
    history("events.csv", ",".join(rows[0]), *(",".join(row.values()) for row in rows))
    history("events.jsonl", *map(json.dumps, rows))

    found = {}
    for form in ("csv", "jsonl"):
        rekindle("import", "events", zone.parent / f"events.{form}", "--lateness", "0.3:3", "--replace")
        delivered = lines(zone, "events", form)
        assert list(delivered) == ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04", "2024-03-09"]
        found[form] = [len(day) for day in delivered.values()]

    assert found["csv"] == found["jsonl"]
    assert sum(found["csv"]) == 201
    assert 40 < 200 - found["csv"][0] < 80


# The values


def test_values_are_passed_on_as_they_stand(zone, rekindle, tmp_path):
    """Ingestion judges values, so it has to see them: wrong numbers, no UTF-8, NUL, empty beside "", quotes, emoji."""
    rows = [
        [b"o1", b"ann", b"12a", b"USD"],
        [b"o2", b"\xff\xfe", b"1,5", b""],
        [b"", b"a\x00b", b"1e308", b"usd"],
        [b"o4", b'quo"te, comma\nnewline', b"-1", b"\xf0\x9f\xa6\x86"],
    ]
    body = b"".join(
        b"%s,%s,2024-03-01T10:00:00Z,sale,%s,%s\n"
        % tuple(
            b'"' + v.replace(b'"', b'""') + b'"' if (v and v.strip() != v) or b"," in v or b'"' in v else v for v in row
        )
        for row in rows
    )
    (tmp_path / "orders.csv").write_bytes(b"\xef\xbb\xbf" + ORDERS.encode() + b"\n" + body)

    rekindle("import", "orders", tmp_path / "orders.csv")

    delivered = zone / "orders" / "day=2024-03-01" / "orders.csv"
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(ORDERS.split(","), pa.binary()))
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    read = pyarrow.csv.read_csv(delivered, convert_options=options, parse_options=parse).to_pylist()
    assert [[row[c] for c in ("order_id", "user_id", "amount", "currency")] for row in read] == rows


def test_an_empty_text_stays_different_from_no_text(zone, rekindle, history):
    path = history("users.csv", USERS + ",country", 'ann,2024-03-01T00:00:00Z,""', "ben,2024-03-01T00:00:00Z,")

    rekindle("import", "users", path)

    assert lines(zone, "users")["2024-03-01"] == ['ann,2024-03-01T00:00:00Z,""', "ben,2024-03-01T00:00:00Z,"]


def test_json_lines_are_passed_on_byte_for_byte(zone, rekindle, history):
    line = '{ "event_id":1.50,"user_id":null, "occurred_at":"2024-03-01T10:00:00Z","type":"v", "properties":{"a":{}} }'

    rekindle("import", "events", history("events.jsonl", line, "", "  "))

    assert lines(zone, "events", "jsonl") == {"2024-03-01": [line]}


def test_parquet_columns_keep_their_types(zone, rekindle, tmp_path):
    table = pa.table(
        {
            "order_id": pa.array([17]),
            "user_id": pa.array(["ann"]),
            "occurred_at": pa.array([datetime(2024, 3, 1, 10, tzinfo=UTC)], pa.timestamp("ms", tz="Europe/Berlin")),
            "kind": pa.array(["sale"]).dictionary_encode(),
            "amount": pa.array([Decimal("1.25")]),
            "currency": pa.array(["USD"]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "orders.parquet")

    rekindle("import", "orders", tmp_path / "orders.parquet")

    (delivered,) = zone.glob("orders/day=2024-03-01/orders.parquet")
    assert pyarrow.parquet.ParquetFile(delivered).read().cast(table.schema) == table


def test_lines_are_passed_on_as_they_were_written(zone, rekindle, tmp_path):
    """Quotes, blanks, a carriage return before a line feed within a cell: nothing is repaired, nothing is lost."""
    rows = [
        b'"o1",ann,2024-03-01T10:00:00Z,sale, 1.0 ,USD\r\n',
        b'o2,"a""nn",2024-03-01T10:00:00Z,sale,1.00,USD\n',
        b'o3,"ann\r\nor ben",2024-03-01T10:00:00Z,sale,1.00,""\n',
    ]
    header = ORDERS.encode() + b"\r\n"
    (tmp_path / "orders.csv").write_bytes(header + b"\n" + rows[0] + rows[1] + b"\r\n" + rows[2].rstrip())

    rekindle("import", "orders", tmp_path / "orders.csv")

    assert (zone / "orders/day=2024-03-01/orders.csv").read_bytes() == header + b"".join(rows)


def test_a_number_in_a_json_line_with_a_day_is_not_rewritten(zone, rekindle, history):
    kept = '"event_id": 12.10, "user_id": "\\u00e4", "occurred_at": "2024-03-01T10:00:00Z", "type": "v", "value": 1e400'
    rekindle("import", "events", history("events.jsonl", '{"day": "2024-03-02", ' + kept + "}"))

    assert lines(zone, "events", "jsonl") == {"2024-03-02": ["{" + kept + "}"]}


def test_half_a_character_in_a_json_line_is_passed_on_as_it_is_written(zone, rekindle, history):
    """A row that ingestion quarantines; nobody is told of anything unforeseen."""
    cut = EVENT.replace('"a"', '"a\\ud83d"')
    rekindle("import", "events", history("events.jsonl", EVENT, cut))

    assert lines(zone, "events", "jsonl") == {"2024-03-01": [EVENT, cut]}


def test_a_file_for_one_day_is_passed_on_with_its_bad_rows(zone, rekindle, history):
    """Their day is known, so ingestion can judge them."""
    bad = ["o2,ann", "o3,ann,never,sale,1,USD,7,8"]
    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST, *bad), "--day", "2024-03-01")
    rekindle("import", "events", history("events.jsonl", EVENT, "[1]", "{"), "--day", "2024-03-01")

    assert lines(zone, "orders") == {"2024-03-01": [FIRST, *bad]}
    assert lines(zone, "events", "jsonl") == {"2024-03-01": [EVENT, "[1]", "{"]}


# Numbers of lines


def line_ids(zone, form="csv"):
    """Order and line of all delivered rows."""
    (path,) = zone.glob(f"orders/day=*/orders.{form}")
    if form == "csv":
        rows = csv.DictReader(path.read_text().splitlines())
        return [(row["order_id"], row["line_id"]) for row in rows]
    if form == "jsonl":
        return [(row["order_id"], row["line_id"]) for row in map(json.loads, path.read_text().splitlines())]
    return [(row["order_id"], row["line_id"]) for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_lines_without_a_number_are_numbered_within_their_order(zone, rekindle, history, form):
    """Two equal lines are two lines: as line 0 twice they would count as one, and half the money were lost."""
    ids = ["o1", "o2", "o1", "o1", "o2"]
    rows = [dict(zip(ORDERS.split(","), [i, *FIRST.split(",")[1:]], strict=True)) for i in ids]
    if form == "parquet":
        path = zone.parent / "orders.parquet"
        typed = [row | {"occurred_at": datetime(2024, 3, 1, 10, tzinfo=UTC)} for row in rows]
        pyarrow.parquet.write_table(pa.Table.from_pylist(typed), path)
    elif form == "jsonl":
        path = history("orders.jsonl", *map(json.dumps, rows))
    else:
        path = history("orders.csv", ORDERS, *(",".join(row.values()) for row in rows))

    answer = rekindle("import", "orders", path)

    assert line_ids(zone, form) == [("o1", "0"), ("o2", "0"), ("o1", "1"), ("o1", "2"), ("o2", "1")]
    assert "5 rows without line_id are numbered in the order of the file, within order_id." in answer["notes"]
    assert rekindle("import", "orders", path)["sources"]["orders"]["unchanged"] == 1


def test_a_number_that_is_there_is_kept_and_not_given_to_another_line(zone, rekindle, history):
    path = history(
        "orders.csv", ORDERS + ",line_id", *(f"{FIRST},{number}" for number in ("", "0", "\\N", "x", " ", "2"))
    )

    answer = rekindle("import", "orders", path)

    assert [number for _, number in line_ids(zone)] == ["1", "0", "3", "x", "4", "2"]
    assert any(note.startswith("3 rows without line_id are numbered") for note in answer["notes"])


def test_numbers_do_not_repair_a_row_of_another_width(zone, rekindle, history):
    path = history("orders.csv", ORDERS, FIRST, FIRST, f"{FIRST},7", "o2,ann")

    rekindle("import", "orders", path, "--day", "2024-03-01")

    (delivered,) = zone.glob("orders/day=*/orders.csv")
    assert [len(row) for row in csv.reader(delivered.read_text().splitlines())] == [7, 7, 7, 8, 3]


def test_orders_of_one_line_need_no_number(zone, rekindle, history):
    answer = rekindle("import", "orders", history("orders.csv", ORDERS, FIRST, FIRST.replace("o1", "o2")))

    assert lines(zone, "orders")["2024-03-01"] == [FIRST, FIRST.replace("o1", "o2")]
    assert not any("numbered" in note for note in answer["notes"])


# What is refused


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (
            "o2,zoe@example.org,2024-03-01T10:00:00,sale,1,USD",
            "no_time_zone: orders.csv, row 2 has a time without a zone",
        ),
        ("o2,zoe@example.org,2024-03-01,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,yesterday,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,1709287200000,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,2024-02-30T10:00:00Z,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,0001-01-01T00:00:00Z,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        ("o2,zoe@example.org,9999-12-31T00:00:00Z,sale,1,USD", "unreadable_time: orders.csv, row 2"),
        (
            "o2,zoe@example.org,1970-01-01T00:00:00Z,sale,1,USD",
            r"endless_history: .* 1970-01-01 \(row 2\) to 2024-03-01 \(row 1\)",
        ),
        ("o2,zoe@example.org", "orders.csv cannot be read as csv: row 2 has more or fewer fields"),
        (
            "o2,zoe@example.org,2024-03-01T10:00:00Z,sale,1,USD,7",
            "orders.csv cannot be read as csv: row 2 has more or fewer fields",
        ),
    ],
)
def test_a_row_that_tells_no_day_is_named_and_nothing_is_written(zone, rekindle, history, row, match):
    """By file and row, without its values: they are personal."""
    text = refused(zone, match, rekindle, "import", "orders", history("orders.csv", ORDERS, FIRST, row))

    assert "zoe" not in text


@pytest.mark.parametrize(
    ("name", "contents", "match"),
    [
        pytest.param(
            "orders.csv",
            f'{ORDERS}\n{FIRST},"mug\n{FIRST}\n',
            "open_quote: orders.csv cannot be read as csv: a quote is never closed",
            id="a quote that is never closed",
            marks=bad_input("a quote that is never closed, in `import`", gets="E"),
        ),
        (
            "orders.csv",
            f"{ORDERS},größe\n{FIRST},1\n".encode("cp1252"),
            "not_utf8: orders.csv: the names of its columns are not UTF-8",
        ),
        (
            "orders.csv",
            f"{ORDERS},day\n{FIRST},größe\n".encode("cp1252"),
            "unreadable_day: orders.csv, row 1 has a `day` that is none",
        ),
        ("orders.csv", f"{ORDERS}\n{FIRST.replace('Z', 'ß')}\n".encode("cp1252"), "unreadable_time: orders.csv, row 1"),
        pytest.param(
            "orders.jsonl",
            EVENT.replace("{", '{"type": "x", '),
            "duplicate_column: orders.jsonl, row 1 has the column 'type' twice",
            id="a key twice",
            marks=bad_input("a column name twice, in `import`", gets="E"),
        ),
        (
            "orders.jsonl",
            EVENT.replace('"a"', '"ä"').encode("utf-16"),
            "not_utf8: orders.jsonl cannot be read as jsonl: it is not UTF-8",
        ),
    ],
)
def test_what_ingestion_would_refuse_whole_is_refused(zone, rekindle, name, contents, match):
    """And is never repaired, also where the day is given."""
    path = zone.parent / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())

    refused(zone, match, rekindle, "import", "orders", path)
    if "unreadable" not in match:
        refused(zone, match, rekindle, "import", "orders", path, "--day", "2024-03-01")


def test_a_damaged_page_is_not_written_anew(zone, rekindle, tmp_path):
    """Its new checksum would be right, and its values wrong."""
    rows = [{"user_id": f"flip me {n}", "registered_at": datetime(2024, 3, 1, n, tzinfo=UTC)} for n in range(3)]
    path = tmp_path / "users.parquet"
    pyarrow.parquet.write_table(
        pa.Table.from_pylist(rows), path, write_page_checksum=True, compression="NONE", use_dictionary=False
    )
    content = path.read_bytes()
    at = content.index(b"\x00flip me") + 1
    path.write_bytes(content[:at] + b"F" + content[at + 1 :])

    refused(zone, "undecodable_parquet: users.parquet cannot be read as Parquet", rekindle, "import", "users", path)


def test_a_json_line_that_is_no_object_is_named(zone, rekindle, history):
    good = '{"event_id": "e", "user_id": "a", "occurred_at": "2024-03-01T10:00:00Z", "type": "v"}'
    for bad in ("[1]", '{"event_id": ', "é"):
        refused(
            zone,
            r"events\.jsonl, row 2 is not a JSON",
            rekindle,
            "import",
            "events",
            history("events.jsonl", good, bad),
        )


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (ORDERS.replace("user_id", "userId"), r"has no column user_id\. Rename 'userId' to user_id"),
        (ORDERS.replace("occurred_at", "occured at"), "Rename 'occured at' to occurred_at"),
        (ORDERS.replace("amount", "Amount"), "Rename 'Amount' to amount"),
        (
            "a,b,c,d,e,f",
            "has no column order_id, user_id, occurred_at, kind, amount, currency. Begin the file with the names of its",
        ),
        pytest.param(
            ORDERS.replace("kind", "amount"),
            "has the column 'amount' twice",
            id="a column twice",
            marks=bad_input("a column name twice, in `import`", gets="E"),
        ),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_that_is_there(zone, rekindle, history, header, match):
    refused(zone, match, rekindle, "import", "orders", history("orders.csv", header, FIRST))


def test_a_column_with_a_default_may_be_missing(zone, rekindle, history):
    """line_id is '0' where there is none; so the example above, which has none, is fine."""
    rekindle("import", "orders", history("orders.csv", ORDERS, FIRST))

    assert days(zone, "orders") == ["2024-03-01"]


@pytest.mark.parametrize(
    ("time", "match"),
    [
        (pa.array([0], pa.timestamp("us")), "no_time_zone"),
        (pa.array([None], pa.timestamp("us", tz="UTC")), "row 1 has a time that cannot be read"),
        (pa.array([1709287200000000]), "row 1 has a time that cannot be read"),
        (pa.array([date(2024, 3, 1)]), "no_time_zone"),
    ],
)
def test_parquet_times_need_a_zone_too(zone, rekindle, tmp_path, time, match):
    pyarrow.parquet.write_table(pa.table({"user_id": ["ann"], "registered_at": time}), tmp_path / "users.parquet")

    refused(zone, match, rekindle, "import", "users", tmp_path / "users.parquet")


@pytest.mark.parametrize(
    ("name", "contents", "match"),
    [
        ("users.csv", b"", "cannot be read as csv|has no column"),
        ("users.csv", (USERS + "\n").encode(), "has no rows"),
        ("users.csv", (USERS + "\nann,2024-03-01T00:00:00Z\n").encode("utf-16"), "cannot be read as csv|has no column"),
        ("users.parquet", b"", "cannot be read as Parquet"),
        ("users.parquet", b"PAR1 but not for long", "cannot be read as Parquet"),
        ("users.jsonl", b"", "has no column user_id, registered_at"),
        ("users.xlsx", b"PK", "does not say by its name"),
    ],
)
def test_a_file_that_is_none_is_refused(zone, rekindle, name, contents, match):
    path = zone.parent / name
    path.write_bytes(contents)

    refused(zone, match, rekindle, "import", "users", path)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            ("purchases", "orders.csv"),
            "no landing source 'purchases'. Choose one of: users, .*contacts, .*items, .*orders",
        ),
        (("orders", "missing.csv"), "There is no file"),
        (
            ("orders", "orders.csv", "--day", "2024-03-01", "--lateness", "0.1:2"),
            "Leave out --from, --to and --lateness",
        ),
        (("orders", "orders.csv", "--from", "2024-03-02", "--to", "2024-03-01"), "There is no day from 2024-03-02"),
        (("orders", "orders.csv", "--lateness", "much"), "no lateness"),
        (("items", "items.csv"), "Import orders or events first"),
    ],
)
def test_wrong_use_says_what_to_do(zone, rekindle, history, arguments, match):
    history("orders.csv", ORDERS, FIRST)
    history("items.csv", "item_id", "mug")
    source, name, *options = arguments

    refused(zone, match, rekindle, "import", source, zone.parent / name, *options)


def test_an_import_that_is_refused_ends_with_exit_code_2(zone, history):
    """As a person sees it: three sentences, no traceback."""
    path = history("orders.csv", ORDERS, FIRST.replace("Z,", ","))

    done = command_line.rekindle("import", "orders", str(path))

    assert (done.returncode, done.stdout, zone.exists()) == (2, "", False)
    assert done.stderr.splitlines() == [
        "no_time_zone: orders.csv, row 1 has a time without a zone (1 of 1 rows have).",
        "Write times as ISO 8601 with a zone, for example 2017-06-01T09:30:00Z.",
        "Nothing was written.",
    ]


# The documentation


def test_the_worked_example_of_the_docs_runs(zone, rekindle):
    """Twenty lines of CSV, as printed there; the counts of its answer are those that the docs show."""
    docs = (PROJECT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
    data = PROJECT / "docs" / "example-data"
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in data.glob("*.csv")) == 20
    for name in ("orders.csv", "users.csv"):
        assert (data / name).read_text(encoding="utf-8") in docs

    rekindle("import", "orders", data / "orders.csv")
    answer = rekindle("import", "users", data / "users.csv")

    shown = answer["sources"]["users"]
    assert " ".join(map(str, ["users", *shown.values()])) in " ".join(docs.split())
    assert answer["next"][0] in docs
    assert [len(rows) for rows in lines(zone, "users").values()] == [2, 1, 1, 1]
    assert "A-2" in lines(zone, "orders")["2024-03-03"][0]


@pytest.mark.parametrize("source", contracts.landing_sources())
def test_the_docs_name_every_column(source):
    """The contract is what ingestion reads; the table in the docs is what people read."""
    contract = contracts.landing_contract(source)
    docs = (PROJECT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
    (row,) = [line for line in docs.splitlines() if line.startswith(f"| {source} |")]
    named = [re.sub(r" \(`\w+` if missing\)", "", column).strip() for column in row.split("|")[2].split(",")]

    assert named == [c.name + "?" * (c.nullable and not c.required) for c in contract.delivered]
