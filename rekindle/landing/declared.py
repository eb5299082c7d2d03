"""
Sources that are tables of a warehouse, as `sources` in conf/rekindle.yml declares them.

No secret stands there: a database is named by a URL without a password, or by the environment variable that holds its URL.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from rekindle.errors import InputError
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Mapping

SNAPSHOTS = "snapshots"
"""Stands in `delivered` for Iceberg's snapshot log; anything else is a column that says when a row arrived."""

KINDS = ("iceberg", "jdbc")
OPTIONS = (*KINDS, "table", "delivered", "ready", "closes_after_hours", "user", "password", "driver")
POSTGRES_DRIVER = "org.postgresql.Driver"
SECRETS = ("user", "password")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Database:
    """Where a database is, and as whom it is asked."""

    url: str
    """Of JDBC, without anybody's name or password."""
    user: str = ""
    password: str = field(default="", repr=False)
    driver: str = ""
    """The class of its driver, whose jar Spark has; it is found by the URL only where Spark was started with it."""


@dataclass(frozen=True)
class Declared:
    """One source that is a table."""

    source: str
    table: str
    """As whoever is asked names it: Spark for Iceberg, else the database."""
    delivered: str
    """By what a row arrives: `snapshots`, or a column."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By column of the source what it is in the table: a column of another name, or an expression of Spark's SQL over them."""
    ready: str | None = None
    """A query that says whether `{day}` is complete, asked where nothing later has arrived."""
    closes_after_hours: int = 0
    """Hours after the end of a day up to which what arrives is delivered for it."""
    database: Database | None = None

    def digest(self, *content: object) -> str:
        """SHA-256 of what is read of a day: of the contents that are named, as this declaration reads them."""
        read = [self.table, self.delivered, self.closes_after_hours, sorted(self.columns.items()), *content]
        return hashlib.sha256(json.dumps(read, default=str).encode()).hexdigest()


def declared(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Declared]:
    """Read all declarations. Raises InputError for one that nobody could follow, or that holds a secret."""
    return {source: _declared(source, spec) for source, spec in sources.items()}


def _declared(source: str, spec: Mapping[str, Any]) -> Declared:
    names = [column.name for column in contracts.landing_contract(source).delivered]
    for key in spec:
        if key not in (*OPTIONS, *names):
            near = difflib.get_close_matches(key, [*OPTIONS, *names], 1, 0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            _refuse(
                f"{source} says {key!r}, which is neither an option nor a column of it.{hint}",
                f"Use {', '.join(names)}",
            )
    kinds = [kind for kind in KINDS if kind in spec]
    if len(kinds) != 1:
        _refuse(f"{source} names no table, or two.", "Write `iceberg: catalog.schema.table`, or `jdbc` and `table`")
    is_jdbc = kinds == ["jdbc"]
    table = str(spec.get("table", "") if is_jdbc else spec["iceberg"])
    if not table:
        _refuse(f"{source} names a database and no table.", "Write `table: schema.table`")
    delivered = str(spec.get("delivered", ""))
    if not delivered or (is_jdbc and delivered == SNAPSHOTS):
        _refuse(
            f"{source} does not say by what a row of {table} arrives, so nobody could tell a day of it, nor when it is complete.",
            "Write `delivered: snapshots` (Iceberg), or `delivered:` and the column that holds when a row arrived",
        )
    hours = spec.get("closes_after_hours", 0)
    if not isinstance(hours, int) or not 0 <= hours < 24:  # noqa: PLR2004 - a day has 24 hours
        _refuse(f"{source} says closes_after_hours: {hours}.", "Write whole hours, 0 to 23")
    ready = spec.get("ready")
    if ready is not None and "{day}" not in str(ready):
        _refuse(f"The ready query of {source} asks for no day.", "Write {day} where the day stands, as in date '{day}'")
    return Declared(
        source,
        table,
        delivered,
        {name: str(spec[name]) for name in names if name in spec},
        ready,
        hours,
        _database(source, spec) if is_jdbc else None,
    )


def _refuse(what: str, todo: str) -> NoReturn:
    raise InputError(
        f"In `sources`, {what}",
        todo=f"{todo}; docs/bring-your-own-data.md shows how.",
        safe="Nothing was done.",
        code="source_misdeclared",
    )


def _database(source: str, spec: Mapping[str, Any]) -> Database:
    given = str(spec["jdbc"])
    is_variable = VARIABLE.fullmatch(given) is not None
    url = _of_environment(source, given) if is_variable else given
    bare, user, password = _without_secrets(url)
    if not is_variable and password:
        raise InputError(
            f"In `sources`, the URL of {source} holds a password.",
            todo="Name the environment variable that holds it, `password: SHOP_PASSWORD`, and change it: the file was read.",
            safe="Nothing was done.",
            code="secret_in_conf",
        )
    if "password" in spec:
        password = _of_environment(source, str(spec["password"]))
    driver = POSTGRES_DRIVER if bare.startswith("jdbc:postgresql:") else ""
    return Database(bare, str(spec.get("user", user)), password, str(spec.get("driver", driver)))


def _of_environment(source: str, name: str) -> str:
    """The value of an environment variable. What is no name of one may be the secret itself: it is not quoted."""
    if VARIABLE.fullmatch(name) is None:
        raise InputError(
            f"In `sources`, the password of {source} is not the name of an environment variable.",
            todo="Name the variable that holds it: `password: SHOP_PASSWORD`.",
            safe="Nothing was done.",
            code="secret_in_conf",
        )
    if not os.environ.get(name):
        _refuse(f"{source} needs the environment variable {name}, which is not set.", "Set it where tasks run")
    return os.environ[name]


def _without_secrets(url: str) -> tuple[str, str, str]:
    """The URL as JDBC writes it, without user and password; and these."""
    scheme, found, rest = url.removeprefix("jdbc:").partition("://")
    if not found:  # of a database whose URLs are none
        return url, "", ""
    parts = urlsplit(f"//{rest}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    told = dict(query)
    kept = urlencode([(name, value) for name, value in query if name not in SECRETS])
    bare = urlunsplit(("", parts.netloc.rpartition("@")[2], parts.path, kept, ""))
    user, password = (unquote(part or "") for part in (parts.username, parts.password))
    scheme = "postgresql" if scheme == "postgres" else scheme
    return f"jdbc:{scheme}:{bare}", user or told.get("user", ""), password or told.get("password", "")
