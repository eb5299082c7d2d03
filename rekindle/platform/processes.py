"""
Processes that outlive the command that starts them.

Each leaves a record in the home: its pid and when it began. Only a process to which both apply is ours; a pid alone may
belong to a stranger after a reboot or a kill -9.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from rekindle.errors import InputError
from rekindle.platform.home import did_not_start, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rekindle.platform.home import Home

CLOCK_TICK_S = 0.02
LOG_BYTES = 10_000_000
"""A longer log is set aside when its process starts anew."""


def start(home: Home, name: str, command: Sequence[str], env: Mapping[str, str], **facts: Any) -> None:
    """Start `command` in a session of its own; record it, with `facts` on how to reach it. It writes to its log."""
    log_file = home.log(name)
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
        log_file.replace(log_file.with_suffix(".old.log"))
    with log_file.open("a") as log:
        process = subprocess.Popen(  # noqa: S603 - commands are written in this package
            command,
            env=dict(env),
            cwd=home.folder(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # If we outlive it, somebody has to collect it: else a killed server would look alive.
    threading.Thread(target=process.wait, daemon=True).start()
    with suppress(psutil.NoSuchProcess):
        record = {"pid": process.pid, "began": _began(psutil.Process(process.pid)), **facts}
        write_private(home.folder("run") / f"{name}.json", json.dumps(record))


def running(home: Home, name: str) -> dict[str, Any] | None:
    """Return the record of a process that runs, None if it does not."""
    file = home.path / "run" / f"{name}.json"
    if not file.exists():
        return None
    record = json.loads(file.read_text())
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(record["pid"])
        if process.status() != psutil.STATUS_ZOMBIE and abs(_began(process) - record["began"]) < CLOCK_TICK_S:
            return record
    return None


def last_port(home: Home, name: str) -> int | None:
    """Where a process answers, or did when it ended without being stopped: who knows that address finds the next one there."""
    file = home.path / "run" / f"{name}.json"
    return json.loads(file.read_text()).get("port") if file.exists() else None


def stop(home: Home, name: str, *, patience_s: float = 15) -> bool:
    """Stop a process and what it started; False if it did not run."""
    record = running(home, name)
    if record:
        process = psutil.Process(record["pid"])
        end(process, signal.SIGTERM, patience_s=patience_s)
        # It led its own session, so what is left of its group is its children.
        with suppress(ProcessLookupError):
            os.killpg(record["pid"], signal.SIGKILL)
    (home.path / "run" / f"{name}.json").unlink(missing_ok=True)
    return record is not None


def end(process: psutil.Process, with_signal: signal.Signals, *, patience_s: float) -> None:
    """Ask a process to end, and kill it if it does not within `patience_s`."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(with_signal)
        try:
            process.wait(patience_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(patience_s)


def wait_until(is_ready: Callable[[], bool], home: Home, name: str, *, patience_s: float) -> None:
    """Wait for a started process to be ready; say which log to read if it ends or takes too long."""
    deadline = time.monotonic() + patience_s
    while not is_ready():
        if running(home, name) is None or time.monotonic() > deadline:
            raise did_not_start(name, home.log(name))
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether something answers on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def not_served(host: str, port: int, error: OSError) -> InputError:
    """The error of a service that cannot listen where it was told to."""
    return InputError(
        f"Nothing can be served at {host}:{port}: {error.strerror}.",
        todo="Name another port, or end what listens there.",
        safe="Nothing was done.",
    )


def free_port(preferred: int | None = None, *, patience_s: float = 0) -> int:
    """
    Return `preferred` if nobody has it, or gives it back within so many seconds, else any free port of 127.0.0.1.

    A server that was killed may leave children who listen for a moment still.
    """
    until = time.monotonic() + patience_s
    while preferred is not None:
        if port := _bound(preferred):
            return port
        if time.monotonic() >= until:
            break
        time.sleep(0.1)
    if port := _bound(0):
        return port
    raise OSError("No free port on 127.0.0.1.")


def _bound(port: int) -> int | None:
    """Return the port if it can be bound, any for 0; None if somebody has it."""
    with socket.socket() as probe, suppress(OSError):
        # Servers set this too: a port whose last connections are still closing is free for them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])
    return None


def _began(process: psutil.Process) -> float:
    """Seconds from boot to a process's start: a clock that is set right does not change them."""
    return process.create_time() - psutil.boot_time()
