"""
Marts: one `dbt build` a group, tested on a branch, released when all its tests have passed.

No branch is named in SQL: dbt writes and reads marts on the branch of the run, its tests see the new rows, and everybody
else sees the old ones until `fast_forward`.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.points import durable
from rekindle.warehouse import builds, dbt, lineage, shadow
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from rekindle.warehouse.dbt import Invocation


@dataclass(frozen=True)
class DbtResult:
    """What a build made visible, and how many data tests it had passed before."""

    released: Mapping[str, int]
    """The snapshot that main shows now, by table."""
    tests_passed: int
    seconds: float
    log: Path


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
    scores predict of them: [{product, table, label, from_day, to_day, without_messages, predicted}].

    Raises CheckFailedError, with every mart left as it was, if a data test fails, and where a mart reads what its yml does not
    say: what it was built from must be known before anybody reads it.
    """
    variables = {
        **dbt.decided(),
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
    with locked(marts) as locks, _branch(spark, marts) as branch:
        # Before they are read: what changes while they are makes these days stale.
        known = builds.Known.of(graph, {name for mart in marts for name in graph.tables[mart].reads})
        with durable("marts", group):
            invocation = dbt.invoke(f"{run_id}-{group}", "build", *arguments, variables=variables, branch=branch)
        _record(invocation, run_id, days)
        dbt.refuse_failed(invocation)
        _refuse_undeclared(invocation, marts)
        for lock in locks:
            lock.verify()
        heads = shadow.with_branch(spark, branch, marts)
        for mart in heads:
            if shadow.cast():
                shadow.wrote(mart)
            else:
                records.doubt_builds(mart, built)
                with durable("release of marts", mart):
                    spark.sql(f"CALL {CATALOG}.system.fast_forward('{mart}', 'main', '{branch}')")
            if table := graph.tables[mart].recorded:
                with durable("rows of marts in Postgres", mart):
                    _keep(spark, mart, built, table)
        for mart in marts:
            with durable("builds of marts", mart):
                builds.record(known, mart, built, inputs[mart], run_id=run_id, snapshot=heads.get(mart))
    # The log says what was done; the compiled project is of use only where something failed.
    shutil.rmtree(invocation.target)
    return DbtResult(heads, len(invocation.tests), invocation.seconds, invocation.log)


def _keep(spark: SparkSession, mart: str, days: Days, table: str) -> None:
    """Keep the rows of a small mart's days in Postgres too, where pages are made that have no Spark."""
    rows = (
        spark.table(shadow.of(mart))
        .where(f"day between date'{days.first}' and date'{days.last}'")
        .toArrow()
        .to_pylist()
    )
    records.replace_days(table, days, list(dbt.columns(mart)), rows)


def _refuse_undeclared(invocation: Invocation, marts: Sequence[str]) -> None:
    """Refuse a mart that reads another set of tables than its yml says."""
    manifest = json.loads((invocation.target / "manifest.json").read_text())
    for mart, found in dbt.reads_by_manifest(manifest, marts).items():
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


def _record(invocation: Invocation, run_id: str, days: Days) -> None:
    """Keep what the tests said beside the checks of the other tables, so that a report shows both."""
    for table in sorted({test.table for test in invocation.tests}):
        results = [
            records.CheckResult(test.name, "stop", "failed" if test.failed else "passed", test.failed_rows)
            for test in invocation.tests
            if test.table == table
        ]
        records.record_checks(run_id, days.last, table, results)


# --- releasing ----------------------------------------------------------------------------------------------------


@contextmanager
def locked(marts: Sequence[str]) -> Iterator[list[postgres.Lock]]:
    """Hold the locks of all marts, taken in one order, so that two builds never wait for each other."""
    with ExitStack() as stack:
        yield [stack.enter_context(postgres.table_lock(mart)) for mart in marts]


@contextmanager
def _branch(spark: SparkSession, marts: Sequence[str]) -> Iterator[str]:
    """
    A branch of this attempt alone; leaves nothing behind. A shadow's goes when it goes, and before that with what has failed.

    What the server still writes for an attempt that was killed goes to that one's branch, which upkeep drops.
    """
    mine = shadow.cast()
    branch = mine.branch if mine else f"run_{uuid4().hex}"
    try:
        yield branch
    except BaseException:
        shadow.drop(spark, branch, marts)
        raise
    if not mine:
        shadow.drop(spark, branch, marts)
