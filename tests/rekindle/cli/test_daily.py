"""What the commands about days say of days that cannot be processed: exit code 2, and nothing is written."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml.products import product_named
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.bad_inputs import bad_input
from tests.command_line import rekindle
from tests.rekindle.publishing.test_publishing import recall as recall_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = date(2023, 5, 4)


@pytest.fixture
def landing(platform: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: ARG001 - must run
    """A landing zone with complete deliveries of users and events for the day, and an incomplete one of orders."""
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path))
    settings.cache_clear()
    for source in ("users", "events", "orders"):
        (tmp_path / source / f"day={DAY}").mkdir(parents=True)
    for source in ("users", "events"):
        (tmp_path / source / f"day={DAY}" / "_SUCCESS").touch()
    yield tmp_path
    settings.cache_clear()


@bad_input("`--day 2026-13-01`", gets="E")
def test_a_day_that_is_no_day_is_refused_with_the_form_that_is_expected():
    answer = rekindle("run", "--day", "2026-13-01")

    assert answer.returncode == 2
    assert "YYYY-MM-DD" in answer.stderr


@bad_input("a day in the future", gets="E")
def test_a_day_in_the_future_is_refused(landing):  # noqa: ARG001 - the landing zone must be there
    answer = rekindle("run", "--day", str(postgres.today() + timedelta(1)))

    assert answer.returncode == 2
    assert "day_in_the_future" in answer.stderr


@bad_input("a day in the future", gets="E")
@pytest.mark.parametrize("command", [("train", "recall"), ("check", "features.user")])
def test_no_command_about_a_day_takes_one_in_the_future(landing, command):  # noqa: ARG001 - the landing zone must be there
    answer = rekindle(*command, "--day", str(postgres.today() + timedelta(1)))

    assert answer.returncode == 2
    assert "day_in_the_future" in answer.stderr


def test_today_is_refused_because_it_is_not_over(landing):  # noqa: ARG001 - the landing zone must be there
    assert rekindle("run", "--day", str(postgres.today())).returncode == 2


@bad_input("`--to` before `--from`", gets="E")
def test_a_range_that_ends_before_it_begins_is_refused():
    answer = rekindle("backfill", "--from", "2023-05-04", "--to", "2023-05-03")

    assert answer.returncode == 2
    assert "Swap the two" in answer.stderr


@bad_input("no `_SUCCESS`", gets="E")
def test_a_day_without_delivery_names_the_path_that_was_looked_at(landing):
    (landing / "users" / f"day={DAY}" / "_SUCCESS").unlink()

    answer = rekindle("run", "--day", str(DAY))

    assert answer.returncode == 2
    assert "no_delivery" in answer.stderr
    assert f"{landing}/users/day={DAY}/_SUCCESS" in answer.stderr


@bad_input("no landing folder for the day", gets="E")
def test_a_history_of_which_nothing_was_delivered_is_refused(landing):
    """A wrong landing zone or year must not be a year without news."""
    answer = rekindle("backfill", "--from", "2022-01-01", "--to", "2022-01-31")

    assert answer.returncode == 2
    assert "no_delivery" in answer.stderr
    assert f"{landing}/users/day=2022-01-31/_SUCCESS" in answer.stderr


@pytest.mark.parametrize("command", [("run", "--day", str(DAY)), ("backfill", "--from", str(DAY), "--to", str(DAY))])
def test_a_source_that_cannot_be_used_is_refused_before_another_is_loaded(landing, command):
    delivery = landing / "orders" / f"day={DAY}"
    (delivery / "rows.csv").write_text("order_id,userId\no,ada\n")
    (delivery / "_SUCCESS").touch()

    answer = rekindle(*command)

    assert answer.returncode == 2
    assert "rows.csv has no column 'user_id'" in answer.stderr
    assert "Nothing was written." in answer.stderr


def test_a_page_is_not_replaced_by_that_of_a_run_that_scored_nothing(landing):  # noqa: ARG001 - the landing zone must be there
    records.finish_run(records.start_run("check", Days.one(DAY)), "done")

    answer = rekindle("report", "--day", str(DAY))

    assert answer.returncode == 2
    assert f"No run is recorded for {DAY}" in answer.stderr


def test_a_page_is_written_again_and_told_with_the_index(landing):  # noqa: ARG001 - the landing zone must be there
    day = DAY - timedelta(300)
    records.finish_run(records.start_run("daily", Days.one(day)), "failed", "wait_for_deliveries: no_delivery")

    told = json.loads(rekindle("report", "--day", str(day), "--json").stdout)

    assert f'href="{day}.html"' in Path(told["index"]).read_text(encoding="utf-8")
    assert "wait_for_deliveries: no_delivery" in Path(told["report"]).read_text(encoding="utf-8")


def test_a_source_that_has_delivered_before_is_waited_for(landing):
    """Orders came on the day before, so they are expected on this one."""
    before = landing / "orders" / f"day={DAY - timedelta(1)}"
    before.mkdir()
    (before / "_SUCCESS").touch()

    answer = rekindle("run", "--day", str(DAY))

    assert answer.returncode == 2
    assert f"orders/day={DAY}/_SUCCESS" in answer.stderr


@pytest.mark.usefixtures("landing")
def test_a_monitor_hears_that_yesterday_is_not_published():
    answer = rekindle("status", "--fresh", "--json")

    assert answer.returncode == 1
    told = json.loads(answer.stdout)
    assert told["is_fresh"] is False
    assert all(day < told["due"] for day in told["outdated"].values())


@pytest.mark.usefixtures("landing")
def test_a_product_without_its_sources_is_not_trained():
    answer = rekindle("train", "ltv", "--day", str(DAY))

    assert answer.returncode == 2
    assert "never_delivered" in answer.stderr
    assert "nothing was ever delivered of orders" in answer.stderr


@bad_input("two runs of one day at once", gets="E")
def test_two_runs_of_a_day_at_once_are_refused(landing):  # noqa: ARG001 - the landing zone must be there
    with postgres.run_lock(DAY):
        answer = rekindle("run", "--day", str(DAY))

    assert answer.returncode == 2
    assert "already_running" in answer.stderr


@pytest.fixture
def built() -> Iterator[Callable[[str], None]]:
    """Record that the day of a table was built; nothing is in it."""
    tables = []

    def build(table: str) -> None:
        tables.append(table)
        records.record_builds([records.Build(table, DAY, "built", "a run", None)])

    yield build
    for table in tables:
        postgres.transact(
            lambda c, table=table: c.execute(
                "delete from rekindle.build where table_name = %s and day = %s", [table, DAY]
            )
        )


@pytest.mark.parametrize(
    ("table", "is_built", "why"),
    [("features.user_day", False, "it was never built"), ("features.user", True, "it was built empty")],
)
@pytest.mark.usefixtures("landing")
def test_a_day_of_which_there_are_no_rows_passes_no_check(built, table, is_built, why):
    """Every rule about rows passes where there are none."""
    if is_built:
        built(table)

    answer = rekindle("check", table, "--day", str(DAY))

    assert answer.returncode == 1
    assert f"no_rows: {table} has no rows of {DAY}: {why}" in answer.stderr


@pytest.mark.usefixtures("landing")
def test_a_table_of_news_may_have_a_day_without_any(built):
    built("features.user_day")

    answer = rekindle("check", "features.user_day", "--day", str(DAY))

    assert answer.returncode == 0, answer.stderr
    assert "no rows: the day was built" in answer.stdout


@pytest.mark.usefixtures("landing", "mlflow_ready")
def test_who_has_no_score_is_unknown_or_not_in_the_population_or_nothing_was_published(spark):
    """Three things that a person would do different things about."""
    ask = ("scores", "recall", "--day", str(DAY), "--user")
    assert "not_published: " in rekindle(*ask, "ada").stderr

    run_id = records.start_run("test", Days.one(DAY))
    publish({product_named("recall"): recall_scores(["=ada"], day=DAY)}, DAY, run_id)
    spark.sql(f"INSERT INTO features.user (day, user_id) VALUES (DATE'{DAY}', 'bob')")
    try:
        unknown, not_in, scored = rekindle(*ask, "eve"), rekindle(*ask, "bob"), rekindle(*ask, "=ada", "--csv")
    finally:
        spark.sql(f"DELETE FROM features.user WHERE day = DATE'{DAY}'")
        postgres.transact(lambda c: c.execute("truncate sms.recall_scores, sms.recall_scores_history, sms.audience"))
    assert (unknown.returncode, not_in.returncode) == (2, 2)
    assert "unknown_user: " in unknown.stderr
    assert "not_in_population: " in not_in.stderr
    assert not any(name in unknown.stderr + not_in.stderr for name in ("eve", "bob")), "an id is personal data"
    header, row = scored.stdout.splitlines()
    assert (header.split(",")[0], row.split(",")[0]) == ("user_id", "'=ada")


def test_no_model_is_listed_where_none_was_trained(landing, mlflow_ready):  # noqa: ARG001 - must be there
    answer = rekindle("models", "--json")

    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told
    assert all(overview == {"champion": None, "waiting": None, "versions": []} for overview in told.values())


def test_an_unknown_product_is_refused_with_the_ones_there_are(landing):  # noqa: ARG001 - the landing zone must be there
    answer = rekindle("scores", "churn", "--day", str(DAY))

    assert answer.returncode == 2
    assert "Choose one of: ltv, recall, return_value, vip_30." in answer.stderr
