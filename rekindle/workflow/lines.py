"""
What a task did, in one line of words, made of what its stage records.

A task returns its line: Airflow writes what a task returns into the task's log and keeps it beside the task as its XCom, so that
both say the same, and neither says None. Nothing bigger is returned, and no task reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rekindle.report.words import rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from rekindle.permission.taking_away import Taken
    from rekindle.publishing import Published

    Detail = Mapping[str, Any]


def begun(kind: str, day: date, run_id: str) -> str:
    return f"The {kind} run of {day} has begun; its id in our tables is {run_id}."


def ended(kind: str, day: date, run_id: str) -> str:
    return f"The {kind} run of {day}, {run_id}, is done."


def arrived(day: date, sources: Sequence[str], missing: Sequence[str] = (), *, backfill: bool) -> str:
    told = ", ".join(sources) or "nothing"
    if backfill:
        return f"A backfill waits for nothing. Delivered for {day}: {told}."
    if missing:
        return f"Nobody is permitted anew on {day}: {', '.join(missing)} did not come. Delivered: {told}."
    return f"All that is expected for {day} has been delivered: {told}."


def ingested(source: str, day: date, told: Detail) -> str:
    if told["absent_days"]:
        return f"{source} of {day}: no delivery."
    fates = ", ".join(f"{told[fate]:,} {fate}" for fate in ("loaded", "duplicates", "quarantined"))
    again = "; it had been loaded before and is unchanged" if told["unchanged_days"] else ""
    return f"{source} of {day}: {rows(told['delivered'])} delivered, {fates}{again}."


def built(table: str, day: date, row_count: int) -> str:
    return f"{table} of {day}: {rows(row_count)}, released."


def built_marts(day: date, marts: Sequence[str], detail: Detail) -> str:
    return f"{', '.join(marts)} of {day}: {_many(detail['tests_passed'], 'test')} passed, released."


def unchanged(day: date, run_id: str) -> str:
    return (
        f"Nothing of {day} has changed since run {run_id} built and published it: who may be sent to is decided again, "
        "and the rest of this run is skipped."
    )


def kept(tables: Sequence[str], day: date) -> str:
    return f"{', '.join(tables)} of {day}: as it was built before; neither its inputs nor what makes it have changed."


def permitted(day: date, why_not: str | None) -> str:
    return (
        f"Nobody is permitted anew on {day}: {why_not}." if why_not else f"All that permits anybody on {day} is there."
    )


def recommended(day: date, row_count: int, told: Detail) -> str:
    rules = "; ".join(told["rules"])
    return f"Recommendations of {day}: {rows(row_count)} of users and items, by version {told['version']}. Left out: {rules}."


def scored(table: str, day: date, row_count: int, detail: Detail) -> str:
    by = f" by {detail['model']} version {detail['version']}" if detail.get("model") else ""
    return f"{table} of {day}: {rows(row_count)} scored{by}, released."


def published(day: date, products: Sequence[Published]) -> str:
    return f"Published for {day}: {'; '.join(map(_published, products))}."


def _published(one: Published) -> str:
    if not one.is_current:
        later = f", because the current rows are about {one.current_day}" if one.current_day else ""
        return f"{one.table} {rows(one.row_count)} into history only{later}"
    return f"{one.table} {rows(one.row_count)}, {one.changed_count:,} changed"


def taken_away(done: Taken) -> str:
    return f"As of {done.at:%Y-%m-%d %H:%M:%S} UTC: {done.words}"


def watched(day: date, figures: int, moved: Sequence[str]) -> str:
    told = f"; moved: {', '.join(moved)}" if moved else ""
    return f"Watched {_many(figures, 'figure')} of {day} against a week before{told}."


def reported(day: date, page: Path) -> str:
    return f"The page about {day} is {page}."


def trained(product: str, day: date, detail: Detail) -> str:
    champion = "is champion" if detail["promoted"] else f"did not become champion, for {detail['why_not_promoted']}"
    told = f"{product} as of {day}: version {detail['version']} {champion}. Gate: {detail['gate']}."
    return " ".join([told, *(str(detail[name]) for name in ("uplift", "kept_out") if name in detail)])


def recalibrated(product: str, day: date, detail: Detail) -> str:
    return f"{product} as of {day}: {detail['recalibration']}"


def waits(product: str, day: date, detail: Detail) -> str:
    return f"{product} as of {day} is skipped, for it was never in use and there is too little to learn from: {detail['waits']}"


def looked_after(
    day: date, done: Mapping[str, Mapping[str, int]], deleted_logs: int, erased: Mapping[str, int] | None = None
) -> str:
    """`done` is what upkeep counts, by table; `erased` how many people were erased, and forgotten, where any were."""
    sums = {what: sum(counts[what] for counts in done.values()) for what in next(iter(done.values()), {})}
    told = ", ".join(f"{what.replace('_', ' ')}: {count:,}" for what, count in sums.items())
    people = "".join(f", {what}: {count:,}" for what, count in (erased or {}).items())
    return f"{_many(len(done), 'table')} as of {day}. {told.capitalize()}, deleted logs: {deleted_logs:,}{people}."


def _many(value: int, one: str) -> str:
    return f"{value:,} {one if value == 1 else one + 's'}"
