"""
Marts: one `dbt build`, tested on a branch, released when all its tests have passed.

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
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, RekindleError
from rekindle.settings import PROJECT, settings
from rekindle.tables import CATALOG, builds_of, record_builds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

DBT_PROJECT = PROJECT / "dbt_project"

NAMESPACES = ("staging", "marts")

MARTS = tuple(sorted(f"marts.{path.stem}" for path in (DBT_PROJECT / "models" / "marts").glob("*.sql")))
"""The tables that dbt writes; their contracts stand beside the models."""


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
    Create the staging views, and the marts that are not there yet, empty.

    For a migration: a run cannot, because on a branch `CREATE OR REPLACE TABLE AS` leaves main without a snapshot.
    Without vars dbt builds a day before any delivery, so what it creates has no rows. A mart that exists is left alone.
    """
    for namespace in NAMESPACES:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{namespace}")
    with _locked(MARTS):
        absent = [mart.split(".")[1] for mart in MARTS if not spark.catalog.tableExists(f"{CATALOG}.{mart}")]
        _refuse(_invoke("create_marts", "run", "--select", "staging", *absent))


def build(
    spark: SparkSession, days: Days, run_id: str, labels: Sequence[Mapping[str, Any]], select: str | None = None
) -> DbtResult:
    """
    Build the marts of each day from `days.first` to `days.last`; release them when their data tests have passed.

    The range has no holes, because every day completes labels and brings activity, also one without features. `labels`
    are the windows that score products train on: [{name, from_day, to_day, kind: activity | net_revenue}]. `select`
    narrows the build to some models, in dbt's syntax.

    Raises CheckFailedError, with every mart left as it was, if a data test fails.
    """
    variables = {
        "from_day": str(days.first),
        "to_day": str(days.last),
        "lapse_days": settings().lapse_days,
        "lateness_days": settings().lateness_days,
        "not_activity": list(settings().not_activity),
        "labels": [dict(label) for label in labels],
    }
    # Unit tests are about the code, not about a day: every commit runs them.
    built = Days.between(days.first, days.last)
    inputs = {day: reads(day, labels) for day in built}
    arguments = ["--exclude-resource-type", "unit_test", *(["--select", select] if select else [])]
    with _locked(MARTS) as locks, _branch(spark, f"run_{run_id}") as branch:
        known = builds_of({name for by_mart in inputs.values() for used in by_mart.values() for name in used})
        invocation = _invoke(run_id, "build", *arguments, variables=variables, branch=branch)
        _record(invocation, run_id, days)
        _refuse(invocation)
        for lock in locks:
            lock.verify()
        heads = _heads(spark, branch)
        for mart in heads:
            spark.sql(f"CALL {CATALOG}.system.fast_forward('{mart}', 'main', '{branch}')")
        for mart, head in heads.items():
            of_mart = {day: inputs[day][mart] for day in built}
            record_builds(mart, built, of_mart, known, run_id=run_id, snapshot=head)
    # The log says what was done; the compiled project is of use only where something failed.
    shutil.rmtree(invocation.target)
    return DbtResult(heads, len(invocation.tests), invocation.seconds, invocation.log)


def reads(day: date, labels: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[date, date]]]:
    """The days of each input that a day of each mart is made of: a mart is stale when one of them has changed."""
    own = (day, day)
    # A label's tiles are delivered from its first day, or the minutes after midnight before it, until it is complete.
    known_after = [label["to_day"] + settings().lateness_days for label in labels]
    counted = [known - label["from_day"] + 1 for known, label in zip(known_after, labels, strict=True)]
    return {
        "marts.daily_activity": {"features.user_day": own},
        "marts.labels": {
            "features.user": (day - timedelta(max(known_after)), day - timedelta(min(known_after))),
            "features.user_day": (day - timedelta(max(counted)), day),
        }
        if labels
        else {},
        "marts.ltv_population": {"features.user": own},
        "marts.recall_population": {"features.user": own},
        "marts.users": {"features.user": own, "raw.users": (date.min, day)},
    }


def docs() -> Path:
    """Write dbt's documentation of models, columns and lineage as one page, and say where it is."""
    invocation = _invoke("docs", "docs", "generate", "--static")
    _refuse(invocation)
    return invocation.target / "static_index.html"


# --- releasing ----------------------------------------------------------------------------------------------------


@contextmanager
def _locked(marts: Sequence[str]) -> Iterator[list[records.Lock]]:
    """Hold the locks of all marts, taken in one order, so that two builds never wait for each other."""
    with ExitStack() as stack:
        yield [stack.enter_context(records.table_lock(mart)) for mart in marts]


@contextmanager
def _branch(spark: SparkSession, branch: str) -> Iterator[str]:
    """Begin without what a killed attempt of this run has left on the branch, and leave nothing behind."""
    _drop(spark, branch)
    try:
        yield branch
    finally:
        _drop(spark, branch)


def _drop(spark: SparkSession, branch: str) -> None:
    for mart in _heads(spark, branch):
        spark.sql(f"ALTER TABLE {CATALOG}.{mart} DROP BRANCH {branch}")


def _heads(spark: SparkSession, branch: str) -> dict[str, int]:
    """The branch's snapshot of each mart that has it, found in one query."""
    refs = [f"SELECT '{mart}' AS mart, name, snapshot_id FROM {CATALOG}.{mart}.refs" for mart in MARTS]
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
