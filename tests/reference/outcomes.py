"""
Who counts where a score is the chance of something without a message, told user by user and day by day.

Users are those of one decile of one scored day: nothing tells them apart but what happened to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class User:
    """What was foretold of a user, what came, and on which day of the window the first message and activity were."""

    predicted: float
    actual: float
    message: int | None
    active: int | None
    lot: Fraction
    """From 0 to 1."""

    def is_away(self, day: int) -> bool:
        """Whether the user had neither come back nor been sent a message when the day began."""
        return all(happened is None or happened >= day for happened in (self.message, self.active))

    def is_sent_first_message(self, day: int) -> bool:
        return self.is_away(day) and self.message == day


def counted(users: Sequence[User], last_day: int) -> Iterable[User]:
    """Those without a message, also had they not come back before they could be sent one."""
    days = range(1, last_day + 1)
    for user in users:
        if any(user.is_sent_first_message(day) for day in days):
            continue
        left = days if user.active is None else range(user.active + 1, last_day + 1)
        if user.active is None or user.lot < chance_of_none(users, left):
            yield user


def chance_of_none(users: Sequence[User], days: Iterable[int]) -> Fraction:
    """Of those who are away as a day begins, the share that is sent no message on it: its product over the days."""
    chance = Fraction(1)
    for day in days:
        away = [user for user in users if user.is_away(day)]
        if away:
            chance *= 1 - Fraction(sum(user.is_sent_first_message(day) for user in away), len(away))
    return chance


def sums(users: Iterable[User]) -> tuple[int, float, float, float]:
    """Add up: users, predictions, what came, squared errors."""
    found = list(users)
    return (
        len(found),
        sum(user.predicted for user in found),
        sum(user.actual for user in found),
        sum((user.actual - user.predicted) ** 2 for user in found),
    )
