"""Who may be texted, by the jobs and the marts on Spark, against the plain reading of the contract: row by row, code by code."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml

from rekindle import records
from rekindle.days import Days
from rekindle.settings import PROJECT
from rekindle.warehouse import marts, migrate
from spark_jobs.permission import numbers, opt_outs
from tests.reference import permission_worlds as worlds
from tests.reference.permission import Rules, World, code_by_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spark_jobs.conftest import Warehouse

FEW, ALL = (150, 20), (10_000, 1_000)
"""Users of all kinds, and users whose phones have all opted out."""
BUILT = ("permission.numbers", "permission.opt_outs", "marts.permission", "marts.recent_assignments", "marts.profile")


def rules() -> Rules:
    words = yaml.safe_load((PROJECT / "conf" / "messaging.yml").read_text("utf-8"))["harmless_words"]
    return Rules(harmless=frozenset(words))


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(scope="module")
def world(size: tuple[int, int]) -> World:
    return worlds.merged(worlds.world(size[0], seed=11), worlds.opted_out_world(size[1]))


@pytest.fixture(scope="module")
def found(warehouse: Warehouse, world: World) -> Iterator[dict[str, str | None]]:
    """What marts.permission says of each user on the day."""
    shutil.rmtree(warehouse.landing)
    days = Days(worlds.write_landing(world, warehouse.landing))
    migrate.create_marts(warehouse.spark)
    ingested = warehouse.ingest(days)
    for job in (numbers, opt_outs):
        job.main(warehouse.spark, days, records.start_run("test", days))
    day = Days.one(worlds.DAY)
    marts.build(warehouse.spark, "permission", day, records.start_run("test", day), [])
    assert ingested
    yield {row["user_id"]: row["code"] for row in warehouse.rows("marts.permission", f"day = date'{worlds.DAY}'")}
    for table in BUILT:
        warehouse.spark.sql(f"DELETE FROM {table}")


def test_every_user_has_the_code_that_the_plain_reading_says(found: dict[str, str | None], world: World):
    """Whoever has no row has no consent on record."""
    expected = {user: code for user, code in code_by_user(world, worlds.DAY, rules()).items() if code != "no_consent"}
    differing = {
        user: (code, found.get(user, "no row")) for user, code in expected.items() if found.get(user, "no row") != code
    }

    assert not Counter(differing.values()), [(user, differing[user]) for user in list(differing)[:5]]
    assert found.keys() == expected.keys()
    assert len({*found.values()}) > 8


def test_no_phone_that_opted_out_may_be_texted(found: dict[str, str | None], size: tuple[int, int]):
    of_opted_out = [code for user, code in found.items() if user.startswith(worlds.OPTED_OUT)]

    assert of_opted_out == ["consent_withdrawn"] * size[1]
