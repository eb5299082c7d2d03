from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from rekindle.errors import RekindleError
from rekindle.platform import processes
from rekindle.platform.home import Home

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    processes.stop(home, "sleeper", patience_s=1)


def start(home, command=SLEEP):
    processes.start(home, "sleeper", command, os.environ, port=1)
    return processes.running(home, "sleeper")


def test_a_started_process_is_known_with_how_to_reach_it(home):
    assert start(home)["port"] == 1


def test_it_outlives_the_command_that_started_it(home):
    starter = f"""
from pathlib import Path
from rekindle.platform import processes
from rekindle.platform.home import Home
import os
processes.start(Home(Path({str(home.path)!r})), "sleeper", {SLEEP!r}, os.environ)
"""
    said = subprocess.run([sys.executable, "-X", "dev", "-c", starter], check=True, capture_output=True, text=True)

    assert said.stdout + said.stderr == ""
    assert processes.running(home, "sleeper")


def test_a_killed_process_does_not_run(home):
    pid = start(home)["pid"]
    psutil.Process(pid).kill()
    time.sleep(0.2)

    assert processes.running(home, "sleeper") is None
    assert not processes.stop(home, "sleeper")


def test_a_stranger_with_the_same_pid_is_left_alone(home):
    """After a reboot a pid names another program, which began at another time."""
    start(home)
    processes.stop(home, "sleeper")
    with subprocess.Popen(SLEEP) as stranger:
        (home.path / "run" / "sleeper.json").write_text(json.dumps({"pid": stranger.pid, "began": 1.0}))

        assert processes.running(home, "sleeper") is None
        assert not processes.stop(home, "sleeper")
        assert stranger.poll() is None
        stranger.kill()


def test_stop_ends_children_and_who_does_not_listen(home):
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    record = start(home, [sys.executable, "-c", f"{deaf}; subprocess.Popen({SLEEP!r}); time.sleep(600)"])
    deadline = time.monotonic() + 10
    while not (children := psutil.Process(record["pid"]).children()) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert processes.stop(home, "sleeper", patience_s=0.5)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert children
    assert not alive


def test_waiting_for_a_process_that_ended_names_its_log(home):
    start(home, [sys.executable, "-c", "raise SystemExit('no disk')"])

    with pytest.raises(RekindleError, match="sleeper did not start") as caught:
        processes.wait_until(lambda: False, home, "sleeper", patience_s=10)
    assert str(home.log("sleeper")) in caught.value.todo
    assert "no disk" in home.log("sleeper").read_text()


def test_a_port_that_is_given_back_soon_is_waited_for():
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    port = holder.getsockname()[1]
    threading.Timer(0.3, holder.close).start()

    assert processes.free_port(port, patience_s=20) == port


def test_a_free_port_is_the_preferred_one_unless_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert processes.free_port(port) != port
    assert processes.free_port(port) == port
