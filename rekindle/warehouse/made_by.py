"""
What makes the rows of a partition beside its inputs, as one digest: our code and SQL, contracts, pinned libraries, settings.

A digest of all of it: a change of any line builds a day again that it may not concern, and none is missed.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from rekindle import code
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS = ("rekindle", "spark_jobs", "ml", "contracts", "dbt_project", "conf")
"""What rows are made by. DAGs say when, and in what order."""

KINDS = ("*.py", "*.sql", "*.yml", "*.conf", "requirements.txt")

OF_A_PLACE = frozenset(
    {"home", "landing", "data", "database_url", "alert_url", "mlflow_passwords", "phone_key", "sources"}
)
"""Settings that say where things are, or that are secret; what is read there has a fingerprint of its own."""


def digest(besides: Mapping[str, object] | None = None) -> str:
    """The digest of what would make a partition now; `besides` is what else does, for example a model."""
    decided = settings().model_dump(mode="json", exclude=set(OF_A_PLACE))
    told = json.dumps([_files(), decided, dict(besides or {})], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def _files() -> str:
    """Read once: a process runs the code that it has loaded."""
    built = PROJECT / "dbt_project" / "target"
    found = {file for folder in FOLDERS for kind in KINDS for file in (PROJECT / folder).rglob(kind)}
    return code.digest({*(f for f in found if built not in f.parents), *PROJECT.glob("requirements.txt")})
