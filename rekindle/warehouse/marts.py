"""
Marts: one `dbt build` a group, tested on a branch, released when all its tests have passed.

dbt runs in its own process, because it turns Spark's ANSI mode off and, here, redirects what it writes and reads of
marts to the branch of the run (Iceberg's `spark.wap.branch`). So no branch is named in SQL, dbt's tests see the new
rows, and everybody else sees the old ones until `fast_forward`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, RekindleError
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import builds, lineage
from rekindle.warehouse.activity import Activity
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

DBT_PROJECT = PROJECT / "dbt_project"

NAMESPACES = ("staging", "marts")


@dataclass(frozen=True)
class DbtResult:
    """What a build made visible, and how many data tests it had passed before."""

    released: Mapping[str, int]
    """The snapshot that main shows now, by table."""
    tests_passed: int
    seconds: float
    log: Path


def create_marts(spark: SparkSession) -> None:
    """
    Create the staging views, and the marts that are not there yet, empty; add columns that a mart's yml has gained.

    For a migration: a run cannot, because on a branch `CREATE OR REPLACE TABLE AS` leaves main without a snapshot, and a
    schema is shared by all branches. Without days dbt builds one before any delivery, so what it creates has no rows.
    """
    for namespace in NAMESPACES:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{namespace}")
    marts = lineage.graph().marts()
    with _locked(marts):
        absent = [mart for mart in marts if not spark.catalog.tableExists(f"{CATALOG}.{mart}")]
        models = ("staging", *(mart.split(".")[1] for mart in absent))
        # The staging views are made here and nowhere else, of what the business has decided.
        _refuse(_invoke("create_marts", "run", "--select", *models, variables=_decided()))
        for mart in set(marts) - set(absent):
            _add_columns(spark, mart)


def _decided() -> dict[str, Any]:
    """What a business decides, as dbt gets it."""
    conf = settings()
    activity = Activity.of(conf)
    return {
        "lapse_days": conf.lapse_days,
        "lateness_days": conf.lateness_days,
        "event_is_activity": activity.event,
        "order_is_activity": activity.order,
    }


def _add_columns(spark: SparkSession, mart: str) -> None:
    present = set(spark.table(mart).columns)
    for name, column in columns(mart).items():
        if name not in present:
            about = column["description"].replace("\\", "\\\\").replace("'", "\\'")
            spark.sql(f"ALTER TABLE {CATALOG}.{mart} ADD COLUMN `{name}` {column['data_type']} COMMENT '{about}'")


def columns(mart: str) -> dict[str, dict[str, str]]:
    """What the yml of a mart says of its columns, by name."""
    return {column["name"]: column for column in _described(mart)["columns"]}


def description(mart: str) -> str:
    """What the yml of a mart says that it is."""
    return _described(mart)["description"]


def _described(mart: str) -> dict[str, Any]:
    (found,) = lineage.MODELS.rglob(f"marts/*/{mart.split('.')[1]}.yml")
    (described,) = yaml.safe_load(found.read_text())["models"]
    return described


def build(  # noqa: PLR0917 - what a build is about
    spark: SparkSession,
    group: str,
    days: Days,
    run_id: str,
    labels: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]] = (),
) -> DbtResult:
    """
    Build a group of marts for each day from `days.first` to `days.last`; release them when their data tests have passed.

    The range has no holes, because every day completes labels and brings activity, also one without features. `labels`
    are the windows that score products train on: [{name, from_day, to_day, kind: <a file of macros/labels>}], `outcomes` what
    scores predict of them: [{product, table, label, from_day, to_day, predicted}].

    Raises CheckFailedError, with every mart left as it was, if a data test fails, and where a mart reads what its yml does not
    say: what it was built from must be known before anybody reads it.
    """
    variables = {
        **_decided(),
        "from_day": str(days.first),
        "to_day": str(days.last),
        "labels": [dict(label) for label in labels],
        "outcomes": [dict(outcome) for outcome in outcomes],
    }
    # Unit tests are about the code, not about a day: every commit runs them.
    built = Days.between(days.first, days.last)
    graph = lineage.graph()
    marts = graph.marts(group)
    inputs = {mart: {day: graph.windows(mart, day, labels, outcomes) for day in built} for mart in marts}
    arguments = ["--exclude-resource-type", "unit_test", "--select", f"marts.{group}"]
    # A test that compares with another group's mart is a test of the mart that comes later.
    arguments += ["--indirect-selection", "buildable"]
    with _locked(marts) as locks, _branch(spark, marts, f"run_{run_id}") as branch:
        # Before they are read: what changes while they are makes these days stale.
        known = builds.Known.of(graph, {name for mart in marts for name in graph.tables[mart].reads})
        invocation = _invoke(f"{run_id}-{group}", "build", *arguments, variables=variables, branch=branch)
        _record(invocation, run_id, days)
        _refuse(invocation)
        _refuse_undeclared(invocation, marts)
        for lock in locks:
            lock.verify()
        heads = _heads(spark, marts, branch)
        for mart in heads:
            spark.sql(f"CALL {CATALOG}.system.fast_forward('{mart}', 'main', '{branch}')")
            if table := graph.tables[mart].recorded:
                _keep(spark, mart, built, table)
        for mart in marts:
            builds.record(known, mart, built, inputs[mart], run_id=run_id, snapshot=heads.get(mart))
    # The log says what was done; the compiled project is of use only where something failed.
    shutil.rmtree(invocation.target)
    return DbtResult(heads, len(invocation.tests), invocation.seconds, invocation.log)


def _keep(spark: SparkSession, mart: str, days: Days, table: str) -> None:
    """Keep the rows of a small mart's days in Postgres too, where pages are made that have no Spark."""
    rows = spark.table(mart).where(f"day between date'{days.first}' and date'{days.last}'").toArrow().to_pylist()
    records.replace_days(table, days, list(columns(mart)), rows)


def docs() -> Path:
    """Write dbt's documentation of models, columns and lineage as one page, and say where it is."""
    invocation = _invoke("docs", "docs", "generate", "--static")
    _refuse(invocation)
    return invocation.target / "static_index.html"


# --- releasing ----------------------------------------------------------------------------------------------------


@contextmanager
def _locked(marts: Sequence[str]) -> Iterator[list[postgres.Lock]]:
    """Hold the locks of all marts, taken in one order, so that two builds never wait for each other."""
    with ExitStack() as stack:
        yield [stack.enter_context(postgres.table_lock(mart)) for mart in marts]


@contextmanager
def _branch(spark: SparkSession, marts: Sequence[str], branch: str) -> Iterator[str]:
    """Begin without what a killed attempt of this run has left on the branch, and leave nothing behind."""
    _drop(spark, marts, branch)
    try:
        yield branch
    finally:
        _drop(spark, marts, branch)


def _drop(spark: SparkSession, marts: Sequence[str], branch: str) -> None:
    for mart in _heads(spark, marts, branch):
        spark.sql(f"ALTER TABLE {CATALOG}.{mart} DROP BRANCH {branch}")


def _heads(spark: SparkSession, marts: Sequence[str], branch: str) -> dict[str, int]:
    """The branch's snapshot of each mart that has it, found in one query."""
    refs = [f"SELECT '{mart}' AS mart, name, snapshot_id FROM {CATALOG}.{mart}.refs" for mart in marts]
    found = spark.sql(f"SELECT mart, snapshot_id FROM ({' UNION ALL '.join(refs)}) WHERE name = '{branch}'").collect()
    return {row.mart: row.snapshot_id for row in found}


# --- running dbt --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """What dbt says of one model or test that it ran."""

    kind: str
    name: str
    table: str
    """The table that a model writes, or that a test is about."""
    status: str
    failed_rows: int | None
    error: str
    sql: str

    @property
    def failed(self) -> bool:
        return self.status in {"fail", "error", "runtime error"}


@dataclass(frozen=True)
class _Invocation:
    nodes: tuple[_Node, ...]
    exit_code: int
    seconds: float
    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def log(self) -> Path:
        return self.folder / "dbt.log"

    @property
    def tests(self) -> list[_Node]:
        return [node for node in self.nodes if node.kind == "test" and node.status != "skipped"]


def _invoke(
    name: str, *command: str, variables: Mapping[str, Any] | None = None, branch: str | None = None
) -> _Invocation:
    """Run dbt in a folder of its own, so that two runs never share state; what it prints goes there too."""
    folder = (settings().home / "dbt" / name).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    arguments = [
        *command,
        *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder)),
        *("--target", "branch" if branch else "main", "--vars", json.dumps(variables or {})),
        *("--no-partial-parse", "--no-use-colors"),
    ]
    environment = {**os.environ, **({"REKINDLE_DBT_BRANCH": branch} if branch else {})}
    began = time.monotonic()
    with (folder / "output.txt").open("w") as output:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            # Without the garbage collector, of which a process of a minute has no need, dbt is imported a fifth faster.
            [sys.executable, "-c", "import gc; gc.disable(); from dbt.cli.main import cli; cli()", *arguments],
            check=False,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return _Invocation(_nodes(folder / "target"), done.returncode, time.monotonic() - began, folder)


def _nodes(target: Path) -> tuple[_Node, ...]:
    """What ran, from dbt's own records; nothing where dbt ended before it ran anything."""
    if not (target / "run_results.json").is_file():
        return ()
    manifest = json.loads((target / "manifest.json").read_text())
    known = manifest["nodes"] | manifest["unit_tests"]
    nodes = []
    for result in json.loads((target / "run_results.json").read_text())["results"]:
        node = known[result["unique_id"]]
        kind, about = node["resource_type"], result["unique_id"]
        if kind == "test":
            about = node["attached_node"]
        elif kind == "unit_test":
            (about,) = node["depends_on"]["nodes"]
        model = known[about]
        # The first line of a message says where, the second what; more of it is in the log.
        lines = [line.strip() for line in (result["message"] or "").splitlines() if line.strip()]
        nodes.append(
            _Node(
                kind=kind,
                name=node["name"],
                table=f"{model['schema']}.{model['name']}",
                status=result["status"],
                failed_rows=result["failures"],
                error=" ".join(lines[1:2])[:300],
                sql=node.get("compiled_path") or "",
            )
        )
    return tuple(nodes)


def reads_by_manifest(manifest: Mapping[str, Any], marts: Sequence[str]) -> dict[str, set[str]]:
    """The tables that each mart reads, by dbt's own account: through views, down to marts and to what others write."""

    def tables(unique_id: str) -> set[str]:
        if unique_id in manifest["sources"]:
            source = manifest["sources"][unique_id]
            return {f"{source['source_name']}.{source['name']}"}
        model = manifest["nodes"][unique_id]
        if model["schema"] == "marts":
            return {f"marts.{model['name']}"}
        return set().union(*map(tables, model["depends_on"]["nodes"]))

    models = {f"marts.{n['name']}": n for n in manifest["nodes"].values() if n["resource_type"] == "model"}
    return {mart: set().union(*map(tables, models[mart]["depends_on"]["nodes"])) for mart in marts}


def _refuse_undeclared(invocation: _Invocation, marts: Sequence[str]) -> None:
    """Refuse a mart that reads another set of tables than its yml says."""
    manifest = json.loads((invocation.target / "manifest.json").read_text())
    for mart, found in reads_by_manifest(manifest, marts).items():
        # What stands for a whole schema is named by the products, and no source of dbt's.
        declared = set(lineage.graph().tables[mart].reads) - lineage.graph().tables[mart].any_of
        if found != declared:
            raise CheckFailedError(
                f"{mart} reads {', '.join(sorted(found)) or 'nothing'}, but its yml declares "
                f"{', '.join(sorted(declared)) or 'nothing'}.",
                todo=f"Say under config.meta.reads of {mart} what it reads and how far back, and nothing else.",
                safe="Nothing was released: readers keep the marts as they were.",
                code="undeclared_input",
            )


def _record(invocation: _Invocation, run_id: str, days: Days) -> None:
    """Keep what the tests said beside the checks of the other tables, so that a report shows both."""
    for table in sorted({test.table for test in invocation.tests}):
        results = [
            records.CheckResult(test.name, "stop", "failed" if test.failed else "passed", test.failed_rows)
            for test in invocation.tests
            if test.table == table
        ]
        records.record_checks(run_id, days.last, table, results)


def _refuse(invocation: _Invocation) -> None:
    """Raise an error that names each failed test or model, and the log, if anything failed."""
    if invocation.exit_code == 0:
        return
    safe = "Nothing was released: readers keep the marts as they were."
    broken = [node for node in invocation.nodes if node.failed and node.status != "fail"]
    failed = [node for node in invocation.nodes if node.status == "fail"]
    if failed and not broken:
        raise CheckFailedError(
            "; ".join(f"{test.table} failed its test {test.name}: {test.failed_rows} rows" for test in failed) + ".",
            todo=f"The rows are what {failed[0].sql} selects; the log is {invocation.log}.",
            safe=safe,
            code="check_failed",
        )
    what = [f"dbt could not run {node.name}: {node.error or node.status}" for node in broken]
    raise RekindleError(
        f"{'; '.join(what) or 'dbt ended before it ran a model'}.",
        todo=f"Read dbt.log and output.txt in {invocation.folder}.",
        safe=safe,
        code="dbt_failed",
    )
