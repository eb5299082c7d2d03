"""
Reasons: what a feature's value says about a user, in plain words with a number.

The words depend on the feature's name only, so they need no entry per data set; a feature without words of its own is
named and shown as it is. No markup, no advice: the contribution beside the words says in which direction they count.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_LIMIT = 40
"""Longer values of a text are cut: a category of 10 kB is data too, but not a reason anybody reads."""

NO_GAP = "too few active days for a usual gap"

Value = float | int | str | None


def words(source: str, value: Value) -> str:
    """Say what `value` of the feature `source` means: `last active 23 days ago`."""
    for pattern, phrase in PHRASES:
        found = pattern.fullmatch(source)
        if found:
            return phrase(value, **found.groupdict())
    column, _, key = source.partition(":")
    return _named(key or column, value)


def _recency(value: Value) -> str:
    return "not active within 365 days" if value is None else f"last active {_days(value)} ago"


def _gap_mean(value: Value) -> str:
    return NO_GAP if value is None else f"usually active every {_days(value)}"


def _gap_spread(value: Value) -> str:
    return NO_GAP if value is None else f"gaps between active days vary by {_days(value)}"


def _gap_ratio(value: Value) -> str:
    return NO_GAP if value is None else f"gap is {_number(value)} times the usual one"


def _change(value: float, unit: str) -> str:
    more = "more" if value >= 0 else "fewer" if unit else "less"
    amount = _count(abs(value), unit) if unit else _money(abs(value))
    return f"{amount} {more} than in the 28 days before"


PHRASES: list[tuple[re.Pattern[str], Callable[..., str]]] = [
    (re.compile(pattern, re.DOTALL), phrase)
    for pattern, phrase in {
        "recency_days": _recency,
        "tenure_days": lambda v: f"registered {_days(v)} ago",
        r"active_days_prior_28d": lambda v: f"{_count(v, 'active day')} in the 28 days before the last 28",
        r"active_days_change_28d": lambda v: _change(v, "active day"),
        r"active_days_(?P<w>\d+)d": lambda v, w: f"{_count(v, 'active day')} within {_days(int(w))}",
        r"orders_(?P<w>\d+)d": lambda v, w: f"{_count(v, 'order')} within {_days(int(w))}",
        r"sale_amount_prior_28d": lambda v: f"spent {_money(v)} in the 28 days before the last 28",
        r"sale_amount_change_28d": lambda v: f"spent {_change(v, '')}",
        r"sale_amount_(?P<w>\d+)d": lambda v, w: f"spent {_money(v)} within {_days(int(w))}",
        r"refund_amount_(?P<w>\d+)d": lambda v, w: f"refunds of {_money(v)} within {_days(int(w))}",
        r"event_counts_(?P<w>\d+)d": lambda v, w: f"{_count(v, 'other event')} within {_days(int(w))}",
        r"event_counts_(?P<w>\d+)d:(?P<t>.*)": lambda v, w, t: (
            f"{_count(v, f'{_cut(t)} event')} within {_days(int(w))}"
        ),
        r"distinct_items_(?P<w>\d+)d": lambda v, w: f"{_count(v, 'different item')} within {_days(int(w))}",
        r"distinct_categories_(?P<w>\d+)d": lambda v, w: (
            f"{_count(v, 'different category', 'different categories')} within {_days(int(w))}"
        ),
        "gap_mean_days": _gap_mean,
        "gap_spread_days": _gap_spread,
        "current_gap_ratio": _gap_ratio,
    }.items()
]
"""What features.user calls its columns, and how people would say it; the first pattern that fits."""


def _named(name: str, value: Value) -> str:
    shown = "unknown" if value is None else _cut(value) if isinstance(value, str) else _number(value)
    return f"{_cut(name).replace('_', ' ')}: {shown}"


def _days(value: float) -> str:
    return _count(value, "day")


def _count(value: float, one: str, many: str | None = None) -> str:
    return f"{_number(value)} {one if value == 1 else many or one + 's'}"


def _number(value: float) -> str:
    """Write whole numbers without a point, others with one decimal."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def _money(value: float) -> str:
    return f"{value:.2f}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
