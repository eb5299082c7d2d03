from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from rekindle import platform as local_platform
from rekindle.errors import InputError
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import settings

REKINDLE = Path(sys.executable).with_name("rekindle")


def records(home):
    return {file.name: file.read_text() for file in (home / "run").glob("*.json")}


def test_a_second_up_keeps_all_servers_and_takes_no_time(platform):
    before, began = records(platform), time.monotonic()
    services = local_platform.up(platform, tools=())

    assert time.monotonic() - began < 2
    assert records(platform) == before
    assert {service.name for service in services if service.address} == {"Postgres", "Spark Connect"}


def test_the_commands_print_no_warning(platform, monkeypatch):
    monkeypatch.setenv("REKINDLE_HOME", str(platform))
    said = subprocess.run([REKINDLE, "status", "--json"], capture_output=True, text=True, check=True)

    assert said.stderr == ""
    assert set(json.loads(said.stdout)["services"]) == {"Postgres", "Spark Connect", "Airflow", "MLflow"}


def test_status_shows_no_secret(platform):
    shown = str(local_platform.status(platform))

    assert not any(secret in shown for secret in asdict(credentials(Home(platform))).values())


def test_another_homes_down_stops_nothing_here(platform, tmp_path):
    credentials(Home(tmp_path))

    assert local_platform.down(tmp_path) == ()
    assert all(service.address for service in local_platform.status(platform)[:2])


def test_a_platform_that_does_not_run_says_how_to_start_it(tmp_path):
    with pytest.raises(InputError, match="rekindle up"):
        local_platform.environment(tmp_path)


def test_attaching_keeps_the_servers_that_a_team_has_set(platform, monkeypatch):
    monkeypatch.setenv("REKINDLE_HOME", str(platform))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    for name in ("SPARK_REMOTE", "REKINDLE_DATABASE_URL"):
        monkeypatch.delenv(name)
    settings.cache_clear()

    local_platform.attach()
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert os.environ["SPARK_REMOTE"] == local_platform.environment(platform)["SPARK_REMOTE"]


def test_a_folder_that_is_no_home_is_not_deleted(tmp_path):
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(InputError, match="not the home of a platform"):
        local_platform.delete(tmp_path)
    assert (tmp_path / "holiday.jpg").exists()


def test_airflow_gets_a_connection_to_spark_with_its_token(platform):
    environment = local_platform.environment(platform)
    connection = json.loads(environment["AIRFLOW_CONN_SPARK_DEFAULT"])

    assert f"{connection['host']}:{connection['port']}" == environment["SPARK_REMOTE"]
    assert connection["password"] == environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"]


def test_nothing_tells_its_makers_about_us(platform):
    environment = local_platform.environment(platform)

    assert environment["DO_NOT_TRACK"] == "true"
    assert environment.items() >= local_platform.TELEMETRY_OFF.items()
