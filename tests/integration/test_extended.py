"""Made-up additions of each kind go through the whole workflow of a copy of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from rekindle import platform as local_platform
from tests.homes import HOMES
from tests.integration.conftest import FIRST, LAST, USERS, registered
from tests.integration.made_up import copy_of_the_checkout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Shop

pytestmark = pytest.mark.slow

DAY = LAST
HISTORY_END = DAY - timedelta(1)


@pytest.fixture(scope="module")
def extended(
    server: None,  # noqa: ARG001 - says that it is one
    shop: Shop,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Run a day of the shop, whose users answer a survey, in the copy; returns what asks the database that tools read."""
    copy, home = copy_of_the_checkout(tmp_path_factory.mktemp("checkout")), HOMES.new()
    for offset in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(offset)
        rows = [
            {"user_id": f"u{n}", "question": "why", "answer": f"because of {n}"}
            for n in range(USERS)
            if registered(n) == day
        ]
        shop.deliver("surveys", day, rows)
    try:
        rekindle(copy, home, shop, "up")
        rekindle(copy, home, shop, "backfill", "--from", FIRST.isoformat(), "--to", HISTORY_END.isoformat())
        for product in ("recall", "ltv", "purchase"):
            rekindle(copy, home, shop, "train", product, "--day", HISTORY_END.isoformat())
        rekindle(copy, home, shop, "run", "--day", DAY.isoformat())
        url = local_platform.environment(home)["REKINDLE_DATABASE_URL"]

        def select(query: str) -> list[tuple[Any, ...]]:
            with psycopg.connect(url) as connection:
                return connection.execute(query).fetchall()

        yield select
    finally:
        local_platform.delete(home)


def rekindle(copy: Path, home: Path, shop: Shop, *arguments: str) -> dict[str, Any]:
    """Run a command of the copy, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", "from rekindle.cli import main; main()", *arguments, "--json"],
        cwd=copy,
        env={
            **os.environ, "PYTHONPATH": str(copy), "REKINDLE_HOME": str(home), "REKINDLE_LANDING": str(shop.landing)
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout)


def test_a_made_up_product_is_published_for_each_member_of_its_population(extended):
    ((users, lowest, highest),) = extended(
        "select count(*), min(purchase_probability), max(purchase_probability) from sms.purchase_scores where in_population"
    )

    assert users == USERS
    assert 0 < lowest < highest < 1
    assert extended("select count(*) from sms.purchase_scores_history") == [(USERS,)]
    assert extended("select count(*) > 0 from sms.recall_scores where in_population") == [(True,)]


def test_a_made_up_source_is_loaded_under_the_law(extended):
    stages = dict(extended("select stage, row_count from rekindle.stage where stage like 'ingest %'"))

    assert "ingest surveys" in stages
    ((built,),) = extended("select count(*) from rekindle.build where table_name = 'raw.surveys'")
    assert built == (LAST - FIRST).days + 1


def test_a_made_up_table_of_features_is_built_for_the_scored_day_and_read_by_the_score(extended):
    read = extended("select input from rekindle.build_input where table_name = 'scores.purchase_daily' order by input")

    assert read == [("features.user",), ("features.user_basket",), ("marts.ltv_population",)]
    assert extended(
        f"select count(*) from rekindle.build where table_name = 'features.user_basket' and day = '{DAY}'"
    ) == [(1,)]


def test_a_made_up_column_is_published(extended):
    ((scored, told),) = extended("select count(*), count(raw_score) from sms.recall_scores where in_population")

    assert told == scored > 0


def test_a_made_up_column_of_a_mart_is_filled(extended):
    """Each of the mart's tests has passed on it, and what is published was scored from the mart's members."""
    ((marts,),) = extended("select count(*) from rekindle.build where table_name = 'marts.recall_population'")

    assert marts > 1


def test_a_made_up_dag_keeps_the_rules_of_the_house(tmp_path):
    copy = copy_of_the_checkout(tmp_path, tests=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/dags",
        "-k",
        "weekly_totals or are_there",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:]
