"""What is recorded of a watched figure: a check of its own, which warns and never stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.records import CheckResult
from rekindle.watching.stability import LEAST_ROWS, share_move, stability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

DRIFT = "drift of "
SHARE = "share of "
"""Rules begin like this; the name of the figure follows."""


WATCHED = ", watched"


def watched(table: str) -> str:
    """Name the checks of what is watched of a table, beside those of its contract."""
    return f"{table}{WATCHED}"


def drift(figures: Mapping[str, tuple[Sequence[int], Sequence[int]]], against: date) -> list[CheckResult]:
    """Judge counts over bins, of the day and of the day `against`, by figure."""
    results = []
    for name, (now, before) in figures.items():
        found = stability(now, before)
        detail = {
            "index": round(found.index, 4),
            "limit": round(found.limit, 4),
            "rows": found.rows,
            "against": str(against),
            "rows_before": found.rows_before,
        }
        outcomes = {"moved": "failed", "steady": "passed", "too_few_rows": "not_judged"}
        results.append(CheckResult(f"{DRIFT}{name}", "warn", outcomes[found.verdict], None, detail))  # type: ignore[arg-type]
    return results


def shares(now: Mapping[str, int], before: Mapping[str, int], against: date) -> list[CheckResult]:
    """Judge which share of the users each code has, against another day's; codes that neither day has are left out."""
    of, of_before = sum(now.values()), sum(before.values())
    results = []
    for code in sorted({*now, *before}):
        move = share_move(now.get(code, 0), of, before.get(code, 0), of_before)
        detail = {
            "share": round(move.share, 4),
            "before": round(move.before, 4),
            "limit": round(move.limit, 4),
            "rows": of,
            "against": str(against),
        }
        few = min(of, of_before) < LEAST_ROWS
        outcome = "not_judged" if few else "failed" if move.has_moved else "passed"
        results.append(CheckResult(f"{SHARE}{code}", "warn", outcome, None, detail))  # type: ignore[arg-type]
    return results
