"""
What makes the rows of a partition beside its inputs, as one digest: our code and SQL, contracts, pinned libraries, settings.

A digest of all of it: a change of any line builds a day again that it may not concern, and none is missed.
"""

from __future__ import annotations

import hmac
import json
from functools import cache
from typing import TYPE_CHECKING

from rekindle import code
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS = ("rekindle", "spark_jobs", "ml", "contracts", "dbt_project", "conf")
"""What rows are made by. DAGs say when, and in what order."""

KINDS = ("*.py", "*.sql", "*.yml", "*.conf")

PINNED = ("requirements.txt", "requirements-data.txt", "requirements-stack.txt")
"""What pins the libraries that rows are made with, here and in containers. What `make bench` is held against makes none."""

IN_NO_ROW = frozenset(
    {"home", "landing", "data", "database_url", "alert_url", "mlflow_passwords", "sources", "phone_key"}
    | {"delivery_deadline_minutes", "delivery_poll_seconds", "fresh_by_hour", "logs_keep_days", "data_docs_keep_days"}
)
"""Settings that say where things are, or how long is waited: what is read there has a fingerprint of its own. The key of phones
is in the digest by itself: it is a secret, and no text is made of it."""


def digest(besides: Mapping[str, object] | None = None) -> str:
    """The digest of what would make a partition now; `besides` is what else does, for example a model."""
    decided = settings().model_dump(mode="json", exclude=set(IN_NO_ROW))
    told = json.dumps([code_digest(), decided, dict(besides or {})], sort_keys=True, default=str)
    return hmac.digest(settings().phone_key.get_secret_value().encode(), told.encode(), "sha256").hex()


@cache
def code_digest() -> str:
    """The digest of our files, read once: a process runs the code that it has loaded."""
    built = PROJECT / "dbt_project" / "target"
    found = {file for folder in FOLDERS for kind in KINDS for file in (PROJECT / folder).rglob(kind)}
    return code.digest(
        {*(f for f in found if built not in f.parents), *(file for name in PINNED for file in PROJECT.glob(name))}
    )
