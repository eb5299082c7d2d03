"""Airflow's metrics: those that alerts and the page ask for are there, by the list of the Airflow that is installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from rekindle.settings import PROJECT

DROPPED = "dropped"
ENDINGS = {"counter": "counter", "timer": "observer", "gauge": "gauge"}
"""Kinds of metric as Airflow's list calls them, and as the mapping does."""


def read(path: Path) -> dict[str, list[dict[str, str]]]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


MAPPING = read(PROJECT / "docker" / "metrics" / "statsd_mapping.yml")["mappings"]


def airflows() -> list[dict[str, str]]:
    """Airflow's own list, which its documentation is made of."""
    folder = Path(find_spec("airflow").origin).parent
    return read(folder / "_shared" / "observability" / "metrics" / "metrics_template.yaml")["metrics"]


def name_of(name: str, kind: str) -> str:
    """What statsd_exporter makes of a name: the first rule that fits, and dots and dashes become underscores."""
    for rule in MAPPING:
        is_pattern = rule.get("match_type") == "regex"
        pattern = rule["match"] if is_pattern else re.escape(rule["match"]).replace(r"\*", "[^.]*") + "$"
        found = re.search(pattern, name) if is_pattern else re.match(pattern, name)
        if found and rule.get("match_metric_type", ENDINGS[kind]) == ENDINGS[kind]:
            return (
                DROPPED
                if rule.get("action") == "drop"
                else re.sub(r"[.-]", "_", rule["name"].replace("${1}", found[1]))
            )
    raise AssertionError(f"{name} is not mapped")


@pytest.mark.parametrize(
    ("name", "kind", "becomes"),
    [
        ("airflow.ti_failures", "counter", "airflow_ti_failures_total"),
        ("airflow.task.duration", "timer", "airflow_task_duration_seconds"),
        ("airflow.dagrun.dependency-check", "timer", "airflow_dagrun_dependency_check_seconds"),
        ("airflow.pool.open_slots", "gauge", "airflow_pool_open_slots"),
        ("airflow.dag_processing.processes", "counter", DROPPED),
        ("airflow.dag_processing.last_num_of_db_queries.daily_scores", "gauge", DROPPED),
        ("airflow.airflow.io.load_filesystems", "timer", DROPPED),
        ("other.thing", "counter", DROPPED),
    ],
)
def test_names_become_what_prometheus_is_used_to(name: str, kind: str, becomes: str):
    """As statsd_exporter was seen to name what Airflow's own client sent."""
    assert name_of(name, kind) == becomes


@pytest.mark.parametrize("file", ["docker/metrics/alerts.yml", "docs/metrics.md"])
def test_what_is_asked_for_is_told_by_this_airflow(file: str):
    told = {name_of(f"airflow.{metric['name']}", metric["type"]) for metric in airflows()}
    asked = set(re.findall(r"\bairflow_[a-z_]+[a-z](?!\w)", (PROJECT / file).read_text(encoding="utf-8")))

    assert len(asked) > 3
    assert asked <= told
