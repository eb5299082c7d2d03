"""
Importing a file and delivering it give the same verdicts, over drawn files; the rules themselves run on Spark.

A file is compared row by row: each row of the file that is delivered whole, with the same row of what import made of it,
and with what the reference says of its texts.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.history import read_history
from rekindle.landing.filling.writer import deliver
from rekindle.landing.formats import Columns, UnreadableFileError, csv_rows, decoded, json_rows, parquet_texts
from rekindle.landing.zone import LandingZone
from rekindle.warehouse.contracts import landing_contract
from tests.reference import ingestion as reference
from tests.reference.files import DrawnFile, files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from pyspark.sql import SparkSession

FIRST = date(2024, 3, 1)
SPAN = 10
"""Each file has days of its own."""


def imported(drawn: DrawnFile, first: date, folder: Path) -> list[date] | InputError:
    """Import a file into a landing zone: the day of each row, or how the import was refused."""
    path = folder / f"{first}.{drawn.form}"
    path.write_bytes(drawn.write(first))
    try:
        history = read_history(drawn.source, path)
    except InputError as error:
        return error
    deliver(folder / "imported", [history], Days(tuple(sorted(set(history.days.tolist())))))
    return history.days.tolist()


def place(days: list[date]) -> list[tuple[date, int]]:
    """Where each row of a file is found among the deliveries: by day, then in the order of the file."""
    seen: dict[date, Iterator[int]] = defaultdict(lambda: count(1))
    return [(day, next(seen[day])) for day in days]


def cells(source: str, form: str, content: bytes) -> list[tuple[str | None, dict[str, str | None]]]:
    """What ingestion reads of each row: its error, or the texts of its cells."""
    columns = Columns.of({c.name: c.type for c in landing_contract(source).delivered})
    if form != "parquet":
        rows = (csv_rows if form == "csv" else json_rows)(decoded(content), columns)
        return [(row.error, row.cells) for row in rows]
    read = parquet_texts(content, columns)
    texts = [dict.fromkeys(columns.names) | row for row in read.texts.to_pylist()]
    return [("not_utf8", {}) if at in read.broken else (None, row) for at, row in enumerate(texts)]


@settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=files())
def test_a_file_is_read_alike_whether_imported_or_delivered(drawn: DrawnFile, tmp_path_factory: pytest.TempPathFactory):
    """No cell is repaired, rewritten or lost on the way; what has no day is refused by name, and so is what has no rows."""
    folder = tmp_path_factory.mktemp("import")
    days = imported(drawn, FIRST, folder)
    if isinstance(days, InputError):
        return
    direct = cells(drawn.source, drawn.form, drawn.write(FIRST))
    delivered = {
        day: cells(drawn.source, drawn.form, path.read_bytes())
        for day in set(days)
        for path in (folder / "imported" / drawn.source / f"day={day}").glob("[!_]*")
    }

    assert [delivered[day][number - 1] for day, number in place(days)] == direct


@settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=files())
def test_what_no_delivery_could_be_is_no_import(drawn: DrawnFile, tmp_path_factory: pytest.TempPathFactory):
    """A file that is unreadable as a delivery is refused, never made readable."""
    try:
        cells(drawn.source, drawn.form, drawn.write(FIRST))
    except UnreadableFileError:
        assert isinstance(imported(drawn, FIRST, tmp_path_factory.mktemp("import")), InputError)


def many_files(most: int) -> list[DrawnFile]:
    found: list[DrawnFile] = []

    @seed(20240301)
    @settings(
        max_examples=most,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(files())
    def draw(one: DrawnFile) -> None:
        found.append(one)

    draw()
    return found


@settings(max_examples=200, database=None)
@given(
    source=st.sampled_from(reference.SOURCES),
    fates=st.lists(st.sampled_from(["loaded", "duplicate", "conflict", "invalid", "invalid"]), max_size=30),
)
def test_a_delivery_stops_where_the_reference_says_so(source: str, fates: list[str]):
    """By what it says of deliveries of any number of rows and any fates."""
    from spark_jobs.ingest.raw import why_unusable

    count = {
        "delivered_rows": len(fates),
        "loaded_rows": fates.count("loaded"),
        "quarantined_rows": fates.count("conflict") + fates.count("invalid"),
        "conflicting_duplicate": fates.count("conflict"),
    }

    assert why_unusable(landing_contract(source), count) == reference.refusal(source, fates, share=0.5, least=20)


def test_rows_get_the_same_verdict_whether_imported_or_delivered(spark: SparkSession, tmp_path: Path):
    """Fate and reason of each row of some hundred files, by the rules that ingestion runs."""
    compared, verdicts = 0, {}
    by_reference: dict[tuple[str, date, int], tuple[str, str, str | None]] = {}
    expected: dict[tuple[str, date, int], tuple[str, date, int]] = {}
    for number, drawn in enumerate(many_files(250)):
        first = FIRST + timedelta(number * SPAN)
        days = imported(drawn, first, tmp_path)
        if isinstance(days, InputError):
            continue
        whole = first + timedelta(SPAN // 2)
        folder = tmp_path / "delivered" / drawn.source / f"day={whole}"
        folder.mkdir(parents=True)
        (folder / f"rows.{drawn.form}").write_bytes(drawn.write(first))
        (folder / "_SUCCESS").touch()
        by_reference |= {
            ("delivered", whole, at): (drawn.source, *said)
            for at, said in enumerate(of_reference(drawn.source, drawn.form, drawn.write(first), whole), 1)
        }
        expected |= {("delivered", whole, at): ("imported", *of) for at, of in enumerate(place(days), 1)}
        compared += 1
    for zone in ("delivered", "imported"):
        for source in ("orders", "events"):
            verdicts |= {
                (zone, day, row): (source, *said) for day, row, *said in judged(spark, tmp_path / zone, source)
            }

    assert {at: verdicts[at] for at in expected} == {at: verdicts[of] for at, of in expected.items()}
    assert {at: verdicts[at] for at in by_reference} == by_reference
    assert compared > 100
    assert len({reason for *_, reason in verdicts.values()}) > 10


FATES = {"loaded": "loaded", "duplicate": "duplicate", "conflict": "quarantined", "invalid": "quarantined"}


def of_reference(source: str, form: str, content: bytes, day: date) -> list[tuple[str, str | None]]:
    """Fate and reason of each row of a delivery, by the rules as the reference has them."""
    read = [
        ({}, error) if error else reference.read_row(source, row, day) for error, row in cells(source, form, content)
    ]
    fates = reference.fates(source, [reference.Row(values, is_valid=why is None) for values, why in read])
    return [
        (FATES[fate], "conflicting_duplicate" if fate == "conflict" else why)
        for fate, (_, why) in zip(fates, read, strict=True)
    ]


def judged(spark: SparkSession, zone: Path, source: str) -> list[tuple[date, int, str, str | None]]:
    """Day, row, fate and reason of all rows of a landing zone."""
    from spark_jobs.ingest import raw

    contract, landing = landing_contract(source), LandingZone(str(zone))
    found = landing.deliveries(contract, Days(tuple(landing.days_of(source))))
    rows = raw.judged(contract, raw.delivered_rows(spark, contract, found, landing))
    return [tuple(row) for row in rows.select("day", "row", "fate", "reason").collect()]
