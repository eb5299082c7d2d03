"""Accepting: a person lets one soft check that has stopped a day pass, for that day and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle import records
from rekindle.errors import InputError
from rekindle.warehouse.checks.days import rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from rekindle.records import Acceptance, RecordedCheck
    from rekindle.warehouse.contracts import Contract

UNCHANGED = "Nothing was accepted."


def accept(  # noqa: PLR0917 - what is accepted, by whom and why
    table: str, contract: Contract | None, rule: str, day: date, accepted_by: str, because: str
) -> Acceptance:
    """
    Record that a person lets a check of a table pass for a day, having seen how it failed.

    `rule` is what a report calls the check, or how the contract names its condition. Raises InputError for a check that did not
    stop the day, and for one that nobody may accept.
    """
    if not because.strip():
        raise InputError(
            "An acceptance needs a reason.", todo="Say it: --because 'spring sale'", safe=UNCHANGED, code="usage"
        )
    check = chosen(table, contract, rule, day, records.last_said(table, day))
    condition, moved = check.detail["soft"], check.detail["moved"][str(day)]
    return records.append_acceptance(table, condition, day, moved, accepted_by, " ".join(because.split()))


def chosen(table: str, contract: Contract | None, rule: str, day: date, said: Sequence[RecordedCheck]) -> RecordedCheck:
    """Find the failed soft check that is meant among what the checks of a table's day `said`."""
    declared = list(rules_of(contract)) if contract else []
    if any(one.condition == rule and not one.is_soft for one in declared):
        raise _never(table, rule)
    # A condition may stop at one limit and warn at another.
    names = [rule, *(one.name for one in declared if one.condition == rule)]
    found = sorted((c for c in said if c.rule in names), key=lambda c: (not records.stops(c), c.severity))
    if not found:
        raise InputError(
            f"No check of {table} called {rule!r} is recorded for {day}.",
            todo=_what_there_is(table, day, said),
            safe=UNCHANGED,
            code="no_such_check",
        )
    check = found[0]
    if check.severity == "stop" and check.outcome == "failed" and not records.is_soft(check):
        raise _never(table, check.rule)
    if not records.stops(check) or str(day) not in check.detail["moved"]:
        why = (
            "only warns"
            if check.severity == "warn"
            else "is accepted"
            if records.is_accepted(check)
            else "did not fail"
        )
        raise InputError(
            f"{rule!r} of {table} did not stop {day}: it {why}.",
            todo=_what_there_is(table, day, said),
            safe=UNCHANGED,
            code="nothing_to_accept",
        )
    return check


def _never(table: str, rule: str) -> InputError:
    return InputError(
        f"{rule!r} of {table} is no check that a person may accept.",
        todo="Mend what it found and run the day again. Only what compares a day with the days before it can be accepted.",
        safe=UNCHANGED,
        code="not_acceptable",
    )


def _what_there_is(table: str, day: date, said: Sequence[RecordedCheck]) -> str:
    names = [
        c.detail["soft"] for c in said if records.stops(c) and records.is_soft(c) and str(day) in c.detail["moved"]
    ]
    if names:
        return f"What stopped {table} on {day} and can be accepted: {', '.join(names)}."
    return (
        f"No check that can be accepted stopped {table} on {day}; the report says what did: rekindle report --day {day}"
    )
