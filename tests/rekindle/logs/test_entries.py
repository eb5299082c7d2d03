"""What services write, in the forms that they write it in, becomes one JSON object an entry."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.logs.entries import CUT_BACK_CHARACTERS, LONGEST_LINE_BYTES, Entries, Lines, told
from rekindle.logs.redaction import redact


def entries_of(*pieces: bytes) -> list[dict[str, object]]:
    """All that a service's pieces of writing are told as."""
    lines, entries = Lines(), Entries()
    read = [line for piece in pieces for line in lines.take(piece)] + list(lines.end())
    whole = [entry for line in read for entry in entries.take(line)] + list(entries.end())
    return [json.loads(told("it", entry, redact), parse_constant=pytest.fail) for entry in whole]


@pytest.mark.parametrize(
    ("line", "time", "level"),
    [
        ("2026-11-28 03:00:00.123 UTC [7] LOG:  database is ready", "2026-11-28 03:00:00.123 UTC", "info"),
        ("2026-11-28 03:00:00.123 UTC [7] FATAL:  no such role", "2026-11-28 03:00:00.123 UTC", "critical"),
        ("2026/11/28 03:00:00 [error] 7#7: *1 upstream timed out", "2026/11/28 03:00:00", "error"),
        ("[2026-11-28 03:00:00 +0000] [7] [INFO] Listening at: x", "2026-11-28 03:00:00 +0000", "info"),
        ("2026-11-28T03:00:00.123Z WARN TaskSetManager: lost", "2026-11-28T03:00:00.123Z", "warning"),
        ("26/11/28 03:00:00 ERROR SparkConnectServer: no port", "26/11/28 03:00:00", "error"),
        ("2026/11/28 03:00:00 INFO mlflow.server: ready", "2026/11/28 03:00:00", "info"),
        ("INFO:     127.0.0.1:5000 - GET / 200 OK", None, "info"),
        ("03:00:00 | 200 | 1.2ms | GET | /landing", "03:00:00", None),
        ("ready, and no ERROR was seen in it", None, None),
        ("all is well", None, None),
    ],
)
def test_time_and_level_are_as_the_service_tells_them(line: str, time: str | None, level: str | None):
    (entry,) = entries_of(line.encode())

    assert (entry.get("time"), entry.get("level")) == (time, level)
    assert entry["service"] == "it"
    assert line.endswith(str(entry["message"]))


PYTHON = b"""2026-11-28 03:00:00 ERROR x: broken
Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
KeyError: 1

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 2, in f
    h()
psycopg.errors.UniqueViolation: duplicate key
DETAIL:  Key (phone)=(4915123456789) already exists.
"""
JAVA = b"""26/11/28 03:00:00 WARN X: broken
java.lang.IllegalStateException: not now
\tat org.apache.X.f(X.java:1)
\tat org.apache.X.g(X.java:2)
Caused by: java.io.IOException: gone
\t... 2 more
"""


@pytest.mark.parametrize(("written", "level"), [(JAVA, "warning"), (PYTHON, "error")])
def test_a_traceback_is_one_entry_with_the_line_before_it(written: bytes, level: str):
    told_ = entries_of(written, b"2026-11-28 03:00:01 INFO x: next\n")

    assert [entry["level"] for entry in told_ if "time" in entry][-2:] == [level, "info"]
    assert "4915123456789" not in str(told_)


def test_a_java_stack_trace_is_whole():
    first, _ = entries_of(JAVA, b"26/11/28 03:00:01 INFO X: next\n")

    assert first["message"].startswith("WARN X: broken\njava.lang.IllegalStateException: not now\n\tat ")
    assert first["message"].endswith("\nCaused by: java.io.IOException: gone\n\t... 2 more")


def test_a_python_traceback_is_whole():
    first, _ = entries_of(PYTHON, b"2026-11-28 03:00:01 INFO x: next\n")

    assert "During handling" in first["message"]
    assert first["message"].endswith("Key (phone)=([phone]) already exists.")


def test_a_statement_over_several_lines_is_one_entry():
    """Postgres indents what goes on."""
    written = b"2026-11-28 03:00:00 UTC [7] STATEMENT:  select 1,\n\t\t2\n2026-11-28 03:00:00 UTC [7] LOG:  done\n"

    assert [entry["message"] for entry in entries_of(written)] == ["[7] STATEMENT:  select 1,\n\t\t2", "[7] LOG:  done"]


def test_a_private_key_is_not_taken_apart():
    (entry,) = entries_of(b"read -----BEGIN PRIVATE KEY-----\nMIIEabc\nMIIEdef\n-----END PRIVATE KEY-----\n")

    assert entry["message"] == "read [secret]"


def test_a_logger_that_writes_json_keeps_its_fields():
    written = {"timestamp": "2026-11-28T03:00:00Z", "level": "WARN", "event": "to a@b.de", "token": "x", "rows": 5}

    assert entries_of(json.dumps(written).encode()) == [
        {
            "service": "it",
            "time": "2026-11-28T03:00:00Z",
            "level": "warning",
            "message": "to [mail]",
            "token": "[secret]",
            "rows": 5,
        }
    ]


@pytest.mark.parametrize(
    "written", ['{"password": "x"', '{"a": NaN, "password": "x"}', "{" * 9000, '{"a":' * 9000, "{}"]
)
def test_what_looks_like_json_and_is_none_is_told_as_text(written: str):
    (entry,) = entries_of(written.encode())

    assert entry["service"] == "it"
    assert '"x"' not in json.dumps(entry)


def test_a_long_line_is_cut_and_with_it_what_cannot_be_told_there():
    """The phone lies across the cut: half of it would look like no phone."""
    phone = b"+4915123456789"
    line = b"x" * (LONGEST_LINE_BYTES - 7) + phone + b"y" * 100_000

    cut, after = entries_of(line[:40_000], line[40_000:], b"\nnext\n")

    assert cut["message"].endswith(f" [cut: {len(line) - LONGEST_LINE_BYTES + CUT_BACK_CHARACTERS} more]")
    assert "+4915" not in cut["message"]
    assert after["message"] == "next"


def test_a_traceback_without_end_is_cut_into_entries():
    assert len(entries_of(b"Traceback (most recent call last):\n" + b"  again\n" * 1200)) == 3


def test_colours_go():
    (entry,) = entries_of(b"\x1b[31mERROR\x1b[0m password=\x1b[1mx\x1b[0m\n")

    assert entry == {"service": "it", "level": "error", "message": "ERROR password=[secret]"}


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_bytes_come_become_json(pieces: list[bytes]):
    """How they are cut into pieces does not matter."""
    assert entries_of(*pieces) == entries_of(b"".join(pieces))


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda t: t.strip() == t)))
def test_no_line_is_lost(lines: list[str]):
    """Lines of letters and signs are told all, in their order."""
    written = [f"it: {line}" for line in lines]
    said = "\n".join(str(entry["message"]) for entry in entries_of("".join(f"{line}\n" for line in written).encode()))

    assert said == "\n".join(redact(line) for line in written)


def test_what_cannot_be_redacted_is_left_out_and_said():
    def broken(_: str) -> str:
        raise RecursionError

    assert "secret-thing" not in told("it", ["secret-thing"], broken)
    assert "RecursionError" in told("it", ["secret-thing"], broken)
