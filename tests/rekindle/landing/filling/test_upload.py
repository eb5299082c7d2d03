from datetime import date

import pytest

from rekindle.errors import InputError
from rekindle.landing.filling.upload import Uploaded, upload
from rekindle.landing.folders import SUCCESS

DAY = date(2024, 1, 1)


def deliver(zone, source, day, files, *, complete=True):
    folder = zone / source / f"day={day}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    if complete:
        (folder / SUCCESS).touch()


def contents(zone):
    return {str(path.relative_to(zone)): path.read_text() for path in zone.rglob("*") if path.is_file()}


def test_complete_deliveries_are_copied_and_half_ones_are_not(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    deliver(here, "orders", DAY, {"a.csv": "a", "hour=03/b.csv": "b", f"hour=03/{SUCCESS}": ""})
    deliver(here, "users", DAY, {})
    deliver(here, "events", DAY, {"half.csv": "x"}, complete=False)

    assert upload(here, str(there)) == Uploaded(copied=2, kept=0)
    assert contents(there) == {name: text for name, text in contents(here).items() if not name.startswith("events")}


def test_what_is_complete_there_stays_or_is_replaced_whole(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    deliver(here, "orders", DAY, {"new.csv": "new"})
    deliver(there, "orders", DAY, {"old.csv": "old"})

    assert upload(here, str(there)) == Uploaded(copied=0, kept=1)
    assert contents(there)[f"orders/day={DAY}/old.csv"] == "old"
    assert upload(here, there.as_uri(), replace=True) == Uploaded(copied=1, kept=0)
    assert contents(there) == contents(here)


def test_success_is_the_last_that_is_written_and_the_first_that_goes(tmp_path):
    """Whoever looks while a delivery is copied sees none, and not half of one."""
    here, there = tmp_path / "here", tmp_path / "there"
    deliver(here, "orders", DAY, {"a.csv": "a", "zzz.csv": "z"})
    deliver(there, "orders", DAY, {"old.csv": "old"})
    unreadable = here / "orders" / f"day={DAY}" / "zzz.csv"
    unreadable.unlink()
    unreadable.symlink_to("/proc/self/mem")

    with pytest.raises(OSError, match="Input/output"):
        upload(here, str(there), replace=True)
    assert SUCCESS not in {path.name for path in there.rglob("*")}


def test_a_folder_without_deliveries_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing_to_upload"):
        upload(tmp_path, str(tmp_path / "there"))
