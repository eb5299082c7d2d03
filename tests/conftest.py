"""A platform of the test session's own: real Postgres and Spark Connect in a temporary home, beside any that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings as hypothesis_settings

from rekindle import platform as local_platform
from rekindle.platform import airflow, mlflow
from rekindle.platform.home import Home
from rekindle.settings import settings
from tests.bad_inputs import COLLECTED
from tests.homes import HOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession


KEPT = ("REKINDLE_DATA",)
"""Where data sets are that no package carries: a setting of the machine, and not of what is tested."""

BEGUN_FIRST = (
    "integration/test_workflow.py",
    "spark_jobs/features/test_features.py",
    "rekindle/warehouse/test_marts.py",
)
"""Files that take minutes: begun last, one of them would leave all other workers waiting for it."""


# How long an example takes says how busy the machine is.
hypothesis_settings.register_profile("rekindle", deadline=None)
hypothesis_settings.load_profile("rekindle")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-golden", action="store_true", help="Record golden files anew instead of comparing.")


def pytest_configure(config: pytest.Config) -> None:
    HOMES.beginning = getattr(config, "workerinput", {}).get("homes", HOMES.beginning)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist the name of this run."""
    node.workerinput["homes"] = HOMES.beginning


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        HOMES.delete_all()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server by the fixtures that it uses, which `make unit` leaves out; begin with what takes longest."""
    config.stash[COLLECTED] = list(items)
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("platform")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    file = item.path.as_posix()
    return next((turn for turn, name in enumerate(BEGUN_FIRST) if file.endswith(name)), len(BEGUN_FIRST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests have recorded as the property `figure`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session", autouse=True)
def own_environment() -> Iterator[None]:
    """Tests see no server and no setting of whoever runs them, and what they set ends with them."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("REKINDLE_", "SPARK_", "MLFLOW_", "AIRFLOW")) and name not in KEPT:
            del os.environ[name]
    os.environ |= local_platform.TELEMETRY_OFF
    settings.cache_clear()
    yield
    os.environ.clear()
    os.environ |= before
    settings.cache_clear()


@pytest.fixture(scope="session")
def server() -> None:
    """Is asked for by each fixture that starts a server, so that the tests which need one can be told from the others."""


@pytest.fixture(scope="session")
def platform(server: None) -> Iterator[Path]:  # noqa: ARG001 - says that it is one
    """Return the home of a running platform with all tables; this process is attached to it."""
    home = HOMES.new()
    try:
        local_platform.up(home, tools=())
        yield home
    finally:
        from pyspark.sql import SparkSession

        # A session that is left open calls the server when Python ends, and waits ten minutes for one that is gone.
        if left_open := SparkSession.getActiveSession():
            left_open.stop()
        local_platform.delete(home)


@pytest.fixture(scope="session")
def spark(platform: Path) -> Iterator[SparkSession]:  # noqa: ARG001 - must run, and must outlive the session
    """A session on the platform's Spark, with our code on its workers."""
    from rekindle.warehouse.spark import session

    spark = session()
    yield spark
    spark.stop()


@pytest.fixture(scope="session")
def mlflow_ready(platform: Path) -> Path:
    """The platform, with MLflow's database."""
    mlflow.set_up(Home(platform), os.environ)
    return platform


@pytest.fixture(scope="session")
def airflow_ready(platform: Path) -> Path:
    """The platform, with Airflow's database."""
    airflow.set_up(Home(platform), os.environ)
    return platform


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that recorded it. Recording anew is an explicit act: `make golden`."""

    def compare(file: Path, text: str) -> None:
        if request.config.getoption("--record-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"{file.name} was never recorded. Look at what it would be, then: make golden"
        assert text == file.read_text(encoding="utf-8"), f"{file.name} differs. If that is meant: make golden"

    return compare
