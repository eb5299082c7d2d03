"""DAGs as Airflow would load them, without its database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """All DAGs of the folder by id, imported from their files."""
    import importlib

    from airflow.sdk import DAG

    sys.path.insert(0, str(DAGS))
    try:
        modules = [importlib.import_module(file.stem) for file in sorted(DAGS.glob("*.py"))]
    finally:
        sys.path.remove(str(DAGS))
    made = [value() if callable(value) else value for module in modules for value in _decorated(module)]
    return {dag.dag_id: dag for dag in made if isinstance(dag, DAG)}


def _decorated(module: object) -> list[object]:
    """The DAG that a file defines stands in it under the file's own name."""
    name = module.__name__
    return [getattr(module, name)] if hasattr(module, name) else []
