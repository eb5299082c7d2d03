"""
Backup and restore of a stack: all databases, and then all that lies in the object store.

In this order they fit together while the stack runs: a catalog of tables and a registry of models name objects that are only
ever added, and table_upkeep keeps what was deleted for `snapshot_keep_days`. The secrets are no part of it: without the phone
key no opt-out is found again, so keep both, and apart.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from stack.compose import PROJECT, StackError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from stack.compose import Stack

DATABASES = "scores", "lake", "mlflow", "mlflow_auth", "airflow"
AS_ADMINISTRATOR = 'PGPASSWORD=$(cat /run/secrets/postgres) exec "$0" --host 127.0.0.1 --username postgres "$@"'
OBJECTS = "objects.tar"
# What the store knows of an object beside its bytes is in attributes of its file.
TAR = "tar", "--xattrs", "--xattrs-include=user.*", "-C", "/data"


def backup(stack: Stack, folder: Path) -> int:
    """Write a backup into a folder that is empty or not there; returns its bytes. The stack goes on running."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StackError(f"{folder} is not empty. Nothing was written: a backup is whole, or it is none.")
    folder.chmod(0o700)
    for name in DATABASES:
        dump = ["sh", "-c", AS_ADMINISTRATOR, "pg_dump", "--format", "custom", "--dbname", name]
        _to_file(stack, "postgres", dump, folder / f"{name}.dump")
    _to_file(stack, "store", [*TAR, "-cf", "-", "."], folder / OBJECTS)
    return sum(file.stat().st_size for file in folder.iterdir())


def restore(stack: Stack, folder: Path) -> None:
    """Fill a new stack from a backup and start it. Refuses where the stack has data already."""
    missing = [name for name in (*(f"{name}.dump" for name in DATABASES), OBJECTS) if not (folder / name).is_file()]
    if missing:
        raise StackError(f"{folder} is no whole backup: {', '.join(missing)} is missing. Nothing was changed.")
    stack.run("up", "--detach", "--wait", "postgres", "store")
    if stack.run("exec", "-T", "store", "ls", "/data").stdout.strip():
        raise StackError("The stack has data already. Nothing was changed: restore into a new one.")
    stack.run("run", "--rm", "-T", "databases")
    for name in DATABASES:
        fill = ["sh", "-c", AS_ADMINISTRATOR, "pg_restore", "--exit-on-error", "--dbname", name]
        _from_file(stack, "postgres", fill, folder / f"{name}.dump")
    _from_file(stack, "store", [*TAR, "-xf", "-"], folder / OBJECTS)
    stack.run("up", "--detach", "--wait")


def _to_file(stack: Stack, service: str, command: list[str], file: Path) -> None:
    draft = file.with_suffix(".draft")
    with draft.open("wb") as out:
        _exec(stack, service, command, stdout=out)
    draft.rename(file)


def _from_file(stack: Stack, service: str, command: list[str], file: Path) -> None:
    with file.open("rb") as content:
        _exec(stack, service, command, stdin=content, stdout=subprocess.DEVNULL)


def _exec(stack: Stack, service: str, command: list[str], **streams: IO[bytes] | int) -> None:
    done = subprocess.run(
        ["docker", "compose", "exec", "-T", service, *command],
        cwd=PROJECT,
        env=stack.environment,
        stdin=streams.get("stdin"),
        stdout=streams.get("stdout"),
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise StackError(
            f"{command[0]} in {service} ended with {done.returncode}.", done.stderr.decode(errors="replace")
        )
