"""Keys of those who may ask: shown once, kept as hashes, each with what it may ask for."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from rekindle.errors import InputError
from rekindle.postgres import transact

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from rekindle.postgres import Connection

Scope: TypeAlias = Literal["score", "recommend", "rta"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`score`: scores and models. `recommend`: what users are recommended. `rta`: answers to auctions."""

ID_LETTERS, ID_LENGTH = string.ascii_lowercase + string.digits, 8
KEY_ID = re.compile(r"[a-z0-9]{8}", re.ASCII)
TOKEN = re.compile(r"rk_([a-z0-9]{8})_([\w-]{43})", re.ASCII)
"""The id, by which a key is found and named in logs, and 256 random bits."""


@dataclass(frozen=True)
class Key:
    """A key that is in force."""

    key_id: str
    secret_sha256: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Listed:
    """A key as people see it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


def add(name: str, scopes: Collection[str]) -> str:
    """Make a key and return its token, which is not kept."""
    if unknown := set(scopes) - set(SCOPES):
        raise InputError(f"There is no scope {', '.join(sorted(unknown))}.", todo=f"Choose from: {', '.join(SCOPES)}.")
    if not scopes or not name.isprintable() or not name.strip():
        raise InputError("A key has a name and a scope.", todo="Say who will ask with it, and for what.")
    key_id = "".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    transact(
        lambda connection: connection.execute(
            # Done again after a lost answer it is there already.
            "insert into serving.api_key (key_id, name, secret_sha256, scopes) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            [key_id, name, _hashed(secret), sorted(scopes)],
        )
    )
    return f"rk_{key_id}_{secret}"


def revoke(key_id: str) -> None:
    """Let a key be in force no longer; the service knows within seconds."""

    def work(connection: Connection) -> int:
        return connection.execute(
            "update serving.api_key set revoked_at = coalesce(revoked_at, clock_timestamp()) where key_id = %s",
            [key_id],
        ).rowcount

    if not KEY_ID.fullmatch(key_id) or not transact(work):
        raise InputError(f"There is no key {key_id}.", todo="See `rekindle keys list`.", safe="Nothing was changed.")


def listed() -> list[Listed]:
    """Return all keys that were ever made, in the order of their making."""
    rows = transact(
        lambda connection: connection.execute(
            "select key_id, name, scopes, created_at, revoked_at from serving.api_key order by created_at"
        ).fetchall()
    )
    return [Listed(key_id, name, tuple(scopes), *times) for key_id, name, scopes, *times in rows]


def in_force(connection: Connection) -> dict[str, Key]:
    """Return the keys that are in force, by id."""
    rows = connection.execute("select key_id, secret_sha256, scopes from serving.api_key where revoked_at is null")
    return {key_id: Key(key_id, hashed, frozenset(scopes)) for key_id, hashed, scopes in rows}


def known(token: str, keys: Mapping[str, Key]) -> Key | None:
    """Return the key that a token is; None where it is none of them."""
    told = TOKEN.fullmatch(token)
    key = keys.get(told[1]) if told else None
    return key if told and key and hmac.compare_digest(key.secret_sha256, _hashed(told[2])) else None


def _hashed(secret: str) -> str:
    # No salt and no stretching: nobody guesses 256 random bits.
    return sha256(secret.encode()).hexdigest()
