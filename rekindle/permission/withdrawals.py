"""
What a delivered file takes away: withdrawn consents, replies that say stop, people who ask to be erased.

Read leniently, for a withdrawal that is overlooked is a message to somebody who said no: what is written in other case, of an
unknown time or of an unlikely one counts. Nothing that is read here grants anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from rekindle.landing.formats import NOTHING, Columns, UnreadableFileError, is_utf8, rows_of
from rekindle.landing.phones import phone_hmac
from rekindle.landing.tombstones import BLANKS
from rekindle.permission.replies import is_opt_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rekindle.landing.delivery import Part
    from rekindle.landing.formats import Row
    from rekindle.settings import Settings

Kind = Literal["stop", "consent", "erasure"]
Cells = dict[str, str | None]

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Earlier times are mistakes of unit or defaults, as in ingestion."""

GRANT = "grant"
NO_KEY = "no_phone_key"
OF_ALL = ("", "all", "any", "*")
"""How a withdrawal names all kinds of messages, or all purposes."""


@dataclass(frozen=True)
class Withdrawal:
    """Permission that was taken away: of a user, of a phone, or of both."""

    kind: Kind
    source_id: str
    at: datetime
    user_id: str | None = None
    phone_hmac: str | None = None


@dataclass(frozen=True)
class Context:
    """What a file's rows are read with: the settings, the time that it is, and what it was delivered as."""

    said: Settings
    at: datetime
    part: Part
    digest: str

    def id_of(self, row: Row, named: str | None, on: str) -> str:
        """Name a row by its own id and date, so that the day's delivery says nothing new; one without an id by its place."""
        return f"{named} {on}" if named else f"{self.digest} {row.number}"

    def hmac(self, phone: str | None) -> str | None:
        """Return the HMAC of a phone; None of what is no number, or where there is no key."""
        key = self.said.phone_key.get_secret_value()
        return phone_hmac(phone, key) if key else None


@dataclass(frozen=True)
class Read:
    """What a file says, and why it, or some of its rows, say nothing that can be used."""

    withdrawals: tuple[Withdrawal, ...]
    unusable: Mapping[str, int]
    """Rows by reason; of a file that cannot be read at all, one."""

    @property
    def why_unusable(self) -> str | None:
        """The reasons in words, None where all could be used."""
        return ", ".join(f"{reason} {count}" for reason, count in sorted(self.unusable.items())) or None


class UnusableRowError(Exception):
    """A row of which nobody can say what it takes away; the message is a code."""


def read(name: str, content: bytes, context: Context) -> Read:
    """Read a file of the source of `context.part`."""
    source = SOURCES[context.part.source]
    found, unusable = [], dict[str, int]()
    try:
        for row in rows_of(name, content, source.columns):
            try:
                found += _of_row(row, source, context)
            except UnusableRowError as error:
                unusable[str(error)] = unusable.get(str(error), 0) + 1
    except UnreadableFileError as error:
        unusable[error.reason] = 1
    return Read(tuple(found), unusable)


@dataclass(frozen=True)
class _Source:
    columns: Columns
    required: tuple[str, ...]
    read: Callable[[Row, Cells, Context], Iterator[Withdrawal]]


def _of_row(row: Row, source: _Source, context: Context) -> list[Withdrawal]:
    if row.error:
        raise UnusableRowError(row.error)
    if absent := [name for name in source.required if name not in row.cells]:
        raise UnusableRowError(f"missing_column {absent[0]}")
    return list(source.read(row, row.cells, context))


def _consent(row: Row, cells: Cells, context: Context) -> Iterator[Withdrawal]:
    """Any action but a grant withdraws: nobody delivers a consent to say nothing."""
    if _plain(cells["action"]) == GRANT:
        return
    ours = {"message_channel": context.said.message_channel, "purpose": context.said.message_purpose}
    if any(_plain(cells.get(name)) not in (*OF_ALL, our.casefold()) for name, our in ours.items()):
        return
    at, on = _when(cells.get("at"), context)
    user = _id(cells["user_id"])
    if user is None:
        raise UnusableRowError("missing_user_id")
    yield Withdrawal(
        "consent", context.id_of(row, _id(cells.get("consent_id")), on), at, user, context.hmac(cells.get("phone"))
    )


def _reply(row: Row, cells: Cells, context: Context) -> Iterator[Withdrawal]:
    if not is_opt_out(cells["text"]):
        return
    hmac = context.hmac(cells["phone"])
    if hmac is None:
        raise UnusableRowError("no_number" if context.said.phone_key.get_secret_value() else NO_KEY)
    at, on = _when(cells.get("received_at"), context)
    yield Withdrawal("stop", context.id_of(row, _id(cells.get("reply_id")), on), at, phone_hmac=hmac)


def _erasure(row: Row, cells: Cells, context: Context) -> Iterator[Withdrawal]:
    user = _id(cells["user_id"])
    if user is None:
        raise UnusableRowError("missing_user_id")
    at, on = _when(cells.get("requested_at"), context)
    yield Withdrawal("erasure", context.id_of(row, None, on), at, user)


def _columns(*names: str) -> Columns:
    ids = frozenset(name for name in names if name.endswith("_id"))
    return Columns(names, ids=ids)


SOURCES = {
    "consents": _Source(
        _columns("consent_id", "user_id", "phone", "message_channel", "purpose", "action", "at"),
        ("user_id", "action"),
        _consent,
    ),
    "replies": _Source(_columns("reply_id", "phone", "received_at", "text"), ("phone", "text"), _reply),
    "erasures": _Source(_columns("user_id", "requested_at"), ("user_id",), _erasure),
}
"""What is read of each source, and which of its columns nothing can be said without."""


def _when(text: str | None, context: Context) -> tuple[datetime, str]:
    """
    When it was said, and the date that the row is known by.

    What nobody knows, or cannot be, is taken for now: as late as can be.
    """
    at = _time(text)
    if at is None:
        return context.at, context.part.day.isoformat()
    return (at if EARLIEST <= at <= context.at else context.at), at.date().isoformat()


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d|Z$)", "", (text or "").strip().upper()))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _plain(text: str | None) -> str:
    return (text or "").strip().casefold()


def _id(text: str | None) -> str | None:
    """Return an id as ingestion loads it, without the blanks around it that nobody sees; None of what is none."""
    bare = (text or "").strip().strip(BLANKS)
    return bare if bare.casefold() not in NOTHING and is_utf8(bare) and "\x00" not in bare else None


def digest_of(content: bytes) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(content).hexdigest()
