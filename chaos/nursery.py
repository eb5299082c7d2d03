"""
A process that has imported all that steps need, and forks one for each: `python -m chaos.nursery`, spoken to in lines of JSON.

The imports take longer than most steps. It holds no connection and no session, so that a fork is as a process of its own: it can
be killed, and what it held ends with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMPORTED = (
    *("chaos.steps", "pyspark.sql.connect.session", "pyspark.sql.connect.dataframe", "great_expectations", "mlflow"),
    *("spark_jobs.publish", "spark_jobs.features.user", "spark_jobs.ingest.raw", "spark_jobs.scores"),
    *(
        "ml.training.trainer",
        "rekindle.erasure",
        "rekindle.warehouse.upkeep",
        "rekindle.campaigns.plan",
        "rekindle.report",
    ),
)
POLL_SECONDS = 0.05


@dataclass
class Child:
    """A step that runs in a process of its own; what one asks of it is what one asks of subprocess.Popen."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def wait(self, seconds: float = 600) -> int:
        until = time.monotonic() + seconds
        while self.code is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a step", seconds)
            time.sleep(POLL_SECONDS)
        return self.code

    def kill(self) -> None:
        """Kill it alone: what it has started is to end by itself."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)


@dataclass
class Nursery:
    """The other end: begins steps, and hears how they end."""

    process: subprocess.Popen[bytes] = field(init=False)
    children: dict[int, Child] = field(default_factory=dict)
    _born: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaos.nursery"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        # What it says first is that all is imported.
        if self.process.stdout:
            self.process.stdout.readline()
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self, step: str, run_id: str, log: Path, environment: Mapping[str, str]) -> Child:
        """Begin a step with an environment of its own; what it says goes to the log."""
        asked = {"step": step, "run_id": run_id, "log": str(log), "environment": dict(environment)}
        _tell(self.process.stdin, asked)
        until = time.monotonic() + 300
        while not self._born:
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError("the process that forks steps has ended")
            time.sleep(POLL_SECONDS)
        return self._born.pop()

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(60)

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            told = json.loads(line)
            if "code" in told:
                self.children[told["pid"]].code = told["code"]
            else:
                child = self.children[told["pid"]] = Child(told["pid"])
                self._born.append(child)


def _tell(stream: IO[bytes] | None, what: Mapping[str, Any]) -> None:
    assert stream is not None  # noqa: S101 - both are pipes
    stream.write(json.dumps(what).encode() + b"\n")
    stream.flush()


def main() -> None:
    """Fork a step for each line that is read, and tell of each that has ended; until there is nobody who asks."""
    for module in IMPORTED:
        import_module(module)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    _tell(answers, {"pid": os.getpid()})
    lines, is_open = b"", True
    alive: set[int] = set()
    while is_open or alive:
        if is_open and select.select([0], [], [], POLL_SECONDS)[0]:
            block = os.read(0, 1 << 16)
            is_open = bool(block)
            *whole, lines = (lines + block).split(b"\n")
            for line in whole:
                alive.add(_fork(json.loads(line), answers))
        for pid in list(alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                alive.remove(pid)
                _tell(answers, {"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _fork(asked: Mapping[str, Any], answers: IO[bytes]) -> int:
    pid = os.fork()
    if pid:
        _tell(answers, {"pid": pid})
        return pid
    code = 1
    try:
        os.setsid()
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(asked["environment"])
        settings.cache_clear()
        import_module("chaos.steps").main(asked["step"], asked["run_id"])
        code = 0
    except BaseException:  # noqa: BLE001 - this is where the process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
