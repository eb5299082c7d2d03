"""
The local Spark Connect server, from the pyspark wheel.

`conf/spark-defaults.conf` is its wiring; what depends on this home (addresses, passwords, memory) is a file of the home
that only its owner can read, so no secret stands on a command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekindle.errors import InputError
from rekindle.platform import processes
from rekindle.platform.home import write_private
from rekindle.platform.java import java_home
from rekindle.platform.machine import GIB, memory_bytes
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from rekindle.platform.credentials import Credentials
    from rekindle.platform.home import Home

TITLE = "Spark Connect"
NAME = "spark"
MIN_MEMORY_GIB, MAX_MEMORY_GIB = 1, 6
MEMORY_SHARE = 0.35
"""Spark's share of the machine: training, dbt and Airflow need the rest."""
MEMORY_PER_TASK_GIB = 0.5
"""Of Spark's share: with more cores than that, tasks at once would leave each other no room to sort in."""
FEW_CORES = 2
SMALL_HEAP = "-XX:+UseSerialGC -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 "
"""
Java's usual collector lets garbage lie until the heap is as large as it may be, and gives nothing back: of 6.4 GiB that a server
had grown to, 0.4 were in use. This one collects what it has before it takes more. Loading and tiling 90 days of 3,000 users took
66 s of processor time with it and 68 s without, and 0.9 GiB of memory instead of 3.5.
"""
QUICK_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m "
"""
Java's optimising compiler takes a third of two cores for plans that run a few times each: a first day takes 105 s without it
and 126 s with it, later ones the same. With more cores it works beside the queries.
"""
JARS = Path(sys.prefix) / "ivy"
"""Jars are kept with the Python packages: `make setup` downloads them once, for every home."""
SUBMIT_CLASS = "org.apache.spark.deploy.SparkSubmit"
SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def start(home: Home, postgres_port: int, passwords: Credentials) -> int:
    """Start the server unless it runs with the wiring of now. Returns its port without waiting for it."""
    place = _place(home, postgres_port, passwords)
    wiring = sha256(place.encode() + (PROJECT / "conf" / "spark-defaults.conf").read_bytes()).hexdigest()
    before = processes.last_port(home, NAME)
    if record := processes.running(home, NAME):
        if record["wiring"] == wiring:
            return record["port"]
        processes.stop(home, NAME)
    java = java_home()
    # What a killed server left behind.
    shutil.rmtree(home.folder("spark") / "local", ignore_errors=True)
    local = home.folder("spark", "local")
    # Airflow's scheduler, and what it starts, know the address of the server that was there.
    port = processes.free_port(before)
    file = home.folder("spark") / "place.conf"
    write_private(file, f"{place}spark.connect.grpc.binding.port {port}\n")
    command = [*_submit(file), "--class", SERVER_CLASS, "spark-internal"]
    env = _environment(java) | {"REKINDLE_SPARK_LOG": str(home.log("spark")), "SPARK_LOCAL_DIRS": str(local)}
    processes.start(home, NAME, command, env, port=port, wiring=wiring, java_home=str(java))
    return port


def wait(home: Home, port: int) -> None:
    """Wait until the server answers."""
    processes.wait_until(lambda: processes.listens(port), home, NAME, patience_s=120)


def running(home: Home) -> dict[str, Any] | None:
    return processes.running(home, NAME)


def stop(home: Home) -> bool:
    return processes.stop(home, NAME)


def fetch_jars() -> None:
    """
    Download what `spark.jars.packages` names, for every home, with Spark's own resolver.

    It resolves before it runs anything, and what it runs then is the question for its version.
    """
    JARS.mkdir(parents=True, exist_ok=True)
    place = JARS / "place.conf"
    place.write_text(f"spark.jars.ivy {JARS}\n")
    command = [*_submit(place), "--class", SUBMIT_CLASS, "spark-internal", "--version"]
    env = _environment(java_home()) | {"REKINDLE_SPARK_LOG": str(JARS / "spark.log")}
    subprocess.run(command, env=env, check=True)  # noqa: S603 - the command is written here


def _place(home: Home, postgres_port: int, passwords: Credentials) -> str:
    """Return the conf of this home, but for the server's port."""
    memory = min(MAX_MEMORY_GIB, max(MIN_MEMORY_GIB, memory_bytes() * MEMORY_SHARE / GIB))
    conf = {
        "spark.master": f"local[{min(_cores(), max(1, int(memory / MEMORY_PER_TASK_GIB)))}]",
        "spark.driver.memory": f"{memory * 1024:.0f}m",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # On two cores Java's common pool has one thread, and Hadoop then starts a thread for each range of a file it reads.
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:-UsePerfData "
        "-Djava.util.concurrent.ForkJoinPool.common.parallelism=4 "
        f"{SMALL_HEAP + QUICK_COMPILER if _cores() <= FEW_CORES else ''}"
        f'-Djava.io.tmpdir="{home.folder("spark", "local")}"',
        "spark.jars.ivy": str(JARS),
        # Without its native library, Hadoop starts a chmod process for each local file and folder that it writes: with a
        # file per day that was most of the time of loading a history. This file system sets permissions in Java. Hadoop
        # asks for it before Spark adds its packages, so its jar is on the class path.
        "spark.driver.extraClassPath": str(JARS / "jars" / "com.globalmentor_hadoop-bare-naked-local-fs-0.1.0.jar"),
        "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.authenticate.token": passwords.spark_token,
        "spark.sql.warehouse.dir": str(home.path / "spark" / "warehouse"),
        "spark.sql.catalog.lake.uri": f"jdbc:postgresql://127.0.0.1:{postgres_port}/lake",
        "spark.sql.catalog.lake.jdbc.user": "lake",
        "spark.sql.catalog.lake.jdbc.password": passwords.lake,
        "spark.sql.catalog.lake.warehouse": f"file://{home.path / 'warehouse'}",  # Hadoop reads no %20
    }
    return "".join(f"{name} {value}\n" for name, value in conf.items())


def _cores() -> int:
    return os.cpu_count() or 1


def _spark_home() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise InputError("The package pyspark is not installed.", todo="Run `make setup`.")
    return Path(spec.origin).parent


def _submit(place: Path) -> list[str]:
    """Return the command that reads the project's wiring first and the place's on top of it."""
    return [str(_spark_home() / "bin" / "spark-submit"), "--load-spark-defaults", "--properties-file", str(place)]


def _environment(java: Path) -> dict[str, str]:
    """
    Return a server's environment: ours, without what makes a process a Spark client.

    Without PYTHONPATH too: workers would import modules from it and keep their old code after an edit.
    """
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_")) and k != "PYTHONPATH"}
    return ours | {
        "JAVA_HOME": str(java),
        "SPARK_HOME": str(_spark_home()),
        "SPARK_CONF_DIR": str(PROJECT / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "TZ": "UTC",
    }
