"""Answers to auctions: who is bid for, what everybody else gets, and that nobody's advertising id is kept."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle import postgres, records
from rekindle.bidding.declared import rta
from rekindle.days import Days
from rekindle.publishing import bids, publish
from serving import keys
from serving.bidding import Bids, hash_of
from tests.rekindle.publishing.test_publishing import MONDAY, ltv
from tests.serving.conftest import LTV, Service, publish_day, running

if TYPE_CHECKING:
    from collections.abc import Iterator

IFA = "38400000-8CF0-11BD-B23E-10B96E40000D"
SHARED, OTHER, OF_NOBODY = "shared-device", "other-device", "00000000-0000-0000-0000-000000000000"
CONTROL = "device-of-the-control-group"
SOON = datetime(2100, 1, 1, tzinfo=UTC)


def hashed(ifa: str) -> bytes:
    return sha256(ifa.lower().encode()).digest()


def table(*rows: tuple[str, str, str, float]) -> pa.Table:
    columns = list(zip(*((hashed(ifa), *rest) for ifa, *rest in sorted(rows, key=lambda r: hashed(r[0]))), strict=True))
    return pa.table([pa.array(column) for column in columns], names=bids.SCHEMA.names).cast(bids.SCHEMA)


ROWS = table(
    (IFA, "u01", "recall_value", 1.25),
    (SHARED, "u02", "recall_value", 0.5),
    (SHARED, "u03", "recall_value", 0.5),
    (OTHER, "u04", "acquisition_value", 1.5),
    (OF_NOBODY, "u05", "recall_value", 1.0),
    (CONTROL, "u06", "recall_value_control", 0.0),
)


def decide(rows: pa.Table = ROWS, day: Any = MONDAY) -> None:
    run_id = records.start_run("daily", Days.one(day))
    publish({LTV: ltv(["u01"], day=day)}, day, run_id, decided=rows.to_reader())


@pytest.fixture
def service(database: Any) -> Iterator[Service]:  # noqa: ARG001 - what is published is published there
    publish_day()
    decide()
    postgres.transact(lambda c: c.execute("update serving.rta_bids set valid_until = '2100-01-01Z'"))
    token = keys.add("an exchange", ["rta"])
    with running() as service:
        service.token = token
        yield service


def openrtb(ifa: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "at": 2,
        "device": {"ifa": ifa, "ua": "x"} | more,
        "imp": [{"id": "1", "tagid": "top", "banner": {}}],
    }


def test_a_device_that_is_bid_for_gets_strategy_and_multiplier_in_either_form(service: Service):
    told = {"id": "r1", "bid": True, "multiplier": 1.25, "strategy": "recall_value"}

    assert service.ask("/v1/rta", openrtb(IFA)) == (200, told | {"imp": [{"impid": "1", "tagid": "top"}]})
    assert service.ask("/v1/rta", {"id": "r1", "ifa": f" {IFA.lower()} "}) == (200, told | {"imp": []})


@pytest.mark.parametrize(
    "body",
    [
        openrtb("never seen"),
        openrtb(None),
        openrtb(""),
        openrtb(OF_NOBODY),
        openrtb(IFA, lmt=1),
        openrtb(IFA, dnt=1),
        {"id": "r1", "imp": [{"id": "1"}]},
    ],
)
def test_of_what_is_unknown_or_wants_not_to_be_followed_there_is_no_bid(service: Service, body: dict[str, Any]):
    status, text, _ = service.raw("/v1/rta", json.dumps(body).encode())

    assert (status, text) == (204, b"")


def test_plainly_no_bid_says_so_by_the_name_of_the_default(service: Service):
    assert service.ask("/v1/rta", {"id": "r1", "ifa": "never seen"}) == (
        200,
        {"id": "r1", "bid": False, "multiplier": 0.0, "strategy": rta().default, "imp": []},
    )


def test_a_device_of_the_control_group_is_not_bid_for_and_is_told_by_name(service: Service):
    """Without it a log of requests could not say whom to compare with."""
    assert service.ask("/v1/rta", {"id": "r1", "ifa": CONTROL}) == (
        200,
        {"id": "r1", "bid": False, "multiplier": 0.0, "strategy": "recall_value_control", "imp": []},
    )
    status, text, headers = service.raw("/v1/rta", json.dumps(openrtb(CONTROL)).encode())
    assert (status, text, headers["Rekindle-Strategy"]) == (204, b"", "recall_value_control")


def test_what_has_run_out_is_not_bid_for(service: Service):
    postgres.transact(lambda c: c.execute("update serving.rta_bids set valid_until = clock_timestamp()"))
    service.holding.held = None
    service.renew()

    assert service.raw("/v1/rta", b'{"id": "r1", "ifa": "%s", "imp": [{"id": "1"}]}' % IFA.encode())[0] == 204


def test_before_anything_is_published_there_is_no_bid(database: Any):  # noqa: ARG001 - it is empty
    token = keys.add("an exchange", ["rta"])
    with running() as service:
        service.token = token
        assert service.raw("/v1/rta", b'{"id": "r1", "imp": [{"id": "1"}], "device": {"ifa": "a"}}')[0] == 204


@pytest.mark.parametrize("kind", ["consent", "erasure"])
def test_who_withdraws_takes_the_device_along_whoever_else_has_it(service: Service, kind: str):
    postgres.transact(
        lambda c: c.execute(
            "insert into rekindle.withdrawal (kind, user_id, at, source_id) values (%s, 'u03', clock_timestamp(), 'w')",
            [kind],
        )
    )
    service.renew()

    assert service.ask("/v1/rta", {"id": "r", "ifa": SHARED})[1]["bid"] is False
    assert service.ask("/v1/rta", {"id": "r", "ifa": IFA})[1]["bid"] is True


def test_who_is_erased_is_taken_out_of_what_is_published(service: Service):  # noqa: ARG001 - has published
    assert postgres.transact(lambda c: bids.forget(c, ["u02"])) == 1

    left = postgres.transact(bids.read).rows
    assert sorted(left["user_id"].to_pylist()) == ["u01", "u04", "u05", "u06"]
    assert postgres.transact(lambda c: bids.of_users(c, ["u02", "u03"])) == []


def test_a_publish_without_decisions_leaves_those_of_before(service: Service):  # noqa: ARG001 - has published
    publish_day()

    assert postgres.transact(bids.read).rows.num_rows == ROWS.num_rows


def test_a_key_needs_the_scope(service: Service):
    service.token = keys.add("scores alone", ["score"])
    service.renew()

    assert service.ask("/v1/rta", {"id": "r1"})[0] == 403


def test_no_advertising_id_and_no_hash_of_one_is_logged(service: Service, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        service.ask("/v1/rta", openrtb(IFA))
        service.raw("/v1/rta", b'{"id": 3, "device": {"ifa": ["%s"]}}' % IFA.encode())

    assert caplog.text
    for trace in (IFA, IFA.lower(), hashed(IFA).hex()):
        assert trace not in caplog.text


def test_a_refusal_names_no_advertising_id(service: Service):
    status, text, _ = service.raw("/v1/rta", b'{"id": 3, "device": {"ifa": ["%s"]}}' % IFA.encode())

    assert status == 422
    assert IFA.encode() not in text


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=200), st.integers(0, 10**6))
def test_exactly_the_held_are_found(numbers: set[int], asked: int):
    """Whatever bytes a hash ends with."""
    rows = table(*((f"d{n}", f"u{n}", "recall_value", 1.0) for n in numbers))
    held = Bids.of(bids.Published(MONDAY, SOON, rows))

    assert held.answer(f"d{asked}", SOON - timedelta(1)).is_bid == (asked in numbers)
    assert all(held.answer(f"d{n}", SOON - timedelta(1)).is_bid for n in numbers)


def test_a_hash_that_ends_with_zeros_is_told_from_a_shorter_one():
    rows = pa.table(
        [pa.array([b"\1" * 31 + b"\0"]), pa.array(["u"]), pa.array(["s"]), pa.array([1.0])], names=bids.SCHEMA.names
    ).cast(bids.SCHEMA)
    held = Bids.of(bids.Published(MONDAY, SOON, rows))

    assert held.hashes[0] == b"\1" * 31
    assert np.searchsorted(held.hashes, np.array(b"\1" * 31 + b"\0", held.hashes.dtype)) == 0


def test_a_device_takes_43_bytes():
    held = Bids.of(bids.Published(MONDAY, SOON, ROWS))

    assert held.size == 43 * ROWS.num_rows


def test_an_id_is_hashed_as_the_source_has_it():
    assert hash_of(f"  {IFA} ") == hashed(IFA)
