"""The whole workflow on real servers: Airflow's scheduler, Spark Connect, dbt, Great Expectations, MLflow and Postgres."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from rekindle.platform import spark_connect
from rekindle.platform.processes import free_port, listens
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import contracts, lineage
from tests.dags.test_dags import DAILY_TASKS
from tests.integration.commands import (
    airflow,
    airflow_records,
    lines_of,
    rekindle,
    seconds_of,
    select,
    task_states,
    wait_for_run,
)
from tests.integration.conftest import LAST, USERS
from tests.traps import trap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from tests.integration.conftest import Shop

HISTORY_END, FIRST_DAY, SECOND_DAY, BROKEN_DAY = (LAST - timedelta(n) for n in (3, 2, 1, 0))
SMS_TABLES = ("recall_scores", "ltv_scores", "recall_scores_history", "ltv_scores_history", "audience")
WITHOUT_A_MODEL = {"vip_30.score", "recommendation.recommend"}
"""Nobody is new at the end of the shop's history, and nobody trained what to recommend: the tasks are skipped, by name."""

PLANTED = Path(__file__).parent / "planted"


@pytest.fixture(scope="module")
def trained(shop: Shop, platform: Path) -> Iterator[Shop]:  # noqa: ARG001 - must run
    """A history that is built and trained on."""
    os.environ["REKINDLE_LANDING"] = str(shop.landing)
    settings.cache_clear()
    rekindle("backfill", "--from", min(shop.orders).isoformat(), "--to", HISTORY_END.isoformat())
    for product in ("recall", "ltv"):
        rekindle("train", product, "--day", HISTORY_END.isoformat())
    yield shop
    del os.environ["REKINDLE_LANDING"]
    settings.cache_clear()


@pytest.fixture(scope="module")
def first_day(trained: Shop) -> Shop:
    """The first of the two days, run from the command line."""
    rekindle("run", "--day", FIRST_DAY.isoformat())
    return trained


@dataclass(frozen=True)
class Service:
    """`rekindle serve`, as somebody with a key sees it."""

    port: int
    token: str

    def ask(self, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with urlopen(Request(url, None if body is None else json.dumps(body).encode(), headers), timeout=60) as answer:
            return json.load(answer)

    def has_read(self) -> bool:
        """Whether it has read a day; it listens before that."""
        with suppress(HTTPError):
            return bool(self.ask("/v1/models/recall"))
        return False


@pytest.fixture(scope="module")
def service(first_day: Shop) -> Iterator[Service]:  # noqa: ARG001 - must have been published
    """The service over the first day."""
    token = rekindle("keys", "add", "a test", "--scope", "score")["token"]
    port = free_port()
    command = [sys.executable, "-c", "from rekindle.cli import main; main()", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            service, until = Service(port, token), time.monotonic() + 60
            while not (listens(port) and service.has_read()) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield service
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def second_day(first_day: Shop, scheduler: str) -> Shop:  # noqa: ARG001 - must run
    """The second day, triggered in Airflow and run by its scheduler task by task."""
    conf = json.dumps({"day": SECOND_DAY.isoformat()})
    assert _scheduled("daily_scores", "by-hand", conf) == "success", task_states("by-hand")
    return first_day


def test_a_day_is_published_for_exactly_its_populations(first_day: Shop):
    lapsed = {
        f"u{user}"
        for user in range(USERS)
        if (last := _last_bought(first_day, f"u{user}", FIRST_DAY)) and 7 <= (FIRST_DAY - last).days <= 364
    }
    published = {row[0] for row in select("select user_id from sms.recall_scores where in_population")}

    assert published == lapsed
    assert select("select count(*) from sms.ltv_scores where in_population") == [(USERS,)]


@trap("a consent that is always granted")
@pytest.mark.usefixtures("first_day")
def test_nobody_is_eligible_before_permission_is_known():
    assert select("select distinct eligible from sms.audience") == [(False,)]
    assert {row[0] for row in select("select distinct suppression_reason from sms.audience")} <= {
        "no_consent",
        "not_in_population",
    }


@pytest.mark.usefixtures("first_day")
@pytest.mark.parametrize("product", ["recall", "ltv"])
def test_the_service_scores_every_user_as_the_day_did(service: Service, spark: SparkSession, product: str):
    rows = spark.table(f"lake.scores.{product}_daily").where(f"day = DATE'{FIRST_DAY}'").toArrow().to_pylist()
    scored = {row["user_id"]: row for row in rows}
    told = service.ask(f"/v1/scores/{product}", {"users": sorted(scored)})

    assert len(told["scores"]) == len(scored) > 20
    assert {row["model_version"] for row in rows} == {told["model"]["version"]}
    for answered in told["scores"]:
        ours = scored[answered["user_id"]]
        for name in set(answered) & set(ours) - {"user_id"}:
            same = pytest.approx(float(ours[name]), abs=1e-6) if _is_number(ours[name]) else ours[name]
            assert answered[name] == same, (name, answered["user_id"])
    assert {"raw_score", "percentile"} < set(told["scores"][0])
    user = max(scored)
    assert service.ask(f"/v1/scores/{product}/{user}")["score"]["percentile"] == scored[user]["percentile"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal)


@pytest.mark.slow
@pytest.mark.usefixtures("first_day")
@pytest.mark.parametrize("table", ["features.user_day", "features.user"])
def test_a_job_by_spark_submit_builds_the_same_day(platform: Path, spark: SparkSession, table: str):
    """On a driver of its own, without Spark Connect, as on any cluster manager; the lock keeps it apart from others."""

    def built() -> list[str]:
        return sorted(map(repr, spark.table(f"lake.{table}").where(f"day = DATE'{FIRST_DAY}'").collect()))

    before = built()
    command = spark_connect._submit(platform / "spark" / "place.conf")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_REMOTE", "SPARK_CONNECT"))}
    done = subprocess.run(
        [*command, PROJECT / "spark_jobs" / "submit.py", table, "--day", FIRST_DAY.isoformat()],
        env=env
        | {"SPARK_CONF_DIR": str(PROJECT / "conf"), "REKINDLE_SPARK_LOG": str(platform / "logs" / "submit.log")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert built() == before
    assert select("select status from rekindle.run where kind = 'submit' order by started_at desc limit 1") == [
        ("done",)
    ]


@pytest.mark.usefixtures("first_day")
def test_each_stage_of_a_day_has_a_task_record():
    states = task_states(_run_of(FIRST_DAY))

    assert {task for task, state in states.items() if state == "success"} == DAILY_TASKS - WITHOUT_A_MODEL
    assert {task for task, state in states.items() if state == "skipped"} == WITHOUT_A_MODEL
    assert set(states) == DAILY_TASKS


def test_each_task_leaves_one_line_of_what_it_did(first_day: Shop, platform: Path):
    """Airflow's page of a task shows it, as its log does; counted here from what was delivered and published."""
    run_id = _run_of(FIRST_DAY)
    said = lines_of(run_id)
    orders, (lapsed,), ours = (
        len(first_day.orders[FIRST_DAY]),
        *select("select count(*) from sms.recall_scores_history where day = %s", FIRST_DAY),
        select("select run_id from rekindle.run where dag_run_id = %s", run_id)[0][0],
    )

    # What comes after another task however it ended is called done by Airflow, and says nothing.
    assert set(said) == {task for task in DAILY_TASKS - WITHOUT_A_MODEL if not task.endswith(".tried")}
    expected = {
        "begin": f"The daily run of {FIRST_DAY} has begun; its id in our tables is {ours}.",
        "wait_for_deliveries": f"All that is expected for {FIRST_DAY} has been delivered: users, orders.",
        "ingest.orders": (
            f"orders of {FIRST_DAY}: {orders} rows delivered, {orders} loaded, 0 duplicates, 0 quarantined."
        ),
        "ingest.events": f"events of {FIRST_DAY}: no delivery.",
        "features.user": f"features.user of {FIRST_DAY}: {USERS} rows, released.",
        "recall.score": (
            f"scores.recall_daily of {FIRST_DAY}: {lapsed} rows scored by rekindle_recall version 1, released."
        ),
        "report": f"The page about {FIRST_DAY} is {platform / 'reports' / f'{FIRST_DAY}.html'}.",
    }
    assert {task: said[task] for task in expected} == expected
    assert re.fullmatch(rf"marts\..+ of {FIRST_DAY}: \d+ tests passed, released\.", said["marts.training"])
    assert f"sms.ltv_scores {USERS} rows, " in said["publish"]
    (log,) = (platform / "logs").glob(f"daily_scores-{FIRST_DAY}-*.log")
    assert said["features.user"] in log.read_text()


def test_who_is_scheduled_on_a_published_table_hears_of_each_that_was_renewed(first_day: Shop):  # noqa: ARG001 - must run
    run_id = _run_of(FIRST_DAY)
    events = """
        select a.uri, e.extra from asset_event as e join asset as a on a.id = e.asset_id
        where e.source_run_id = %s and e.source_task_id = 'publish'
    """
    ((ours,),) = select("select run_id from rekindle.run where dag_run_id = %s", run_id)
    rows = dict(select("select table_name, row_count from sms.freshness"))

    assert dict(airflow_records(events, run_id)) == {
        f"rekindle://sms/{table}": {"day": str(FIRST_DAY), "rows": rows[table], "run_id": ours}
        for table in ("recall_scores", "ltv_scores", "return_values", "audience")
    }


@pytest.mark.usefixtures("first_day", "scheduler")
def test_an_hour_goes_through_the_scheduler():
    """The DAG of few tasks, and without Spark: of the day's each is a process of its own, too, which takes minutes."""
    assert _scheduled("permissions", "this-hour") == "success", task_states("this-hour")

    assert task_states("this-hour") == dict.fromkeys(("begin", "take_away", "end"), "success")
    assert select("select status from rekindle.run where dag_run_id = 'this-hour'") == [("done",)]


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_the_next_day_goes_through_the_scheduler(record_property: Callable[[str, object], None]):
    one_process, scheduler = seconds_of(_run_of(FIRST_DAY)), seconds_of("by-hand")
    record_property(
        "figure", f"A day of the small shop took {one_process:.0f} s in one process, {scheduler:.0f} s scheduled."
    )
    assert {task for task, state in task_states("by-hand").items() if state != "success"} == WITHOUT_A_MODEL
    assert select("select distinct day from sms.recall_scores_history order by day") == [(FIRST_DAY,), (SECOND_DAY,)]
    assert select("select distinct day from sms.recall_scores where in_population") == [(SECOND_DAY,)]
    assert select("select status from rekindle.run where dag_run_id = 'by-hand'") == [("done",)]
    assert (settings().home / "reports" / f"{SECOND_DAY}.html").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_day_run_by_hand_brings_no_run_of_the_present_with_it():
    """The DAG had to be unpaused for it; what the scheduler makes by itself begins with the next time to come."""
    # Who runs the tests just then finds one that was due within the hour.
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    made = airflow_records("select run_after from dag_run where run_type = 'scheduled'")
    assert [after for (after,) in made if after < an_hour_ago] == []
    ((due,),) = airflow_records("select next_dagrun_create_after from dag where dag_id = 'daily_scores'")
    assert due > datetime.now(UTC)


@pytest.mark.usefixtures("first_day")
def test_reasons_and_baseline_add_up_to_what_ranks(spark: SparkSession):
    total = "aggregate(reasons, 0D, (sum, r) -> sum + r.contribution) + baseline + other_contribution"
    for table in ("scores.recall_daily", "scores.ltv_daily"):
        rows = spark.table(table)
        assert rows.count() > 0
        assert rows.where(f"abs({total} - raw_score) > 1e-6").count() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_day_run_again_is_the_same_in_every_table(spark: SparkSession):
    """Identical but for run ids: no `updated_at` moves, and no row of any table is another."""
    warehouse, published = _warehouse(spark), _published()

    assert rekindle("run", "--day", SECOND_DAY.isoformat(), "--force")["status"] == "done"

    assert _warehouse(spark) == warehouse
    assert _published() == published


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_day_of_which_nothing_has_changed_is_left_as_it_is(
    spark: SparkSession, record_property: Callable[[str, object], None]
):
    """The first task says so, and the rest is skipped: not a snapshot is made, and the day's page stays that of the run."""
    rekindle("run", "--day", SECOND_DAY.isoformat())
    page = settings().home / "reports" / f"{SECOND_DAY}.html"
    before = _refs(spark), _published(), page.read_text()

    begun = time.monotonic()
    told = rekindle("run", "--day", SECOND_DAY.isoformat())
    record_property("figure", f"A day of the small shop with nothing new took {time.monotonic() - begun:.0f} s.")

    assert (told["status"], told["stages"]) == ("unchanged", [])
    states = task_states(select("select dag_run_id from rekindle.run where run_id = %s", told["run_id"])[0][0])
    assert states == {"begin": "success"} | dict.fromkeys(DAILY_TASKS - {"begin"}, "skipped")
    assert (_refs(spark), _published(), page.read_text()) == before


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_shadow_of_a_published_day_finds_no_difference_and_leaves_no_trace(spark: SparkSession):
    """Not a snapshot, a branch, a build, a row of any of our tables in Postgres, an event of an asset."""
    before = _refs(spark), _records(), airflow_records("select count(*) from asset_event")

    told = rekindle("run", "--day", SECOND_DAY.isoformat(), "--shadow")

    assert (_refs(spark), _records(), airflow_records("select count(*) from asset_event")) == before
    assert (told["is_fit"], told["failed"], told["not_built"]) == (True, {}, {})
    rows = {one["table"]: (one["rows_now"], one["rows_then"]) for one in told["tables"]}
    assert set(rows) >= {"features.user", "marts.recall_population", "marts.permission", "scores.recall_daily"}
    assert all(now == then for now, then in rows.values())
    published = {one["table"]: one for one in told["published"]}
    assert {"sms.recall_scores", "sms.ltv_scores", "sms.audience"} <= set(published)
    assert {(one["appear"], one["disappear"]) for one in published.values()} == {(0, 0)}
    recall = published["sms.recall_scores"]
    assert (recall["compared_with"], recall["rows_now"] > 0, recall["changed"]) == (str(SECOND_DAY), True, 0)
    assert recall["figures"][0]["largest_difference"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_shadow_tells_what_a_change_would_do_to_what_is_published(spark: SparkSession):
    """Half the chance of everybody: by how much is told, and that the order stays."""
    before = _refs(spark), _records()

    told = _shadow_of("half the chance", code=0)

    assert (_refs(spark), _records()) == before
    recall = next(one for one in told["published"] if one["table"] == "sms.recall_scores")
    (figure,) = recall["figures"]
    assert (recall["appear"], recall["disappear"], recall["rows_then"]) == (0, 0, recall["rows_now"])
    assert 0 < figure["changed"] <= figure["users"] == recall["rows_now"]
    assert 0 < figure["mean_difference"] <= figure["largest_difference"] <= 0.5
    assert figure["rank_correlation"] > 0.99


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_shadow_is_stopped_where_a_run_would_be(spark: SparkSession):
    """Half the features: a person may accept that rows move, but dbt reads them in the shadow, and misses the other half."""
    before = _refs(spark), _records()

    told = _shadow_of("half the rows", code=1)

    assert (_refs(spark), _records()) == before
    now, then = next((one["rows_now"], one["rows_then"]) for one in told["tables"] if one["table"] == "features.user")
    assert 0.3 * now < then < 0.7 * now
    assert ("features.user", True) in {(one["table"], one["can_be_accepted"]) for one in told["checks"]}
    assert "users_have_features" in told["failed"]["marts training"]
    assert told["published"] == []
    assert "score publish" in told["not_built"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "table", "rule"),
    [
        ("half the rows", "features.user", "rows change by at most 0.4 of the week's median"),
        ("null in a key", "features.user", "user_id is not null"),
        ("probability of 1.2", "scores.recall_daily", "return_probability is between 0 and 1"),
    ],
)
@pytest.mark.usefixtures("first_day")
def test_a_planted_batch_stops_the_day_and_yesterday_stays(batch: str, table: str, rule: str):
    """A named check, exit code 1, nothing after it runs, and the published table is yesterday's."""
    before = _published()
    planted = {"PYTHONPATH": str(PLANTED), "PLANTED_BATCH": batch}

    answer = rekindle("run", "--day", BROKEN_DAY.isoformat(), code=1, env=planted)

    assert answer["error"]["code"] == "check_failed"
    assert f"{table} of {BROKEN_DAY} broke its contract" in answer["error"]["what"]
    assert rule in answer["error"]["what"]
    assert _published() == before
    ((run_id, status),) = select("select run_id, status from rekindle.run order by started_at desc limit 1")
    assert status == "failed"
    assert select("select count(*) from rekindle.stage where stage = 'publish' and run_id = %s", run_id) == [(0,)]


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_a_delivery_that_comes_again_is_repaired_into_history_only(first_day: Shop, spark: SparkSession):
    """What it changes is named, rebuilt in order, and is then what it would have been; published rows stay."""
    published = _published()[:2]
    # LTV of the broken day may be among them: it does not wait for recall, which was stopped.
    scores = spark.table("scores.recall_daily").select("day").union(spark.table("scores.ltv_daily").select("day"))
    scored = sorted(str(row["day"]) for row in scores.distinct().collect())
    day = FIRST_DAY - timedelta(1)
    more = first_day.orders[day] + [dict(first_day.orders[day][0], order_id="told later", amount="1000.00")]
    first_day.deliver("orders", day, more)

    told = rekindle("backfill", "--stale")

    assert told["built"]["raw.orders"] == 1
    assert set(told["built"]) >= {"features.user_day", "features.user"}
    assert told["scored"] == scored
    assert set(scored) >= {str(FIRST_DAY), str(SECOND_DAY)}
    assert rekindle("backfill", "--stale")["built"] == {}
    assert _published()[:2] == published
    (row,) = spark.table("features.user_day").where(f"activity_on = DATE'{day}' AND sale_amount >= 1000").collect()
    assert row["user_id"] == more[-1]["user_id"]


@pytest.mark.slow
@pytest.mark.usefixtures("second_day")
def test_airflow_backfills_days_into_history_only():
    published = _published()[:2]
    airflow("dags", "unpause", "daily_scores")
    # Both dates are midnights, and the day's run is dated at three: the range ends at the midnight after it.
    airflow(
        *("backfill", "create", "--dag-id", "daily_scores", "--reprocess-behavior", "completed"),
        *("--from-date", FIRST_DAY.isoformat(), "--to-date", SECOND_DAY.isoformat()),
        *("--dag-run-conf", json.dumps({"kind": "backfill"})),
    )
    ((run_id,),) = airflow_records("select run_id from dag_run where run_type = 'backfill'")

    state = wait_for_run(run_id)

    airflow("dags", "pause", "daily_scores")
    assert state == "success", task_states(run_id)
    assert _published()[:2] == published
    # Of both days the first is scored by tables as they stand: nothing that they are made of has come since.
    kept = (
        "select distinct s.day from rekindle.stage as s join rekindle.run as r using (run_id) where r.kind = 'backfill'"
    )
    assert (FIRST_DAY,) in select(f"{kept} and s.stage = 'features.user' and s.detail ? 'kept'")


def _scheduled(dag_id: str, run_id: str, conf: str = "{}") -> str:
    """Let the scheduler run a DAG once, and return how that ended."""
    airflow("dags", "unpause", dag_id)
    airflow("dags", "trigger", dag_id, "--run-id", run_id, "--conf", conf)
    state = wait_for_run(run_id)
    airflow("dags", "pause", dag_id)
    return state


def _run_of(day: date) -> str:
    """Airflow's id of the first daily run of a day."""
    runs = "select dag_run_id from rekindle.run where kind = 'daily' and first_day = %s order by started_at limit 1"
    return select(runs, day)[0][0]


def _last_bought(shop: Shop, user: str, day: date) -> date | None:
    bought = [on for on, rows in shop.orders.items() if on <= day and any(row["user_id"] == user for row in rows)]
    return max(bought, default=None)


def _published() -> list[list[tuple[Any, ...]]]:
    """Every row of every table that tools read."""
    return [select(f"select * from sms.{table} order by 1, 2, 3") for table in SMS_TABLES]


def _shadow_of(batch: str, code: int) -> dict[str, Any]:
    planted = {"PYTHONPATH": str(PLANTED), "PLANTED_BATCH": batch}
    return rekindle("run", "--day", SECOND_DAY.isoformat(), "--shadow", code=code, env=planted)


def _refs(spark: SparkSession) -> dict[str, set[tuple[Any, ...]]]:
    """The snapshot of each branch and tag of each table."""
    tables = (*contracts.tables(), *lineage.graph().marts())
    return {table: {tuple(row) for row in spark.table(f"lake.{table}.refs").collect()} for table in tables}


def _records() -> dict[str, tuple[Any, ...]]:
    """How many rows each of our tables in Postgres has, and a hash of them."""
    tables = select(
        "select schemaname || '.' || tablename from pg_tables where schemaname in ('sms', 'rekindle', 'serving') order by 1"
    )
    counted = "select count(*), md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from {} as t"
    return {table: select(counted.format(table))[0] for (table,) in tables}


def _warehouse(spark: SparkSession) -> dict[str, list[tuple[Any, ...]]]:
    """How many rows each table has a day, and the sum of their hashes, run ids left out."""
    found = {}
    for table in (*contracts.tables(), *lineage.graph().marts()):
        rows = spark.table(table)
        columns = ", ".join(f"`{name}`" for name in rows.columns if name != "run_id")
        hashed = rows.selectExpr("day", f"CAST(xxhash64(to_json(struct({columns}))) AS decimal(38)) AS hash")
        summed = hashed.groupBy("day").agg({"hash": "sum", "*": "count"}).orderBy("day")
        found[table] = [tuple(row) for row in summed.collect()]
    return found
