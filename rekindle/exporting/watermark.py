"""Watermarks: the last pair (time of change, user) that a tool has seen. What comes after it is what has changed since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from rekindle.errors import InputError


@dataclass(frozen=True)
class Watermark:
    """Where the last pull ended: rows are in the order of (changed_at, user_id)."""

    changed_at: datetime
    user_id: str

    @classmethod
    def parse(cls, text: str) -> Watermark:
        """Read what an export has printed. A user id may hold commas; the first ends the time."""
        at, comma, user_id = text.partition(",")
        try:
            changed_at = datetime.fromisoformat(at)
        except ValueError:
            changed_at = None
        if changed_at is None or changed_at.tzinfo is None or not comma:
            raise InputError(
                "The watermark is none: a time with its zone, a comma and a user id.",
                todo="Give --since as the last export has printed it, or leave it out for all rows.",
                code="usage",
            )
        return cls(changed_at.astimezone(UTC), user_id)

    def __str__(self) -> str:
        return f"{self.changed_at.astimezone(UTC).isoformat()},{self.user_id}"

    @property
    def stamp(self) -> str:
        """Its time as part of the name of a file: exports after one another have different names."""
        return f"{self.changed_at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}"
