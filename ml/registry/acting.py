"""
As whom this process speaks to a team's MLflow: it reads as the scorer, trains as the trainer, promotes as the promoter.

MLflow takes the account from the environment with each request, so the environment is what changes. Where no passwords are
named, as on one machine, there is no account.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rekindle.errors import InputError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAINER, PROMOTER, SCORER = "trainer", "promoter", "scorer"
ACCOUNT, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
REGISTRY = "MLFLOW_REGISTRY_URI"


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """
    Speak to MLflow as this role during the block, and name the registry to whatever client MLflow makes for itself in it.

    Left to itself, such a client asks the session of Spark that the process has had where the registry is, whether that server
    lives or not, and waits ten minutes for one that is gone.
    """
    from mlflow import get_tracking_uri

    with _restored(ACCOUNT, PASSWORD, REGISTRY):
        _become(role)
        os.environ[REGISTRY] = get_tracking_uri()
        yield


@contextmanager
def _restored(*names: str) -> Iterator[None]:
    """Put variables of the environment back after the block, whatever was made of them in it."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def be_somebody() -> None:
    """Speak as the scorer, who may only read, where nobody has said otherwise."""
    if ACCOUNT not in os.environ:
        _become(SCORER)


def _become(role: str) -> None:
    if not (folder := settings().mlflow_passwords):
        return
    file = folder / f"mlflow_{role}"
    if not file.is_file():
        raise InputError(
            f"There is no password for MLflow's account {role}: looked for {file}.",
            todo="Give this service the secret, or do it where there is one: only weekly_training trains and promotes.",
            safe="Nothing was registered and nobody was promoted.",
            code="no_secret",
        )
    os.environ |= {ACCOUNT: role, PASSWORD: file.read_text(encoding="utf-8").strip()}
