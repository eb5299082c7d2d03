"""Passwords and keys of one home, generated once, in one file that only its owner can read."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rekindle.platform.home import write_private

if TYPE_CHECKING:
    from rekindle.platform.home import Home


def _password() -> str:
    """Characters that need no quoting in a URL, a conf file or SQL."""
    return secrets.token_hex(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """One password per role of Postgres, and the keys of phones, of Spark Connect and of Airflow."""

    postgres: str = field(default_factory=_password, repr=False)
    airflow: str = field(default_factory=_password, repr=False)
    lake: str = field(default_factory=_password, repr=False)
    mlflow: str = field(default_factory=_password, repr=False)
    scores: str = field(default_factory=_password, repr=False)
    sms_reader: str = field(default_factory=_password, repr=False)
    phone_key: str = field(default_factory=_password, repr=False)
    spark_token: str = field(default_factory=_password, repr=False)
    airflow_admin: str = field(default_factory=_password, repr=False)
    airflow_session: str = field(default_factory=_password, repr=False)
    airflow_jwt: str = field(default_factory=_password, repr=False)
    airflow_fernet_key: str = field(default_factory=_fernet_key, repr=False)


def credentials(home: Home) -> Credentials:
    """Return this home's credentials; what is missing is generated."""
    file = home.folder() / "secrets.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    result = Credentials(**kept)
    if asdict(result) != kept:
        write_private(file, json.dumps(asdict(result), indent=1))
    return result
