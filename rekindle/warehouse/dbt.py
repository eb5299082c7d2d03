"""
dbt, in a process of its own: what it is told, what it says of what it ran, and what the project's ymls say of marts.

It turns Spark's ANSI mode off and, here, redirects what it writes and reads of marts to the branch of the run (Iceberg's
`spark.wap.branch`), which our own session must not.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekindle import yml
from rekindle.errors import CheckFailedError, RekindleError
from rekindle.permission import places
from rekindle.permission.messaging import messaging
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import lineage
from rekindle.warehouse.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DBT_PROJECT = PROJECT / "dbt_project"
PROGRAM = Path(__file__).with_name("dbt_process.py")


@dataclass(frozen=True)
class Node:
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
class Invocation:
    nodes: tuple[Node, ...]
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
    def tests(self) -> list[Node]:
        return [node for node in self.nodes if node.kind == "test" and node.status != "skipped"]


def invoke(
    name: str,
    *command: str,
    variables: Mapping[str, Any] | None = None,
    branch: str | None = None,
    target: str | None = None,
) -> Invocation:
    """Run dbt in a folder of its own, so that two runs never share state; what it prints goes there too."""
    folder = (settings().home / "dbt" / name).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    told = json.dumps(variables or {})
    common = (
        *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder)),
        *("--vars", told, "--no-partial-parse", "--no-use-colors"),
    )
    began = time.monotonic()
    exit_code = _process().run(
        variables=told,
        parse=["parse", *common, "--target", "main"],
        run=[*command, *common, "--target", target or ("branch" if branch else "main")],
        environment={**os.environ, **({"REKINDLE_DBT_BRANCH": branch} if branch else {})},
        folder=str(folder),
        output=str(folder / "output.txt"),
    )
    return Invocation(_nodes(folder / "target"), exit_code, time.monotonic() - began, folder)


class Process:
    """dbt, standing by to run commands one after the other; see `dbt_process`."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-P", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def stands_by(self) -> bool:
        """Whether it can be asked for more: it lives, and is not that of a process which this one was forked from."""
        return self.owner == os.getpid() and self.process.poll() is None

    def run(self, **asked: Any) -> int:
        """Run what is asked for; returns dbt's exit code. What breaks off the wait, a time limit or Ctrl-C, ends it too."""
        try:
            print(json.dumps(asked), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline() if self.process.stdout else ""
            return json.loads(answer)["exit_code"] if answer else self.process.wait()
        except BrokenPipeError:
            # Killed while nothing was asked of it.
            return self.process.wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def close(self) -> None:
        """End it, where it does not end with its caller."""
        if self.stands_by:
            self.process.kill()
            self.process.communicate()


_standing_by: list[Process] = []
"""The one of this process, where it has one: who builds several groups of marts, as a day of the command line, imports
dbt and parses the project once."""


def _process() -> Process:
    if not _standing_by or not _standing_by[0].stands_by:
        _standing_by[:] = [Process()]
        atexit.register(_standing_by[0].close)
    return _standing_by[0]


def _nodes(target: Path) -> tuple[Node, ...]:
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
            Node(
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


def decided() -> dict[str, Any]:
    """What a business decides, as dbt gets it."""
    from rekindle.bidding.declared import rta  # what is beside it computes, and DAG files import this module

    conf = settings()
    activity = Activity.of(conf)
    return {
        "lapse_days": conf.lapse_days,
        "recall_memory_days": conf.memory_days,
        "lateness_days": conf.lateness_days,
        "recall_horizon_days": conf.recall_horizon_days,
        "gain_horizon_days": conf.gain_horizon_days,
        "training_weekday": conf.training_weekday_number,
        "event_is_activity": activity.event,
        "order_is_activity": activity.order,
        "new_user_days": conf.new_user_days,
        "vip_event_types": list(conf.vip_event_types),
        "click_value_is_seconds": conf.click_value_is_seconds,
        "referral_channels": list(conf.referral_channels),
        "message_channel": conf.message_channel,
        "message_purpose": conf.message_purpose,
        "consent_valid_days": conf.consent_valid_days,
        "cap_days": conf.cap_days,
        "dedup_days": conf.dedup_days,
        "usual_hour_days": conf.usual_hour_days,
        "zones": places.zones(),
        "zones_by_country": places.zones_by_country(),
        "segments": messaging().segments.model_dump(),
        "margin": conf.margin,
        "rta": rta().model_dump(),
    }


def refuse_failed(invocation: Invocation) -> None:
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


def docs() -> Path:
    """Write dbt's documentation of models, columns and lineage as one page, and say where it is."""
    invocation = invoke("docs", "docs", "generate", "--static")
    refuse_failed(invocation)
    return invocation.target / "static_index.html"


def columns(mart: str) -> dict[str, dict[str, str]]:
    """What the yml of a mart says of its columns, by name."""
    return {column["name"]: column for column in _described(mart)["columns"]}


def description(mart: str) -> str:
    """What the yml of a mart says that it is."""
    return _described(mart)["description"]


def _described(mart: str) -> dict[str, Any]:
    (found,) = lineage.MODELS.rglob(f"marts/*/{mart.split('.')[1]}.yml")
    (described,) = yml.read(found)["models"]
    return described
