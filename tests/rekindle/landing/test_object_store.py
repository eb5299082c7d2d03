"""A landing zone in an object store: folders are no objects, and what is asked of thousands of days is a few requests."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from pyarrow import fs

from rekindle.days import ONE_DAY, Days
from rekindle.landing.zone import LandingZone
from rekindle.warehouse.contracts import landing_contract, landing_sources

LAST = date(2024, 3, 1)
MANY = 3000
HISTORY = Days.between(LAST - timedelta(MANY - 1), LAST)
ORDERS = b"order_id,user_id,occurred_at,kind,amount,currency\n"


class Store(fs.FileSystemHandler):
    """Objects by key, and how often each kind of request was made; `on_listing` is done before a listing is answered."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.on_listing = lambda _store: None

    def deliver(self, folder: str, **files: bytes) -> None:
        self.objects |= {f"{folder}/{name}.csv": content for name, content in files.items()}
        self.objects[f"{folder}/_SUCCESS"] = b""

    def get_type_name(self):
        return "store"

    def normalize_path(self, path):
        return path

    def get_file_info(self, paths):
        self.requests["look"] += len(paths)
        return [self._info(path, fs.FileType.NotFound) for path in paths]

    def _info(self, path, otherwise):
        if path in self.objects:
            written = datetime(2024, 1, 1, tzinfo=UTC)
            return fs.FileInfo(path, fs.FileType.File, size=len(self.objects[path]), mtime=written)
        return fs.FileInfo(path, otherwise)

    def get_file_info_selector(self, selector):
        self.requests["list"] += 1
        self.on_listing(self)
        below = [key for key in self.objects if key.startswith(f"{selector.base_dir}/")]
        assert below or selector.allow_not_found
        if selector.recursive:
            return [self._info(key, fs.FileType.NotFound) for key in below]
        depth = selector.base_dir.count("/") + 2
        names = sorted({"/".join(key.split("/")[:depth]) for key in below})
        return [self._info(name, fs.FileType.Directory) for name in names]

    def open_input_stream(self, path):
        self.requests["read"] += 1
        return pa.BufferReader(self.objects[path])

    def _not_done(self, *_arguments):
        raise AssertionError("a landing zone is read only")

    open_input_file = open_output_stream = open_append_stream = move = copy_file = create_dir = _not_done
    delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _not_done


@pytest.fixture
def store(monkeypatch) -> Store:
    """An object store that any URL names; its path begins behind `://`, as that of s3:// does."""
    store = Store()
    system = fs.PyFileSystem(store)
    monkeypatch.setattr(LandingZone, "_root", property(lambda zone: (system, zone.url.partition("://")[2])))
    return store


@pytest.fixture
def history(store) -> Store:
    for day in HISTORY:
        store.deliver(f"bucket/orders/day={day}", part=ORDERS)
        store.deliver(f"bucket/users/day={day}")
    return store


def test_what_a_daily_run_asks_costs_the_same_after_ten_years(history):
    """Of each source whether it has begun, and whether its day is there; then the files of that day alone are read."""
    zone = LandingZone("s3://bucket")

    assert zone.missing(LAST) == []
    assert zone.missing(LAST + ONE_DAY) == ["users", "orders"]
    assert zone.why_unsupplied(["users", "orders"], LAST) is None
    assert history.requests.total() < 4 * len(landing_sources())
    history.requests.clear()
    zone.refuse_unusable(Days.one(LAST))
    assert history.requests.total() < 4 * len(landing_sources())
    assert history.requests["read"] == 1


def test_what_is_asked_of_all_days_is_asked_of_the_source(history):
    zone = LandingZone("s3://bucket/")

    assert zone.days_of("orders") == list(HISTORY)
    assert zone.first_day("orders") == HISTORY.first
    assert zone.parts("users", LAST - timedelta(100))[0].day == LAST - timedelta(100)
    assert history.requests.total() < 10


def test_a_range_of_days_is_found_by_two_listings_and_each_file_is_read_once(history):
    days = Days.between(LAST - timedelta(299), LAST)

    found = LandingZone("s3://bucket").deliveries(landing_contract("orders"), days)

    assert [delivery.day for delivery in found] == list(days)
    assert {file.name for delivery in found for file in delivery.files} == {"part.csv"}
    assert history.requests == {"list": 2, "read": 300}


def test_a_delivery_that_is_completed_while_it_is_listed_is_seen_whole_or_not_at_all(history):
    """What comes between two listings was not complete at the first."""
    days, late = Days.between(LAST, LAST + timedelta(20)), f"bucket/orders/day={LAST + ONE_DAY}"

    def complete(store):
        if store.requests["list"] == 2:
            store.deliver(late, a=ORDERS, b=ORDERS)

    history.on_listing = complete
    zone = LandingZone("s3://bucket")

    assert [delivery.day for delivery in zone.deliveries(landing_contract("orders"), days)] == [LAST]
    assert [len(d.files) for d in zone.deliveries(landing_contract("orders"), days)] == [1, 2]


def test_what_is_not_complete_is_not_the_first(store):
    """Neither where its marker lies deeper, nor where only an hour of it is there."""
    store.objects["bucket/l/orders/day=2024-01-01/x/_SUCCESS"] = b""
    store.deliver("bucket/l/orders/day=2024-01-02", part=ORDERS)
    store.deliver("bucket/l/replies/day=2024-01-02/hour=07", part=b"")

    for url in ("s3://bucket/l", "s3://bucket/l/"):
        zone = LandingZone(url)
        assert zone.first_day("orders") == date(2024, 1, 2)
        assert zone.days_of("orders") == [date(2024, 1, 2)]
        assert zone.first_day("replies") is None
        (part,) = zone.parts("replies", date(2024, 1, 1))
        assert (part.hour, [file.name for file in zone.files(part)]) == (7, ["part.csv"])
        assert zone.content(part, zone.files(part)[0]) == b""
