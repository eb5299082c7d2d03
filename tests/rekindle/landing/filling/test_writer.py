import os
import signal
import subprocess
import sys
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling import writer
from rekindle.landing.filling.writer import History, deliver, deliver_by_day, delivered_days, local_folder

DAYS = Days.between(date(2024, 2, 28), date(2024, 3, 3))


def history(source="orders", **rows_on):
    """Rows by day: `history(mar01=["a", "b"])`; each row is an id."""
    ids = [row for rows in rows_on.values() for row in rows]
    days = [
        f"2024-{'02' if name.startswith('feb') else '03'}-{name[3:]}" for name, rows in rows_on.items() for _ in rows
    ]
    return History(source, pa.table({"order_id": pa.array(ids, pa.string())}), np.array(days, dtype="datetime64[D]"))


def contents(zone):
    return {
        str(path.relative_to(zone)): sorted(child.name for child in path.iterdir())
        for path in sorted(zone.glob("*/day=*"))
    }


def test_every_day_gets_a_delivery_and_a_day_without_rows_is_declared_empty(tmp_path, landed):
    """The leap day is a day like any other."""
    (written,) = deliver(tmp_path, [history(feb29=["a", "b"], mar02=["c"])], DAYS)

    assert contents(tmp_path) == {
        "orders/day=2024-02-28": ["_SUCCESS"],
        "orders/day=2024-02-29": ["_SUCCESS", "orders.parquet"],
        "orders/day=2024-03-01": ["_SUCCESS"],
        "orders/day=2024-03-02": ["_SUCCESS", "orders.parquet"],
        "orders/day=2024-03-03": ["_SUCCESS"],
    }
    assert landed(tmp_path, "orders").to_pylist() == [
        {"order_id": "a", "day": "2024-02-29"},
        {"order_id": "b", "day": "2024-02-29"},
        {"order_id": "c", "day": "2024-03-02"},
    ]
    assert (written.rows, written.deliveries, written.empty) == (3, 5, 3)


def test_deliveries_that_are_made_day_by_day_are_all_there_or_none(tmp_path):
    """Also where what makes them fails, or makes other days than were said."""
    table = pa.table({"order_id": ["a"]})

    def made(*days, fails=False):
        for day in days:
            yield day, {"orders": table, "users": table.slice(1)}
        if fails:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver_by_day(tmp_path, made(*DAYS, fails=True), DAYS)
    with pytest.raises(ValueError, match="other days"):
        deliver_by_day(tmp_path, made(DAYS.first), DAYS)
    assert contents(tmp_path) == {}

    orders, users = deliver_by_day(tmp_path, made(*DAYS), DAYS)
    assert (orders.rows, orders.empty, users.rows, users.empty) == (5, 0, 0, 5)
    assert contents(tmp_path)["orders/day=2024-02-29"] == ["_SUCCESS", "orders.parquet"]
    assert contents(tmp_path)["users/day=2024-02-29"] == ["_SUCCESS"]


def test_rows_keep_their_order_within_a_day(tmp_path, landed):
    """Of a state that is repeated the last row counts, so the order of the file is part of the data."""
    deliver(tmp_path, [history(mar02=["z"], mar01=["c", "a", "b"])], DAYS)

    assert landed(tmp_path, "orders")["order_id"].to_pylist() == ["c", "a", "b", "z"]


def test_writing_the_same_again_changes_nothing(tmp_path, files):
    deliver(tmp_path, [history(mar01=["a"])], DAYS)
    before = files(tmp_path)

    (again,) = deliver(tmp_path, [history(mar01=["a"])], DAYS)

    assert files(tmp_path) == before
    assert (again.unchanged, again.replaced) == (5, 0)


def test_other_contents_are_refused_and_nothing_is_written(tmp_path, files):
    """One delivery in the way stops them all, or the history would be half the one and half the other."""
    deliver(tmp_path, [history(mar01=["a"])], DAYS)
    before = files(tmp_path)

    with pytest.raises(InputError, match=r"orders/day=2024-03-01 is .* already.*--replace"):
        deliver(tmp_path, [history(mar01=["b"]), history("events", mar02=["x"])], DAYS)

    assert files(tmp_path) == before


def test_a_delivery_that_somebody_else_has_begun_is_in_the_way(tmp_path):
    begun = tmp_path / "orders" / "day=2024-03-01"
    begun.mkdir(parents=True)
    (begun / "part-0.csv").write_text("order_id\n")

    with pytest.raises(InputError, match="already_delivered"):
        deliver(tmp_path, [history(mar01=["b"])], DAYS)

    assert contents(tmp_path) == {"orders/day=2024-03-01": ["part-0.csv"]}


def test_replace_replaces_what_differs_whole(tmp_path, landed):
    deliver(tmp_path, [history(feb28=["a"], mar01=["b", "c"])], DAYS)

    (written,) = deliver(tmp_path, [history(feb28=["a"], mar01=["d"])], DAYS, replace=True)

    assert landed(tmp_path, "orders")["order_id"].to_pylist() == ["a", "d"]
    assert (written.unchanged, written.replaced) == (4, 1)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    def fail(done, _all):
        if done == 3:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        deliver(tmp_path, [history(feb28=["a"], mar01=["b"])], DAYS, advance=fail)

    assert [path.name for path in tmp_path.iterdir()] == [writer.LOCK]


def test_a_write_that_is_killed_leaves_no_delivery_and_is_not_in_the_way(tmp_path):
    """The staged files of a killed writer are removed by the next one."""
    zone = tmp_path / "landing"
    program = (
        "import os, signal, sys; from datetime import date; from pathlib import Path\n"
        "import numpy as np, pyarrow as pa\n"
        "from rekindle.days import Days; from rekindle.landing.filling.writer import History, deliver\n"
        "days = np.array(['2024-03-01'], dtype='datetime64[D]')\n"
        "rows = History('orders', pa.table({'order_id': ['a']}), days)\n"
        "stop = lambda done, all: os.kill(os.getpid(), signal.SIGKILL) if done == 4 else None\n"
        "deliver(Path(sys.argv[1]), [rows], Days.between(date(2024, 2, 28), date(2024, 3, 3)), advance=stop)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    killed = subprocess.run([sys.executable, "-c", program, str(zone)], env=environment, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert list(zone.glob("[!.]*")) == []
    assert list((zone / writer.STAGING).rglob("_SUCCESS")) != []
    deliver(zone, [history(mar01=["a"])], DAYS)
    assert len(contents(zone)) == 5
    assert not (zone / writer.STAGING).exists()


def test_a_release_that_is_interrupted_leaves_whole_deliveries_and_can_be_repeated(tmp_path, monkeypatch):
    move, moved = writer._move, []

    def interrupted(*arguments):
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(move(*arguments))

    monkeypatch.setattr(writer, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deliver(tmp_path, [history(feb28=["a"], mar03=["b"])], DAYS)
    monkeypatch.undo()

    assert contents(tmp_path) == {
        "orders/day=2024-02-28": ["_SUCCESS", "orders.parquet"],
        "orders/day=2024-02-29": ["_SUCCESS"],
        "orders/day=2024-03-01": ["_SUCCESS"],
    }
    (written,) = deliver(tmp_path, [history(feb28=["a"], mar03=["b"])], DAYS)
    assert (written.unchanged, written.replaced) == (3, 0)
    assert len(contents(tmp_path)) == 5


def test_two_writers_at_once_are_refused(tmp_path):
    def meanwhile(_done, _all):
        deliver(tmp_path, [history(mar01=["b"])], DAYS)

    with pytest.raises(InputError, match="Another process is writing"):
        deliver(tmp_path, [history(mar01=["a"])], DAYS, advance=meanwhile)


def test_rows_outside_the_days_are_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="rows on other days"):
        deliver(tmp_path, [history(mar05=["a"])], DAYS)


def test_earlier_facts_are_left_out_and_earlier_states_hold(tmp_path, landed):
    orders, users = (
        history(feb01=["a"], mar01=["b"], mar09=["c"]),
        history("users", feb01=["a"], mar01=["b"], mar09=["c"]),
    )

    deliver(tmp_path, [h.between(DAYS.first, DAYS.last) for h in (orders, users)], DAYS)

    assert landed(tmp_path, "orders")["order_id"].to_pylist() == ["b"]
    assert landed(tmp_path, "users").to_pylist() == [
        {"order_id": "a", "day": "2024-02-28"},
        {"order_id": "b", "day": "2024-03-01"},
    ]


def test_delivered_days_count_complete_deliveries_of_known_sources(tmp_path):
    deliver(tmp_path, [history(mar01=["a"])], DAYS)
    (tmp_path / "orders" / "day=2024-03-09").mkdir()
    (tmp_path / "thumbnails" / "day=2023-01-01").mkdir(parents=True)
    (tmp_path / "thumbnails" / "day=2023-01-01" / "_SUCCESS").touch()

    assert delivered_days(tmp_path) == {"orders": (DAYS.first, DAYS.last)}


def test_a_landing_zone_elsewhere_is_refused_by_name():
    """Objects cannot be moved into place in one step; nothing but the scheme is told, for a URL may hold a key."""
    assert str(local_folder("file:///data/landing")) == "/data/landing"
    with pytest.raises(InputError, match=r"s3a://….*local folders only") as refused:
        local_folder("s3a://key:secret@bucket/landing")
    assert "secret" not in str(refused.value)
