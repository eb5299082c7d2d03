"""The stack as its users meet it: two days and a backfill, who may what, what is told, a backup in a second stack."""

import base64
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest

from stack.airflow import FORBIDDEN, UNAUTHORIZED, Airflow, AirflowError
from stack.backup import backup, restore
from stack.compose import Stack
from tests import command_line
from tests.docker.test_compose import COMPOSE
from tests.stack.conftest import docker, timed

HISTORY, DAYS = ("2024-01-01", "2024-04-29"), ("2024-04-30", "2024-05-01")
USERS = 600
BROKEN_INTO, ON_A_CLUSTER = "2024-05-02", "2024-05-03"
ALL_DAYS = (*DAYS, BROKEN_INTO, ON_A_CLUSTER)
LANDED = 124
"""Days that are delivered, to the last that is scored."""

DEFAULT_PASSWORDS = [
    "admin",
    "password",
    "123456",
    "12345678",
    "qwerty",
    "letmein",
    "changeme",
    "welcome",
    "root",
    "toor",
    "airflow",
    "mlflow",
    "rekindle",
    "postgres",
    "secret",
    "default",
    "guest",
    "test",
    "user",
    "operator",
    "viewer",
    "public",
    "admin123",
    "password1",
    "password123",
    "passw0rd",
    "admin@123",
    "1234",
    "pass",
    "minioadmin",
]


def containers(stack):
    ids = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={stack.name}").split()
    return json.loads(docker("inspect", *ids))


def hosts_of(stack, service):
    return [one for one in containers(stack) if one["Config"]["Labels"]["com.docker.compose.service"] == service]


def airflow(stack, account):
    return Airflow(stack.port("AIRFLOW_PORT"), account, stack.secret(f"airflow_{account}"))


def read(stack, query, database="scores", role="sms_reader"):
    place = {"host": "127.0.0.1", "port": stack.port("POSTGRES_PORT"), "dbname": database, "user": role}
    with psycopg.connect(**place, password=stack.secret(role)) as connection:
        return connection.execute(query).fetchall()


def write(stack, statement, *values):
    place = {"host": "127.0.0.1", "port": stack.port("POSTGRES_PORT"), "dbname": "scores", "user": "scores"}
    with psycopg.connect(**place, password=stack.secret("scores")) as connection:
        assert connection.execute(statement, values).fetchall() == [(1,)]


def mlflow(stack, account, method, path, body=None, *, password=None):
    """Status and answer of a request to MLflow's REST API."""
    known = f"{account}:{password or stack.secret(f'mlflow_{account}')}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.port('MLFLOW_PORT')}/api/2.0/mlflow/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Basic {base64.b64encode(known.encode()).decode()}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def scored(stack):
    """A history, a trained model, two daily runs and a backfill, the latter three by Airflow's scheduler over its REST API."""
    stack.tool(
        *("sh", "-c"),
        f"REKINDLE_LANDING=/tmp/landing rekindle simulate --users {USERS} --days {LANDED} && rekindle upload /tmp/landing",
        service="importer",
    )
    timed("history", lambda: stack.tool("rekindle", "backfill", "--from", HISTORY[0], "--to", HISTORY[1]))
    operator = airflow(stack, "operator")
    for dag in ("weekly_training", "daily_scores"):
        operator.unpause(dag)
    states = {"training": operator.wait("weekly_training", operator.trigger("weekly_training", day=HISTORY[1]))}
    for day in DAYS:
        run = operator.trigger("daily_scores", day=day, at=f"{day}T23:00:00+00:00")
        states[day] = timed(f"day {day}", lambda run=run: operator.wait("daily_scores", run))
    # Both are midnights, and a day's run is dated at three: the range ends at the midnight after the last day.
    number = operator.backfill("daily_scores", f"{DAYS[0]}T00:00:00Z", f"{BROKEN_INTO}T00:00:00Z", kind="backfill")
    states["backfill"] = timed("backfill", lambda: operator.wait_for_backfill("daily_scores", number))
    return states


def test_the_configuration_holds_references_and_no_secret(stack):
    told = stack.run("--profile", "tools", "--profile", "cluster", "config").stdout

    assert not [name for name in COMPOSE["secrets"] if stack.secret(name) in told]


def test_no_process_runs_as_root_and_ports_answer_here_only(stack):
    for container in containers(stack):
        assert container["Config"]["User"] == "10001:10001"
        assert container["HostConfig"]["ReadonlyRootfs"]
        uids = [line.split()[1] for line in docker("top", container["Id"], "-eo", "pid,uid").splitlines()[1:]]
        assert set(uids) == {"10001"}
        for places in (container["NetworkSettings"]["Ports"] or {}).values():
            assert {place["HostIp"] for place in places or []} <= {"127.0.0.1"}


def test_a_missing_secret_stops_the_start_by_its_name(stack, tmp_path):
    lacking = Stack("rekindle-e2e-lacking", shift=30_000, secrets=tmp_path)
    for name in set(COMPOSE["secrets"]) - {"s3_root"}:
        (tmp_path / name).write_bytes((stack.secrets / name).read_bytes())
    try:
        done = lacking.run("up", "--detach", "store", check=False)
    finally:
        lacking.run("down", "--volumes", check=False)

    assert done.returncode != 0
    assert str(tmp_path / "s3_root") in done.stderr


@pytest.mark.parametrize("password", DEFAULT_PASSWORDS)
def test_no_default_password_opens_anything(stack, password):
    for account in ("admin", "airflow"):
        with pytest.raises(AirflowError) as refused:
            Airflow(stack.port("AIRFLOW_PORT"), account, password)
        assert refused.value.status == UNAUTHORIZED
    assert mlflow(stack, "admin", "GET", "experiments/search?max_results=1", password=password)[0] == UNAUTHORIZED
    place = {"host": "127.0.0.1", "port": stack.port("POSTGRES_PORT"), "dbname": "scores", "connect_timeout": 10}
    for role in ("postgres", "sms_reader"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**place, user=role, password=password)


def test_days_and_a_backfill_run_through_the_scheduler(scored):
    # LTV is skipped by name: its labels take a longer history. Recall was trained and promoted, or no day would have a score.
    assert scored == {"training": "success", **dict.fromkeys(DAYS, "success"), "backfill": ["success", "success"]}


@pytest.mark.usefixtures("scored")
def test_who_reads_for_campaigns_sees_the_audience_and_nothing_else(stack):
    ((day, users),) = read(stack, "select max(day)::text, count(*) from sms.audience")

    assert (day >= DAYS[-1], users > 0) == (True, True)
    for forbidden in ("select * from rekindle.permission", "delete from sms.audience"):
        with pytest.raises(psycopg.Error, match=r"permission denied|read-only"):
            read(stack, forbidden)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        read(stack, "select 1", database="lake")


def test_a_viewer_reads_an_operator_triggers_an_administrator_configures(stack):
    viewer, operator, admin = (airflow(stack, account) for account in ("viewer", "operator", "admin"))
    run = {"logical_date": None, "conf": {"day": "1999-01-01"}}

    assert {dag["dag_id"] for dag in viewer.call("GET", "/api/v2/dags")["dags"]} >= {"daily_scores", "weekly_training"}
    for account, method, path, body in (
        (viewer, "POST", "/api/v2/dags/table_upkeep/dagRuns", run),
        (viewer, "PATCH", "/api/v2/dags/table_upkeep", {"is_paused": False}),
        (viewer, "GET", "/api/v2/connections", None),
        (operator, "GET", "/api/v2/connections", None),
        (operator, "GET", "/api/v2/variables", None),
    ):
        with pytest.raises(AirflowError) as refused:
            account.call(method, path, body)
        assert refused.value.status == FORBIDDEN, path
    assert admin.call("GET", "/api/v2/connections")["total_entries"] == 0
    assert operator.trigger("table_upkeep", day="1999-01-01")


@pytest.mark.usefixtures("scored")
def test_a_trainer_does_not_promote_a_promoter_does_not_train_a_scorer_reads(stack):
    candidates, champions = "rekindle_recall", "rekindle_recall_champion"
    found = mlflow(stack, "promoter", "GET", f"model-versions/search?filter=name%3D%27{candidates}%27")[1]
    version = found["model_versions"][0]
    copy = {"name": champions, "source": f"models:/{candidates}/{version['version']}", "run_id": version["run_id"]}
    experiment = mlflow(stack, "scorer", "GET", f"experiments/get-by-name?experiment_name={candidates}")[1]
    run = {"experiment_id": experiment["experiment"]["experiment_id"]}
    again = {"name": candidates, "source": version["source"], "run_id": version["run_id"]}

    def status(account, path, body):
        return mlflow(stack, account, "POST", path, body)[0]

    alias = {"name": champions, "alias": "champion", "version": "1"}
    assert status("trainer", "model-versions/create", copy) == FORBIDDEN
    assert status("trainer", "registered-models/alias", alias) == FORBIDDEN
    assert status("promoter", "runs/create", run) == FORBIDDEN
    assert status("promoter", "model-versions/create", again) == FORBIDDEN
    for path, body in (
        ("runs/create", run),
        ("model-versions/create", again),
        ("model-versions/create", copy),
        ("registered-models/alias", alias),
    ):
        assert status("scorer", path, body) == FORBIDDEN, path
    # As *Promote model* in the pages does: the copy, then the alias.
    answered, made = mlflow(stack, "promoter", "POST", "model-versions/create", copy)
    assert answered == 200
    alias["version"] = made["model_version"]["version"]
    assert status("promoter", "registered-models/alias", alias) == 200
    champion = json.loads(stack.tool("rekindle", "models", "recall", "--json"))
    assert champion["recall"]["champion"] == version["version"]


def test_each_service_may_do_in_the_store_what_is_its_own(stack):
    code = """
import json, sys
import boto3
from botocore.exceptions import ClientError
told = {}
for user, secret in json.load(sys.stdin).items():
    keys = {"aws_access_key_id": user, "aws_secret_access_key": secret}
    store = boto3.client("s3", endpoint_url="http://store:7070", region_name="us-east-1", **keys)
    for bucket in ("landing", "lake", "mlflow"):
        may = ""
        asked = {
            "r": lambda: store.list_objects_v2(Bucket=bucket, MaxKeys=1),
            "w": lambda: store.put_object(Bucket=bucket, Key="probe", Body=b"1"),
        }
        for letter, ask in asked.items():
            try:
                ask()
                may += letter
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        told[f"{user} {bucket}"] = may
print(json.dumps(told))
"""
    users = ("spark", "tasks", "mlflow", "importer")
    done = subprocess.run(
        ["docker", "compose", "run", "--rm", "-T", "importer", "python", "-c", code],
        cwd=Stack().secrets.parent,
        env=stack.environment,
        input=json.dumps({user: stack.secret(f"s3_{user}") for user in users}),
        capture_output=True,
        text=True,
        check=True,
    )
    allowed = {
        "spark landing": "r",
        "spark lake": "rw",
        "tasks landing": "r",
        "mlflow mlflow": "rw",
        "importer landing": "rw",
    }
    asked = [f"{user} {bucket}" for user in users for bucket in ("landing", "lake", "mlflow")]
    assert json.loads(done.stdout) == {one: allowed.get(one, "") for one in asked}


@pytest.mark.usefixtures("scored")
def test_figures_are_there_for_a_monitor(stack):
    def told(name):
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port(name)}/metrics", timeout=30) as page:
            return page.read().decode()

    assert "rekindle_up 1" in told("METRICS_PORT").splitlines()
    assert 'rekindle_published_rows{table="' in told("METRICS_PORT")
    assert "airflow_scheduler_heartbeat_total" in told("AIRFLOW_METRICS_PORT")
    assert 'airflow_ti_finish_total{dag_id="daily_scores"' in told("AIRFLOW_METRICS_PORT")


@pytest.mark.usefixtures("scored")
def test_scores_are_answered_over_rest_by_a_role_that_reads_no_permission(stack):
    token = stack.tool("rekindle", "keys", "add", "a test", "--scope", "score").strip()
    ((user, chance),) = read(
        stack, "select user_id, return_probability from sms.recall_scores where in_population order by 1 limit 1"
    )
    url = f"http://127.0.0.1:{stack.port('ANSWERS_PORT')}/v1/scores/recall"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(path, body=None):
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=30) as answer:
            return json.load(answer)

    # The key is known within seconds.
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(urllib.error.HTTPError):
            ask(f"/{user}")
            break
        time.sleep(1)
    assert ask(f"/{user}")["score"]["return_probability"] == float(chance)
    (scored,) = ask("", json.dumps({"users": [user]}).encode())["scores"]
    assert abs(scored["return_probability"] - float(chance)) < 0.0006
    for table in ("sms.audience", "rekindle.permission", "rekindle.assignment"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            read(stack, f"select * from {table}", role="rekindle_answers")


@pytest.mark.usefixtures("scored")
def test_logs_are_objects_and_hold_no_secret(stack):
    # Compose clears its line before it prints one, also where nobody looks.
    told = stack.run("logs", "--no-log-prefix", "--no-color").stdout.replace("\x1b[2K", "")

    assert not [name for name in COMPOSE["secrets"] if stack.secret(name) in told]
    services = {json.loads(line)["service"] for line in told.splitlines() if line.startswith("{")}
    assert services >= {"postgres", "store", "spark", "mlflow", "airflow-scheduler", "airflow-api-server"}


@pytest.mark.usefixtures("scored")
def test_the_same_day_again_is_skipped_as_a_whole_by_its_first_task(stack):
    """Campaigns and outcomes are built after publishing here; the day stands all the same."""
    operator, states = airflow(stack, "operator"), {}
    # A run that nobody gave a time: its permission went by the clock, as that of a run that is skipped does.
    first = operator.trigger("daily_scores", day=DAYS[-1])
    assert timed("day by the clock", lambda: operator.wait("daily_scores", first)) == "success"

    again = operator.trigger("daily_scores", day=DAYS[-1])

    def hear(task):
        states[task["task_id"]] = task["state"]

    assert timed("the same day again", lambda: operator.wait("daily_scores", again, tell=hear)) == "success"
    assert {task for task, state in states.items() if state == "success"} == {"begin"}
    assert read(stack, "select count(*) from rekindle.run where status = 'unchanged'", role="scores") == [(1,)]


@pytest.mark.usefixtures("scored")
@pytest.mark.skipif(os.geteuid() != 0, reason="killing a container's process takes root")
def test_a_day_goes_on_when_store_and_spark_server_are_killed(stack):
    """Both are started again by the engine; the tasks that they took with them are tried again by Airflow."""
    operator, killed = airflow(stack, "operator"), []

    def kill(task):
        for service, after in (("store", "ingest.events"), ("spark", "features.user_day")):
            if task["task_id"] == after and service not in killed:
                killed.append(service)
                container = stack.run("ps", "--quiet", service).stdout.strip()
                os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)

    run = operator.trigger("daily_scores", day=BROKEN_INTO, at=f"{BROKEN_INTO}T23:00:00+00:00")
    state = timed("broken day", lambda: operator.wait("daily_scores", run, tell=kill))

    assert (state, set(killed)) == ("success", {"store", "spark"})
    assert read(stack, "select max(day)::text from sms.audience") == [(BROKEN_INTO,)]


@pytest.mark.usefixtures("scored")
def test_the_profile_cluster_runs_a_day_on_two_workers(stack):
    """Nothing but a variable differs: the same server, jobs and DAG. The scores are compared with one machine's below."""
    operator = airflow(stack, "operator")
    cluster = replace(stack, variables={"SPARK_CLUSTER_CONF": "cluster.conf"})
    try:
        timed("cluster", lambda: cluster.run("--profile", "cluster", "up", "--detach", "--wait"))
        hosts = json.loads(cluster.tool("python", "-c", HOSTS).splitlines()[-1])
        run = operator.trigger("daily_scores", day=ON_A_CLUSTER, at=f"{ON_A_CLUSTER}T23:00:00+00:00")
        state = timed("day on a cluster", lambda: operator.wait("daily_scores", run))
    finally:
        stack.run("--profile", "cluster", "rm", "--stop", "--force", "spark-master", "spark-worker", check=False)
        stack.run("up", "--detach", "--wait")

    workers = {one["Config"]["Hostname"] for one in hosts_of(stack, "spark")}
    assert (state, len(hosts), workers & {*hosts}) == ("success", 2, set())


@pytest.mark.usefixtures("scored")
def test_older_code_does_not_start_on_newer_tables(stack):
    """`tables` ends with an error, and what runs days waits for its success."""
    ((known,),) = read(stack, "select version_num from rekindle.migration", role="scores")
    change = f"update rekindle.migration set version_num = %s where version_num in ('{known}', '9999') returning 1"
    try:
        write(stack, change, "9999")
        done = stack.run("run", "--rm", "-T", "--no-deps", "tables", check=False)
    finally:
        write(stack, change, known)

    assert done.returncode != 0
    assert "A newer Rekindle has migrated it" in done.stdout + done.stderr


@pytest.mark.usefixtures("scored")
def test_one_machine_scores_the_same_days_the_same(stack, tmp_path):
    """
    The same deliveries on the local platform: the same rows, doubles to 1e-9.

    Of the stack's days one was broken into and one ran on a cluster. A model's digest is not compared: the last bits of what a
    regression learns are those of the kernels that linear algebra takes for a processor, or is told to take by a variable.
    """
    compared = "day::text, user_id, return_probability::text, percentile, decile, reason_1, reason_2, reason_3"
    query = f"select {compared} from sms.recall_scores_history where day <= '{ALL_DAYS[-1]}' order by day, user_id"
    there, scores_there = read(stack, query), json.loads(stack.tool("python", "-c", SCORES).splitlines()[-1])
    # Both at once are more than this machine has memory for.
    stack.run("stop")
    here = {"REKINDLE_HOME": str(tmp_path / "home"), "REKINDLE_LANDING": str(tmp_path / "landing")}
    try:
        for command in (
            ["up"],
            ["simulate", "--users", str(USERS), "--days", str(LANDED)],
            ["backfill", "--from", HISTORY[0], "--to", HISTORY[1]],
            ["train", "recall", "--day", HISTORY[1]],
            *(["run", "--day", day, "--at", f"{day}T23:00:00+00:00"] for day in ALL_DAYS),
        ):
            done = command_line.rekindle(*command, env=here)
            assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        password = json.loads((tmp_path / "home" / "secrets.json").read_text())["sms_reader"]
        port = json.loads((tmp_path / "home" / "run" / "postgres.json").read_text())["port"]
        with psycopg.connect(
            host="127.0.0.1", port=port, dbname="scores", user="sms_reader", password=password
        ) as known:
            own = known.execute(query).fetchall()
        told = command_line.python(SCORES, env=here)
        scores_own = json.loads(told.stdout.splitlines()[-1])
    finally:
        command_line.rekindle("down", "--delete", env=here)
        stack.run("up", "--detach", "--wait")

    assert own == there
    assert {row[0] for row in there} == {*ALL_DAYS}
    assert [row[:2] for row in scores_own] == [row[:2] for row in scores_there] != []
    for mine, theirs in zip(scores_own, scores_there, strict=True):
        assert mine[2:] == pytest.approx(theirs[2:], rel=0, abs=1e-9)


@pytest.mark.usefixtures("scored")
def test_a_backup_is_another_stack_with_the_same_data(stack, tmp_path):
    def state(of):
        scores = read(of, "select md5(string_agg(a::text, '|' order by user_id)) from sms.recall_scores a")
        promotions = read(of, "select count(*) from rekindle.promotion", role="scores")
        raw = of.tool("python", "-c", COUNT)
        return scores, promotions, raw.split()[-1]

    second = Stack("rekindle-e2e-restored", shift=20_000, secrets=stack.secrets)
    before = state(stack)
    timed("backup", lambda: backup(stack, tmp_path / "backup"))
    # Two of them are more than this machine has memory for.
    stack.run("stop")
    try:
        timed("restore", lambda: restore(second, tmp_path / "backup"))
        assert state(second) == before
        with suppress(AirflowError):
            assert airflow(second, "viewer").call("GET", "/api/v2/dags/daily_scores/dagRuns")["total_entries"] >= len(
                DAYS
            )
    finally:
        second.run("--profile", "tools", "down", "--volumes", check=False)
        stack.run("start")


HOSTS = """
import json, socket
from rekindle.warehouse.spark import session

def host(batches):
    import time, pyarrow
    for batch in batches:
        time.sleep(2)  # so that no worker does all of it
        yield pyarrow.RecordBatch.from_pydict({"host": [socket.gethostname()]})

rows = session().range(0, 4, 1, 4).mapInArrow(host, "host string").collect()
print(json.dumps(sorted({row.host for row in rows})))
"""

COUNT = """
from rekindle.warehouse.spark import session
spark = session()
print(spark.table("raw.events").count(), spark.table("scores.recall_daily").count(), sep="-")
"""

SCORES = """
import json
from rekindle import platform
from rekindle.warehouse.spark import session
platform.attach()
rows = session().table("scores.recall_daily").orderBy("day", "user_id").collect()
print(json.dumps([[str(r.day), r.user_id, r.return_probability, r.raw_score, r.baseline, r.other_contribution] for r in rows]))
"""
