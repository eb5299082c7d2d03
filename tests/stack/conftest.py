"""
A stack of its own, built from nothing and taken down at the end. It takes minutes: `make e2e` runs these tests, `make test` not.

At the end stand seconds, sizes of the images and the peak of memory by container.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

from stack.compose import PROJECT, Stack, has_engine

HERE = Path(__file__).parent
FIGURES = {"seconds": {}, "images": {}, "peaks": defaultdict(float)}


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.skipif(not has_engine(), reason="no Docker engine can be reached"))


def pytest_terminal_summary(terminalreporter):
    if not FIGURES["seconds"]:
        return
    told = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in FIGURES["seconds"].items())
    sizes = ", ".join(f"{image} {size / 1e6:.0f}" for image, size in sorted(FIGURES["images"].items()))
    peaks = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(FIGURES["peaks"].items()))
    terminalreporter.write_line(f"Stack: {told}\nImages (MB): {sizes}\nPeak memory (MiB): {peaks}")


def timed(step, work):
    began = time.monotonic()
    result = work()
    FIGURES["seconds"][step] = time.monotonic() - began
    return result


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def make_secrets(folder):
    subprocess.run([PROJECT / "scripts" / "secrets.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    if "STACK_UNDER_TEST" in os.environ:
        # One that stands, for whoever works on these tests.
        yield Stack()
        return
    one = Stack("rekindle-e2e", shift=10_000, secrets=make_secrets(tmp_path_factory.mktemp("e2e") / "secrets"))
    over = threading.Event()
    watch = threading.Thread(target=_watch_memory, args=(one, over), daemon=True)
    try:
        timed("build", lambda: one.run("--profile", "tools", "--profile", "cluster", "build", "--quiet"))
        watch.start()
        timed("up", lambda: one.run("up", "--detach", "--wait"))
        for line in docker("images", "--format", "{{.Repository}} {{.ID}}").splitlines():
            name, image = line.split()
            if name.startswith("rekindle-"):
                FIGURES["images"][name] = int(docker("image", "inspect", "--format", "{{.Size}}", image))
        yield one
    except BaseException:
        sys.stderr.write(one.run("logs", "--tail", "40", check=False).stdout[-20_000:])
        raise
    finally:
        over.set()
        timed("down", lambda: one.run("--profile", "tools", "--profile", "cluster", "down", "--volumes", check=False))


def _watch_memory(stack, over):
    units = {"B": 1 / (1 << 20), "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
    while not over.wait(5):
        done = subprocess.run(
            ["docker", "stats", "--no-stream", "--format", "{{json .}}"], capture_output=True, text=True, check=False
        )
        for line in done.stdout.splitlines():
            told = json.loads(line)
            if not told["Name"].startswith(f"{stack.name}-"):
                continue
            used = told["MemUsage"].split(" / ")[0]
            number = used.rstrip("KMGiB")
            name = told["Name"].removeprefix(f"{stack.name}-")
            FIGURES["peaks"][name] = max(FIGURES["peaks"][name], float(number) * units[used[len(number) :]])
