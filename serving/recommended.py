"""A published day's recommendations as they are held: each user's list, and what is known of items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from rekindle.publishing.recommended import Trace
    from serving.held import Rows

BLOCKED, COUNTRIES = "blocked", "countries"


@dataclass(frozen=True)
class Wanted:
    """An item that somebody wants to have put in order."""

    item_id: str
    category: str | None = None
    """Of one that the day does not know: by it, it enters."""


@dataclass(frozen=True)
class Offered:
    """What users are recommended on a day. Never changed, only replaced."""

    day: date
    valid_until: datetime
    trace: Trace
    users: Rows
    items: Rows
    places: Mapping[str, int]
    """Of each item its row."""

    def shown(self, place: int, limit: int | None = None) -> list[dict[str, Any]]:
        """Return a user's list, best first, as the daily table has it; `place` is that of the user's row."""
        found = self._list(place)[:limit]
        return [{**one, "title": self._item(one["item_id"], "title")} for one in found]

    def ordered(self, place: int, wanted: Sequence[Wanted]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """
        Put items in order for a user; return them, and those that the user may not be shown, with the rule.

        First come those of the user's list, as they stand there. Then those of categories that the list has, by the reciprocal
        places that a category has in it, and within one by how many users had them: a new item is the last of its category. Then
        all others, by how many users had them; of equal ones the one that was named first.
        """
        listed = {one["item_id"]: one for one in self._list(place)}
        liked: dict[str, float] = {}
        for item, one in listed.items():
            if name := self._item(item, "category"):
                liked[name] = liked.get(name, 0.0) + 1.0 / one["rank"]
        country = self.users.value(place, "country")
        named = {one.item_id: one for one in reversed(wanted)}
        kept = [one for one in dict.fromkeys(one.item_id for one in wanted) if not self._withheld(one, country)]
        left_out = [
            {"item_id": item, "why": why}
            for item in dict.fromkeys(one.item_id for one in wanted)
            if (why := self._withheld(item, country))
        ]
        last = len(self.places) + 1

        def key(item: str) -> tuple[float, ...]:
            if item in listed:
                return (0.0, listed[item]["rank"])
            category = self._item(item, "category") if item in self.places else named[item].category
            popular = self._item(item, "place") or last
            return (1.0, -liked[category], popular) if category in liked else (2.0, 0.0, popular)

        def by(item: str) -> str:
            tier = key(item)[0]
            if tier < 2.0:  # noqa: PLR2004 - see `key`
                return "list" if not tier else "category"
            return "popularity" if item in self.places else "unknown"

        told = [
            {"item_id": item, "rank": rank, "by": by(item), "score": listed.get(item, {}).get("score")}
            for rank, item in enumerate(sorted(kept, key=key), start=1)
        ]
        return told, left_out

    def _list(self, place: int) -> list[dict[str, Any]]:
        row = self.users.row(place)
        columns = (row["items"], row["scores"], row["retrievers"], row["is_fallback"])
        return [
            {"rank": rank, "item_id": item, "score": score, "retriever": retriever, "is_fallback": is_fallback}
            for rank, (item, score, retriever, is_fallback) in enumerate(zip(*columns, strict=True), start=1)
        ]

    def _item(self, item: str, column: str) -> Any:
        return self.items.value(self.places[item], column) if item in self.places else None

    def _withheld(self, item: str, country: str | None) -> str | None:
        """The rule by which a user may not be shown an item; of one that the day does not know there is none."""
        if why := self._item(item, "withheld"):
            return str(why)
        sold = self._item(item, COUNTRIES)
        return COUNTRIES if sold and (country or "").upper() not in sold.split() else None
