"""
Tombstones: erased people, by an HMAC of their id, so that a later delivery of them is dropped without anybody knowing of whom.

The key is that of the phones. It lies neither in the warehouse nor in the database, and without it nobody can try out ids.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rekindle.errors import InputError
from rekindle.landing.phones import keyed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PURPOSE = "user\x00"
"""Stands before an id, which may consist of digits: no HMAC of a user is one of a phone."""

BLANKS = (
    " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u200b\ufeff"
)
"""What ingestion takes off around an id (`spark_jobs.ingest.rules.BLANKS`)."""

WORDS = re.compile(r"""[^\s,;:|"'{}\[\]()<>=]+""")
"""What an id may be in a text that is not told into columns."""


def user_hmac(user_id: str, key: str) -> str:
    """HMAC-SHA256 of a user's id, in hexadecimal."""
    return keyed(PURPOSE + user_id.strip(BLANKS), key)


def of_user(user_id: str) -> str:
    """HMAC of a user's id under the deployment's key."""
    return user_hmac(user_id, key())


def key() -> str:
    """Return the key. Raises InputError where there is none: a tombstone under another key would be found by nobody."""
    from rekindle.settings import settings

    found = settings().phone_key.get_secret_value()
    if not found:
        raise InputError(
            "There is no key to know erased people by: REKINDLE_PHONE_KEY is not set.",
            todo="Set it to what it was when they were erased; it never changes.",
            safe="Nothing was done.",
            code="no_phone_key",
        )
    return found


def standing() -> frozenset[str]:
    """Return all tombstones."""
    from rekindle.postgres import transact

    rows = transact(lambda connection: connection.execute("select user_hmac from rekindle.tombstone").fetchall())
    return frozenset(found for (found,) in rows)


def recogniser(tombstones: frozenset[str], key: str) -> Callable[[Iterable[str | None], str | None], bool]:
    """
    Return what says whether a row is about an erased person: by the cells of its ids, or by the words of its raw text.

    Each id is asked for once: of a delivery, most come back.
    """
    known: dict[str, bool] = {}

    def is_erased(text: str) -> bool:
        if text not in known:
            known[text] = user_hmac(text, key) in tombstones
        return known[text]

    def recognised(ids: Iterable[str | None], raw_text: str | None) -> bool:
        return any(is_erased(one) for one in ids if one) or any(is_erased(w) for w in WORDS.findall(raw_text or ""))

    return recognised


def by_hmac(user_ids: Iterable[str]) -> Mapping[str, str]:
    """Return the ids by their HMACs."""
    under = key()
    return {user_hmac(user_id, under): user_id for user_id in user_ids}
