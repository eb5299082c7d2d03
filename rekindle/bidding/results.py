"""
What ads have caused: of each strategy what it bought, and how many more came back than of its control group.

Users were left alone by lot, and everybody who was asked for counts, shown an ad or not. So what differs is what bidding has
done; clicks are not asked, for whoever clicks may have come anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle import groups
from rekindle.bidding.declared import CONTROL_END
from rekindle.experiments.estimates import difference, mean
from rekindle.experiments.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from rekindle.experiments.estimates import Estimate, Interval
    from rekindle.records import AdResult

ALPHA = 0.05

COMMON_CONTROL = "control"
"""The control group of strategies that have none of their own."""


@dataclass(frozen=True)
class Caused:
    """What a strategy has caused among the users that it was asked for, against those left alone, with 95 % intervals."""

    control: str
    control_users: int
    control_rate: float
    per_user: float
    per_user_interval: Interval
    activations: float
    activations_interval: Interval

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        low, high = self.per_user_interval
        return "more come back" if low > 0 else "fewer come back" if high < 0 else "cannot be told from none"


@dataclass(frozen=True)
class Strategy:
    """What a strategy has bought, and who came back."""

    name: str
    requests: int
    won: int
    clicks: int
    spend: Decimal
    users: int
    rate: float | None
    """Of its users, how many came back; None of so few that nothing is said."""
    caused: Caused | None
    """None for a control group, and where there is none, or too few people."""

    @property
    def per_activation(self) -> float | None:
        """What one more who came back has cost; None where it is not known that there was one."""
        if self.caused is None or not self.caused.per_user_interval[0] > 0:
            return None
        return float(self.spend) / self.caused.activations


def of_rows(rows: Sequence[AdResult]) -> tuple[Strategy, ...]:
    """Hold each strategy beside its control group; in the order of their names."""
    by_name = {row.strategy: row for row in rows}
    return tuple(_strategy(row, _control(row.strategy, by_name)) for _, row in sorted(by_name.items()))


def _control(name: str, by_name: dict[str, AdResult]) -> AdResult | None:
    if name == COMMON_CONTROL or name.endswith(CONTROL_END):
        return None
    return by_name.get(f"{name}{CONTROL_END}") or by_name.get(COMMON_CONTROL)


def _strategy(row: AdResult, control: AdResult | None) -> Strategy:
    enough = groups.may_be_shown(row.users)
    found = _caused(row, control) if enough and control and groups.may_be_shown(control.users) else None
    rate = _rate(row).value if enough else None
    return Strategy(row.strategy, row.requests, row.won, row.clicks, row.spend, row.users, rate, found)


def _caused(row: AdResult, control: AdResult) -> Caused:
    per_user = difference(_sums(row), _sums(control))
    all_of_them = per_user.times(row.users)
    return Caused(
        control=control.strategy,
        control_users=control.users,
        control_rate=_rate(control).value,
        per_user=per_user.value,
        per_user_interval=per_user.interval(ALPHA),
        activations=all_of_them.value,
        activations_interval=all_of_them.interval(ALPHA),
    )


def _rate(row: AdResult) -> Estimate:
    return mean(_sums(row))


def _sums(row: AdResult) -> Sums:
    """Sums over users, each of whom came back or did not."""
    users, came = float(row.users), float(row.activated)
    return Sums(clusters=row.users, users=users, y=came, uu=users, uy=came, yy=came)
