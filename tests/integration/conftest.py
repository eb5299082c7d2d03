"""
A small shop of made-up customers, whose landing zone drives the whole workflow, on a platform of its own.

What a workflow leaves in tables and registry is no other test's business, and it begins as people do: with `rekindle up`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest

from rekindle import platform as local_platform
from rekindle.platform import airflow
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import settings
from tests.homes import HOMES
from tests.integration.commands import rekindle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

FIRST, LAST = date(2022, 11, 28), date(2023, 9, 30)
"""The deliveries. The last days are run one by one: by the command line, by the scheduler, and with a planted batch."""
USERS = 240


def draw(*what: object) -> float:
    """A number in [0, 1) that depends on nothing but `what`: the same world on every machine."""
    digest = hashlib.sha256("|".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class Shop:
    """Where the deliveries are, and what was put there, for counting by hand."""

    landing: Path
    orders: dict[date, list[dict[str, str]]]
    users: dict[date, list[dict[str, str]]]

    def deliver(self, source: str, day: date, rows: list[dict[str, str]]) -> None:
        """Write a delivery as jsonl, complete; one without rows is an empty folder with _SUCCESS."""
        folder = self.landing / source / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        if rows:
            (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "_SUCCESS").touch()


def orders_of(day: date) -> list[dict[str, str]]:
    """Who buys on a day: each user has a rhythm of their own, slower with time for a third of them."""
    rows = []
    for user in range(USERS):
        fades = user % 3 == 0
        age = (day - FIRST).days
        chance = 0.02 + 0.25 * draw("rhythm", user) ** 2
        chance *= max(0.1, 1 - age / 200) if fades else 1.0
        if day >= registered(user) and draw("buys", user, day) < chance:
            at = datetime.combine(day, time(8), UTC) + timedelta(seconds=int(draw("at", user, day) * 36_000))
            amount = 5 + 60 * draw("rhythm", user) * draw("amount", user, day)
            rows.append(
                {
                    "order_id": f"o-{user}-{day}",
                    "line_id": "0",
                    "user_id": f"u{user}",
                    "occurred_at": at.isoformat(),
                    "kind": "sale",
                    "amount": f"{amount:.2f}",
                    "currency": settings().currency,
                    "item_id": f"i{int(draw('item', user, day) * 20)}",
                }
            )
    return rows


def registered(user: int) -> date:
    """Most are there from the beginning; the others come in the first weeks."""
    return FIRST + timedelta(days=int(40 * draw("registered", user)) if user % 4 == 0 else 0)


@pytest.fixture(scope="module")
def platform(server: None) -> Iterator[Path]:  # noqa: ARG001 - says that it is one
    """Return the home of a platform that nobody has used; commands and this process are attached to it."""
    home, before = HOMES.new(), dict(os.environ)
    try:
        os.environ["REKINDLE_HOME"] = str(home)
        rekindle("up")
        os.environ |= local_platform.environment(home)
        settings.cache_clear()
        yield home
    finally:
        os.environ.clear()
        os.environ |= before
        settings.cache_clear()
        local_platform.delete(home)


@pytest.fixture(scope="module")
def spark(platform: Path) -> Iterator[SparkSession]:  # noqa: ARG001 - must run, and must outlive the session
    """A session on that platform's Spark, for looking at tables."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(os.environ["SPARK_REMOTE"]).create()
    yield spark
    spark.stop()


@pytest.fixture(scope="module")
def scheduler(platform: Path) -> Iterator[str]:
    """
    A running Airflow: API server, scheduler, DAG processor, triggerer; the address of its pages.

    What it starts inherits the landing zone: ask for it after what sets one.
    """
    home = Home(platform)
    port = airflow.start(home, os.environ, credentials(home))
    yield f"http://localhost:{port}"
    airflow.stop(home)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Ten months of deliveries of users and orders."""
    made = Shop(tmp_path_factory.mktemp("shop") / "landing", {}, {})
    for offset in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(offset)
        made.orders[day] = orders_of(day)
        made.users[day] = [
            {
                "user_id": f"u{user}",
                "registered_at": datetime.combine(day, time(1), UTC).isoformat(),
                "country": ("GB", "US", "KR")[user % 3],
            }
            for user in range(USERS)
            if registered(user) == day
        ]
        made.deliver("orders", day, made.orders[day])
        made.deliver("users", day, made.users[day])
    return made
