"""Calls of `docker compose` on a stack. Two stacks stand side by side by their names, ports and folders of secrets."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).resolve().parent.parent
PORTS = {
    "AIRFLOW_PORT": 8080,
    "MLFLOW_PORT": 5000,
    "POSTGRES_PORT": 5432,
    "SPARK_PORT": 15002,
    "ANSWERS_PORT": 8090,
    "METRICS_PORT": 9108,
    "AIRFLOW_METRICS_PORT": 9102,
}


@dataclass(frozen=True)
class Stack:
    """A stack by its name; `shift` moves all its ports, so that a second one finds free ones."""

    name: str = "rekindle"
    shift: int = 0
    secrets: Path = PROJECT / "secrets"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        ports = {name: str(self.port(name)) for name in PORTS}
        ours = {"COMPOSE_PROJECT_NAME": self.name, "REKINDLE_SECRETS": str(self.secrets), "BUILDKIT_PROGRESS": "plain"}
        return {**os.environ, **ports, **ours, **self.variables}

    def port(self, name: str) -> int:
        """The port of 127.0.0.1 at which a service answers; the environment may say another."""
        return int(os.environ.get(name, PORTS[name])) + self.shift

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    def run(self, *arguments: str, check: bool = True, timeout_s: float = 3600) -> subprocess.CompletedProcess[str]:
        """Run a command of compose to its end. Raises CalledProcessError, whose text holds what it printed."""
        command = ["docker", "compose", "--ansi", "never", *arguments]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise StackError(
                f"`docker compose {' '.join(arguments)}` ended with {done.returncode}.", done.stderr + done.stdout
            )
        return done

    def tool(self, *command: str, service: str = "tools", mounts: Sequence[str] = (), **variables: str) -> str:
        """Run a command in a container of its own, and return what it prints."""
        given = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        given += [part for mount in mounts for part in ("-v", mount)]
        return self.run("run", "--rm", "-T", *given, service, *command).stdout

    def services(self) -> list[dict[str, object]]:
        """All containers of the stack, ended ones too, as compose tells them."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").stdout.splitlines() if line]


class StackError(Exception):
    """What a stack was asked for and did not do; `told` is what it printed."""

    def __init__(self, what: str, told: str = "") -> None:
        super().__init__("\n".join([what, *told.strip().splitlines()[-15:]]))


def has_engine() -> bool:
    """Whether a Docker engine with compose can be reached."""
    try:
        for command in (["docker", "version"], ["docker", "compose", "version"]):
            if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode:
                return False
    except (OSError, subprocess.TimeoutExpired):
        return False
    return True
