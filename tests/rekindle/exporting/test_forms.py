"""What rows become in the forms that tools take."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rekindle.errors import InputError
from rekindle.exporting.forms import FORMS
from rekindle.exporting.watermark import Watermark

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = ("eligible", "phone_e164", "valid_until", "return_probability", "segment")
BASE = {
    "user_id": "u1",
    "changed_at": NOON,
    "may_be_texted": True,
    "eligible": True,
    "phone_e164": "+14155550123",
    "valid_until": NOON,
    "return_probability": Decimal("0.250"),
    "segment": "loyal",
}
NOT_ELIGIBLE = {"may_be_texted": False, "eligible": False, "phone_e164": None, "valid_until": None}


def lines(form, *rows, columns=COLUMNS):
    return list(FORMS[form].lines(columns, iter([BASE | row for row in rows])))


def test_braze_is_told_of_a_user_in_a_line_whose_payload_is_json_in_a_text():
    """As braze.com/docs, "File storage integrations", shows it."""
    (line,) = lines("braze", {})
    told = json.loads(line)

    assert line.endswith("}\n") and "\n" not in line[:-1]
    assert told | {"payload": json.loads(told["payload"])} == {
        "updated_at": "2026-03-01T12:00:00+00:00",
        "external_id": "u1",
        "payload": {
            "eligible": True,
            "phone": "+14155550123",
            "valid_until": "2026-03-01T12:00:00+00:00",
            "return_probability": 0.25,
            "segment": "loyal",
        },
    }


def test_braze_is_told_that_a_permission_is_over_and_keeps_a_phone_that_it_has_from_elsewhere():
    (line,) = lines("braze", NOT_ELIGIBLE)
    payload = json.loads(json.loads(line)["payload"])

    assert payload == {"eligible": False, "valid_until": None, "return_probability": 0.25, "segment": "loyal"}


@pytest.mark.parametrize("text", ['quo"te', "line\nbreak", "\u2028", "=1+1", "\\", "é"])
def test_a_text_is_in_the_payload_as_it_is_and_breaks_no_line(text):
    (line,) = lines("braze", {"user_id": text, "segment": text})
    told = json.loads(line)

    assert len(line.splitlines()) == 1
    assert (told["external_id"], json.loads(told["payload"])["segment"]) == (text, text)


@pytest.mark.parametrize(("users", "batches"), [(0, []), (1, [1]), (75, [75]), (76, [75, 1]), (200, [75, 75, 50])])
def test_a_request_to_braze_has_at_most_75_users(users, batches):
    rows = [{"user_id": f"u{number}"} for number in range(users)]
    bodies = [json.loads(line) for line in lines("braze-users", *rows)]

    assert [list(body) for body in bodies] == [["attributes"]] * len(batches)
    assert [len(body["attributes"]) for body in bodies] == batches
    assert [user["external_id"] for body in bodies for user in body["attributes"]] == [row["user_id"] for row in rows]


def test_csv_has_phones_as_they_are_and_no_formula():
    columns = ("user_id", *COLUMNS)
    text = "".join(lines("csv", {"user_id": "=cmd|' /C calc'!A0", "segment": "a;=1+1"}, columns=columns))
    (row,) = csv.DictReader(io.StringIO(text))

    assert row == {
        "user_id": "'=cmd|' /C calc'!A0",
        "eligible": "True",
        "phone_e164": "+14155550123",
        "valid_until": "2026-03-01T12:00:00+00:00",
        "return_probability": "0.250",
        "segment": "a;=1+1",
    }
    assert '"a;=1+1"' in text, "quoted, so that no semicolon divides it"


def test_csv_without_rows_has_a_head():
    assert lines("csv") == ['"eligible","phone_e164","valid_until","return_probability","segment"\n']


@pytest.mark.parametrize("user_id", ["u1", "a,b", "", "ü", "-1"])
def test_a_watermark_is_read_as_it_was_printed(user_id):
    mark = Watermark(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), user_id)

    assert Watermark.parse(str(mark)) == mark


@pytest.mark.parametrize(
    "text", ["", "u1", "2026-03-01", "2026-03-01T12:00:00,u1", "2026-03-01T12:00:00+00:00", "noon,u1"]
)
def test_what_is_no_watermark_is_refused_without_repeating_it(text):
    with pytest.raises(InputError, match="The watermark is none") as refused:
        Watermark.parse(text)
    assert "u1" not in str(refused.value)
