"""What makes rows has a digest: of our files, of what a business decides, of a model; not of where things are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rekindle import code
from rekindle.settings import settings
from rekindle.warehouse import made_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of a few files, of which nothing is remembered."""
    for name in (
        "rekindle/days.py",
        "dbt_project/models/marts/a.sql",
        "contracts/a.yml",
        "dags/a.py",
        "requirements.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    monkeypatch.setattr(made_by, "PROJECT", tmp_path)
    made_by.code_digest.cache_clear()
    settings.cache_clear()
    yield tmp_path
    made_by.code_digest.cache_clear()
    settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "is_another"),
    [
        ("rekindle/days.py", True),
        ("rekindle/new.py", True),
        ("dbt_project/models/marts/a.sql", True),
        ("contracts/a.yml", True),
        ("requirements.txt", True),
        ("requirements-stack.txt", True),
        ("requirements-bench.txt", False),
        ("dags/a.py", False),
        ("dbt_project/target/compiled/a.sql", False),
        ("rekindle/__pycache__/days.pyc", False),
    ],
)
def test_rows_are_made_by_code_contracts_and_pinned_libraries(project: Path, name: str, *, is_another: bool):
    before = made_by.digest()
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("after")
    made_by.code_digest.cache_clear()

    assert (made_by.digest() != before) == is_another


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("variable", "value", "is_another"),
    [
        ("REKINDLE_LAPSE_DAYS", "8", True),
        ("REKINDLE_VALID_HOURS", "7", True),
        ("REKINDLE_LANDING", "s3://elsewhere", False),
        ("REKINDLE_PHONE_KEY", "a secret", True),
        ("REKINDLE_DELIVERY_DEADLINE_MINUTES", "0", False),
    ],
)
def test_rows_are_made_by_what_a_business_decides(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, *, is_another: bool
):
    before = made_by.digest()
    monkeypatch.setenv(variable, value)
    settings.cache_clear()

    assert (made_by.digest() != before) == is_another


@pytest.mark.usefixtures("project")
def test_rows_are_made_by_a_model():
    first, second = ({"model_version": version} for version in "12")

    assert len({made_by.digest(), made_by.digest(first), made_by.digest(second)}) == 3
