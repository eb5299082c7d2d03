"""dbt as a process that parses a project once, runs each command by itself, and ends with whoever has started it."""

from __future__ import annotations

import os
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from rekindle.warehouse.dbt import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DBT = """
import os, time
os.write(1, b"imported")
from types import SimpleNamespace

class dbtRunner:
    def __init__(self, manifest=None):
        self.manifest = manifest

    def invoke(self, arguments):
        word, *told = arguments
        print(word, *told, self.manifest, os.environ["OF_THE_CALL"], flush=True)
        if word == "sleep":
            time.sleep(60)
        if word == "break":
            return SimpleNamespace(success=False, exception=ValueError("no such model"), result=None)
        return SimpleNamespace(success=word != "fail", exception=None, result=f"parsed by {os.getpid()}")
"""


@pytest.fixture
def dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A process that takes for dbt what says what it is asked, and sleeps, fails or breaks as it is told."""
    folder = tmp_path / "dbt" / "cli"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    (folder / "main.py").write_text(DBT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = Process()
    yield process
    process.process.kill()
    process.process.wait()
    process.process.stdout.close()
    process.process.stdin.close()


@pytest.fixture
def ask(dbt: Process, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run a command with variables; returns the exit code and what was printed."""

    def asked(command: str, variables: str = "of Monday", of_the_call: str = "main") -> tuple[int, str]:
        output = tmp_path / "output.txt"
        output.unlink(missing_ok=True)
        told: dict[str, Any] = {
            "parse": ["parse"],
            "run": [command],
            "environment": {**os.environ, "OF_THE_CALL": of_the_call},
        }
        code = dbt.run(variables=variables, folder=str(tmp_path), output=str(output), **told)
        return code, output.read_text()

    return asked


def test_a_project_is_parsed_once_for_the_same_variables(ask: Callable[..., tuple[int, str]]):
    first, second, other = ask("build"), ask("build", of_the_call="branch"), ask("build", "of Tuesday")

    assert first[0] == second[0] == other[0] == 0
    parsed, built = first[1].removeprefix("imported").splitlines()
    assert parsed == "parse None main"
    assert second[1] == built.replace("main", "branch") + "\n"
    assert other[1].startswith("parse None main\n")


def test_a_command_that_fails_or_breaks_says_so_and_the_next_is_run(ask: Callable[..., tuple[int, str]]):
    assert ask("fail")[0] == 1
    broken = ask("break")
    assert broken[0] == 2
    assert "ValueError: no such model" in broken[1]
    assert ask("build")[0] == 0


def begun(dbt: Process, ask: Callable[..., tuple[int, str]], answers: list[Any]) -> tuple[psutil.Process, Thread]:
    """Begin a command of a minute; returns the process that does it."""
    asking = Thread(target=lambda: answers.append(ask("sleep")), daemon=True)
    asking.start()
    until = time.monotonic() + 30
    while not (found := psutil.Process(dbt.process.pid).children()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found[0], asking


def test_a_command_ends_when_its_caller_is_gone(dbt: Process, ask: Callable[..., tuple[int, str]]):
    command, _ = begun(dbt, ask, [])
    dbt.process.stdin.close()  # what the system does for a caller that was killed

    assert dbt.process.wait(20) == 1
    command.wait(20)


def test_a_command_ends_with_the_process_that_has_begun_it(dbt: Process, ask: Callable[..., tuple[int, str]]):
    answers: list[Any] = []
    command, asking = begun(dbt, ask, answers)
    dbt.process.kill()

    command.wait(20)
    asking.join(20)
    assert answers[0][0] == -9
    assert not dbt.stands_by
