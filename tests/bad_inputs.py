"""
What each kind of bad input gets: promised here, shown by the tests that are marked with it, told by docs/bad-inputs.md.

A test says with `@bad_input("a BOM", gets="fine")` which of these it shows. `make golden` writes the page anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROJECT = Path(__file__).parents[1]
MARK = "bad_input"
COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""All tests of a session, also those that are not run in it."""

OUTCOMES = {
    "E": "The run stops before any write, exit code 2; the message names file, column and rule, or what was asked for.",
    "Q": "The row or file goes to `raw.quarantine` with a reason code and the rest goes on; *delivered = loaded + duplicates "
    "+ quarantined* holds.",
    "W": "The run goes on, and a warning on the day's page tells of it.",
    "B": "Exit code 1, nothing is published, the last good day stays, an alert says so.",
    "fine": "It is data like any other, or changes nothing.",
    "refused": "Refused by name, exit code 1; what was there stays.",
    "not eligible": "The user is published with `eligible = false` and the reason.",
}

PROMISED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Files of a delivery": {
        "a file of 0 bytes": ("Q", "the file, `empty_file`"),
        "a truncated Parquet file": ("Q", "the file, `truncated_parquet`"),
        "a CSV file renamed to .parquet": ("Q", "the file, `not_parquet`"),
        "a flipped byte in a page that has a checksum": ("Q", "the file, `undecodable_parquet`"),
        "a flipped byte that makes a page undecodable": ("Q", "the file, `undecodable_parquet`"),
        "each of these as the day's only file": ("E", "`unreadable_delivery`"),
        "a quote that is never closed": ("Q", "the file, `open_quote`"),
        "a quote that is never closed, in `import`": ("E", "`open_quote`; nothing is delivered"),
        "a file in a subfolder of a delivery": ("fine", "loaded and counted like any other"),
        "invalid UTF-8": ("Q", "the row, `not_utf8`"),
        "UTF-16": ("Q", "the file, `not_utf8`"),
        "a BOM": ("fine", "it is passed over"),
        "a header-only file": ("W", "`no_rows`"),
        "a Parquet file of 0 rows": ("W", "`no_rows`"),
        "a day declared empty": ("W", "`no_rows`"),
        "no usable row in a delivery of a required source": ("E", "`no_usable_row`"),
        "more than half of at least 20 rows unusable": (
            "E",
            "`mostly_unusable`; the share and the number are settings",
        ),
        "no landing folder for the day": ("E", "`no_delivery` after the wait, names the path looked at"),
        "no `_SUCCESS`": ("E", "`no_delivery` after the wait, names the path looked at"),
    },
    "Columns": {
        "a column name twice, in csv": ("E", "`duplicate_column`"),
        "a column name twice, in Parquet": ("E", "`duplicate_column`"),
        "a key twice, in jsonl": ("E", "`duplicate_column`"),
        "a column name twice, in `import`": ("E", "`duplicate_column`"),
        "a required column missing": ("E", "`missing_column`"),
        "a required column renamed (`userId`)": ("E", "`missing_column`, suggests the nearest name"),
        "an extra column": ("W", "`extra_column`; it is ignored"),
        "another order of columns": ("fine", "the same result"),
        "Parquet types with a plain text (UUID, dictionary, time)": ("fine", "read as that text"),
        "Parquet types without a plain text (spans of time, lists)": ("E", "`unsupported_type`, never damage"),
        "no time zone declared": ("E", "`no_time_zone`"),
    },
    "Values": {
        "more digits than cents (1.234)": ("Q", "`too_precise`"),
        "more digits than the cost of a message has": ("Q", "`too_precise`"),
        "null markers of exporters (`\\N`, `<NA>`, `NaT`, `undefined`, `(not set)`) where something must be": (
            "Q",
            "`missing`",
        ),
        "null markers of exporters where nothing may stand": ("fine", "nothing stands there"),
        "blanks around an id": ("W", "`trimmed_id`; read without them"),
        '123, 123.0 and "123" as an id': ("Q", '`decimal_id` for the text "123.0"; the others are one id'),
        'a number as text, "12"': ("W", "`number_as_text`; cast"),
        'a number with a letter, "12a"': ("Q", "`not_a_number`"),
        "a decimal comma": ("Q", "`not_a_number`"),
        "NaN": ("Q", "`not_a_number`"),
        "inf": ("Q", "`not_a_number`"),
        "1e308": ("Q", "`out_of_range`; as money, which cannot hold it, `not_a_number`"),
        "a time in ms for µs": ("Q", "`time_out_of_range`"),
        "the year 1970": ("Q", "`time_out_of_range`"),
        "the year 0001": ("Q", "`time_out_of_range`"),
        "the year 9999": ("Q", "`in_the_future`"),
        "more than 5 minutes in the future": ("Q", "`in_the_future`"),
        "a negative amount on a sale": ("Q", "`out_of_range`; never summed"),
        "an unknown currency": ("Q", "`not_in_list`; never summed"),
        "a missing currency": ("Q", "`missing`; never summed"),
        "user_id null": ("Q", "`missing`"),
        "user_id ''": ("Q", "`missing`"),
        "user_id ' '": ("Q", "`missing`"),
        "user_id 'null'": ("Q", "`missing`"),
        "user_id 'nan'": ("Q", "`missing`"),
        "user_id of 10 kB": ("Q", "`too_long`"),
        "user_id with NUL": ("Q", "`control_character`"),
        "user_id with a newline": ("Q", "`control_character`"),
        "user_id `Robert'); DROP TABLE scores;--`": ("fine", "data like any other"),
        "user_id `../../etc/passwd`": ("fine", "data like any other"),
        "`<script>` in a category": ("fine", "escaped in every page"),
        "emoji and right-to-left text": ("fine", "rendered in every page"),
    },
    "Repeats, order and amounts of rows": {
        "the same file twice under two names": ("fine", "counted as duplicates, scores equal"),
        "exact duplicate rows": ("fine", "counted as duplicates, scores equal"),
        "the same id and date again on a later day, same payload": (
            "fine",
            "loaded, passed over, counted; scores equal",
        ),
        "the same id and date again on a later day, other payload": (
            "fine",
            "loaded, passed over, counted; scores equal",
        ),
        "the same id, other payload within a delivery": (
            "Q",
            "`conflicting_duplicate`; the first of the first file wins",
        ),
        "the same state twice within a delivery, otherwise": (
            "Q",
            "`conflicting_duplicate`, W; the last row of the last file by name wins",
        ),
        "an event exactly at midnight after `day`": ("fine", "equals the reference implementation"),
        "29 February": ("fine", "equals the reference implementation"),
        "a DST gap": ("fine", "equals the reference implementation"),
        "year end": ("fine", "equals the reference implementation"),
        "one user with 40 % of all rows": ("W", "`dominant_user`; the run finishes"),
        "1e5 categories": ("W", "`many_values`; the run finishes"),
        "a refund before its sale": ("fine", "the result does not depend on the order"),
        "a user erased, then delivered again in an old file": ("W", "dropped by the tombstone, counted as `erased`"),
    },
    "Models": {
        "training on one class only": ("refused", "`one_class`; the champion stays"),
        "training on 12 rows": ("refused", "`too_few_rows`; the champion stays"),
        "training on constant features": ("refused", "`features_constant`; the champion stays"),
        "training with the label among the features": ("refused", "`label_among_features`; the champion stays"),
        "a champion's alias that is missing": ("E", "`no_champion` before anything is loaded"),
        "a champion's alias on a version without a passed gate": (
            "E",
            "`gate_not_passed` or `no_gate`; nothing is loaded",
        ),
        "an artifact of another digest": ("E", "`digest_mismatch` before anything is loaded"),
        "an artifact's path with `..`": ("E", "`unexpected_model_file` before anything is loaded"),
        "a pickle in an artifact": ("E", "`unexpected_model_file` before anything is loaded"),
        "a model that expects other columns or types": ("E", "`signature_mismatch`, lists them"),
    },
    "Scores": {
        "scores NaN": ("B", "between 0 and 1"),
        "scores inf": ("B", "a finite number"),
        "scores outside [0, 1]": ("B", "between 0 and 1"),
        "scores all equal": ("B", "not constant"),
        "half the rows": ("B", "rows change"),
        "three times the rows": ("B", "rows change"),
        "duplicate ids": ("B", "the key is unique"),
        "scores of yesterday's day": ("B", "the day is the one to publish"),
        "LTV ten times as high": ("B", "the mean moves"),
        "any of these, told by the webhook": ("B", "code, what, what to do, what stayed safe"),
    },
    "Permission": {
        "a phone without a region": ("not eligible", "`invalid_phone`"),
        "a landline": ("not eligible", "`not_mobile`"),
        "a short code": ("not eligible", "`invalid_phone`"),
        "a toll-free number": ("not eligible", "`not_mobile`"),
        "a phone with an extension": ("not eligible", "`invalid_phone`"),
        "`1.41556E+10` as a phone": ("not eligible", "`invalid_phone`"),
        "two users with one phone, one opted out": ("not eligible", "both"),
        "an opt-out delivery that is missing": (
            "fine",
            "nobody gains permission, withdrawals are published all the same",
        ),
        "an opt-out delivery that is missing, told by the webhook": ("fine", "`no_new_permission`"),
    },
    "Platform and commands": {
        "Postgres down": ("E", "`postgres_unavailable` after bounded retries, host and database, no secret"),
        "Postgres full": ("E", "`postgres_unavailable` after bounded retries"),
        "Postgres read-only": ("E", "`postgres_unavailable` after bounded retries"),
        "Postgres slow": ("E", "`postgres_unavailable`, not waited for for ever"),
        "a wrong password of Postgres": ("E", "`postgres_unavailable`, host and database, no secret"),
        "two runs of one day at once": ("E", "`already_running`"),
        "`--day 2026-13-01`": ("E", "with the form that is expected"),
        "a day in the future": ("E", "`day_in_the_future`"),
        "`--to` before `--from`": ("E", "with a hint to swap them"),
    },
}
"""By where it shows: the input, what it gets, and in words."""

BY_INPUT = {name: promise for inputs in PROMISED.values() for name, promise in inputs.items()}


def bad_input(*inputs: str, gets: str) -> pytest.MarkDecorator:
    """Mark a test, or a parameter of one, as what shows that such an input gets what is promised."""
    for name in inputs:
        assert name in BY_INPUT, f"tests/bad_inputs.py promises nothing of {name!r}: add it there, and what it gets."
        assert BY_INPUT[name][0] == gets, f"{name!r} is promised {BY_INPUT[name][0]}, and this shows {gets}."
    return pytest.mark.bad_input(*inputs)


def marks(inputs: Sequence[str], *, gets: str) -> list[pytest.MarkDecorator]:
    """The mark of a parameter that shows some inputs; none for one that shows none of those that are promised."""
    return [bad_input(*inputs, gets=gets)] if inputs else []


@dataclass(frozen=True, order=True)
class Shown:
    """A test that shows what an input gets; of a test with parameters, which."""

    path: str
    test: str
    parameter: str | None = None


def shown_by(items: Iterable[pytest.Item], mark: str = MARK) -> dict[str, list[Shown]]:
    """What tests are marked with, inputs by default, each with those tests."""
    found: dict[str, set[Shown]] = {}
    for item in items:
        spec = getattr(item, "callspec", None)
        of_parameter = {id(one.mark if hasattr(one, "mark") else one) for one in getattr(spec, "marks", ())}
        for given in item.iter_markers(mark):
            shown = Shown(
                item.path.relative_to(PROJECT).as_posix(),
                getattr(item, "originalname", item.name),
                spec.id if spec and id(given) in of_parameter else None,
            )
            for name in given.args:
                found.setdefault(name, set()).add(shown)
    return {name: sorted(tests) for name, tests in found.items()}


def marked_files(mark: str = MARK) -> list[str]:
    """Files with tests that are marked."""
    paths = sorted((PROJECT / "tests").rglob("test_*.py"))
    given = re.compile(rf"\b{mark}\(")
    return [str(path.relative_to(PROJECT)) for path in paths if given.search(path.read_text(encoding="utf-8"))]


def shown_in(config: pytest.Config, folder: Path, mark: str = MARK) -> dict[str, list[Shown]]:
    """What the marked tests show. Where they were not all collected, as when a file is run alone, they are now."""
    items = config.stash[COLLECTED]
    if {item.path.relative_to(PROJECT).as_posix() for item in items} >= set(marked_files(mark)):
        return shown_by(items, mark)
    told = folder / "shown.json"
    command = [sys.executable, "-m", "tests.bad_inputs", str(told), mark]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {name: [Shown(**one) for one in tests] for name, tests in json.loads(told.read_text()).items()}


class Collected:
    """A plugin that keeps what pytest has collected."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.shown: dict[str, list[Shown]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.shown = shown_by(session.items, self.mark)


def page(shown: Mapping[str, list[Shown]]) -> str:
    """Return the text of docs/bad-inputs.md."""
    lines = [
        "# Bad inputs and what they get",
        "",
        "Each line is shown by a test that passes. `make golden` writes this page from the marks of the tests.",
        "What an error means and what to do about it is in [runbook.md](runbook.md), what deliveries hold in",
        "[bring-your-own-data.md](bring-your-own-data.md).",
        "",
        *[f"* **{name}**: {told}" for name, told in OUTCOMES.items()],
    ]
    for section, inputs in PROMISED.items():
        lines += ["", f"## {section}", "", "| input | gets | shown by |", "| --- | --- | --- |"]
        for name, (gets, told) in inputs.items():
            lines.append(f"| {cell(name)} | **{gets}**: {told} | {links(shown.get(name, []))} |")
    return "\n".join(lines) + "\n"


def links(shown: Iterable[Shown]) -> str:
    """Return the tests as links from a page of docs/."""
    tests: dict[tuple[str, str], list[str]] = {}
    for one in shown:
        tests.setdefault((one.path, one.test), []).extend([one.parameter] if one.parameter else [])
    return "<br>".join(_link(Path(path), test, parameters) for (path, test), parameters in tests.items())


def _link(path: Path, test: str, parameters: list[str]) -> str:
    told = [test.removeprefix("test_").replace("_", " "), *(f"*{cell(parameter)}*" for parameter in parameters)]
    return f"[{path.name}](../{path}): {', '.join(told)}"


def cell(text: str) -> str:
    """Return a text as a cell of a table may hold it."""
    return text.replace("|", "\\|")


def main(told_to: Path, mark: str) -> int:
    """Collect the marked tests and write, as JSON, what they show."""
    collected = Collected(mark)
    code = pytest.main(["--collect-only", "-qq", "--no-header", *marked_files(mark)], plugins=[collected])
    told = {name: [asdict(one) for one in tests] for name, tests in collected.shown.items()}
    told_to.write_text(json.dumps(told), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
