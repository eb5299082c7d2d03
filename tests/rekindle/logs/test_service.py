"""A service that is run by `python -m rekindle.logs`: its output, its signals, its end, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 30


@contextmanager
def service(*command: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A service called `it`, run with nothing but Python, as an image has it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", RUN_ALONE, "it", "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HERE": str(PROJECT), **environ},
    ) as run:
        yield run
        run.kill()


RUN_ALONE = (
    "import os, runpy, sys; sys.path.append(os.environ['HERE']); runpy.run_module('rekindle.logs', run_name='__main__')"
)
"""Without site-packages: what is not of the standard library cannot be imported."""


def ended(*command: str, **environ: str) -> tuple[int, list[dict[str, str]]]:
    with service(*command, **environ) as run:
        out, error = run.communicate(timeout=PATIENCE_SECONDS)
    assert error == ""
    return run.returncode, [json.loads(line) for line in out.splitlines()]


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_both_outputs_are_told_and_the_exit_code_is_the_services():
    code, told = ended("sh", "-c", "echo to a@b.de; echo password=x >&2; printf unfinished; exit 7")

    assert code == 7
    assert {"it: " + entry["message"] for entry in told} == {"it: to [mail]", "it: password=[secret]", "it: unfinished"}


def test_the_secrets_of_its_environment_are_not_told():
    _, told = ended("sh", "-c", "echo $DB_PASSWORD", DB_PASSWORD="x" * 12)

    assert [entry["message"] for entry in told] == ["[secret]"]


def test_what_python_writes_is_told_while_it_runs():
    """It would hold it back in a pipe."""
    with service(*python("import time; print('begun'); time.sleep(60)")) as run:
        assert json.loads(run.stdout.readline())["message"] == "begun"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_reaches_the_service_which_ends_as_it_likes(number: signal.Signals):
    code = f"""
import signal, sys
signal.signal({int(number)}, lambda *_: (print("ends"), sys.exit(3)))
print("ready")
while True: signal.pause()
"""
    with service(*python(code)) as run:
        assert json.loads(run.stdout.readline())["message"] == "ready"
        run.send_signal(number)
        out, _ = run.communicate(timeout=PATIENCE_SECONDS)

    assert json.loads(out)["message"] == "ends"
    assert run.returncode == 3


def test_a_service_that_is_killed_is_told_as_shells_tell_it():
    code, _ = ended("sh", "-c", "kill -9 $$")

    assert code == 128 + signal.SIGKILL


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/", 126)])
def test_what_cannot_be_started_is_said(command: str, code: int):
    told_code, (entry,) = ended(command)

    assert told_code == code
    assert entry["level"] == "error" and command in entry["message"]


def test_who_is_left_behind_neither_holds_up_the_end_nor_stays_a_zombie():
    """A grandchild holds the pipe open; another ends while the service runs, and is collected by who is its parent then."""
    code, told = ended("sh", "-c", "sleep 30 & echo left; exit 0")

    assert (code, [entry["message"] for entry in told]) == (0, ["left"])


ZOMBIE = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1)  # who is left behind below this process becomes its child, as below the first of a container
sys.path.append(os.environ["HERE"])
from rekindle.logs.service import Service
Service("it", ["sh", "-c", "(sleep 0.1 & echo left $!); sleep 0.6; cat /proc/$PPID/task/$PPID/children"], str).run()
"""


def test_the_first_process_collects_what_others_leave_behind():
    run = subprocess.run(
        python(ZOMBIE), env={**os.environ, "HERE": str(PROJECT)}, capture_output=True, text=True, check=True
    )
    left, children = (json.loads(line)["message"] for line in run.stdout.splitlines())

    assert left.removeprefix("left ") not in children.split()


def test_a_service_outlives_who_reads_its_log():
    with service("sh", "-c", "echo first; sleep 0.5; echo second; sleep 0.5; exit 5") as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(timeout=PATIENCE_SECONDS) == 5


def test_much_at_once_is_told_whole_and_in_order():
    _, told = ended(*python("for i in range(10_000): print(f'INFO row {i} of +49151{i:07}')"))

    assert [entry["message"] for entry in told] == [f"INFO row {i} of [phone]" for i in range(10_000)]


def test_who_calls_it_otherwise_is_told_how():
    run = subprocess.run(
        [sys.executable, "-m", "rekindle.logs", "it", "sh"], capture_output=True, text=True, check=False, cwd=PROJECT
    )

    assert run.returncode == 2
    assert run.stderr.startswith("Usage: ")
