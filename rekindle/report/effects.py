"""
What a campaign caused, from the sums that became known of it: a pure function, and all figures that its page shows.

Intervals are those of docs/experiments.md. A campaign that was planned here has known users, whose outcomes of a kind become
known at once: one look. One that was planned elsewhere, and the global holdout, go on: their intervals are always valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from rekindle import groups
from rekindle.experiments import Comparison, Estimate, SampleRatio, Sums, compare, looks, sample_ratio, worth
from rekindle.experiments.estimates import mean
from rekindle.report.came_true import window_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from rekindle.records import CampaignResult, Measured

EVERYBODY = ""
"""The segment that everybody is in."""

RETURN = "active"
"""The kind of label that is a return."""

SHARES = (RETURN, "redeemed")
"""Kinds of label that are 1 or 0; others are money."""

TIGHTEST_AT = 20_000
"""Users at which an interval that is always valid is the tightest: of a holdout of a twentieth, a thousand held out."""

Kind = Literal["share", "amount"]


@dataclass(frozen=True)
class Arm:
    """Users of an arm, and what came of them: the response, which counts those who would have come anyway."""

    name: str
    is_control: bool
    users: int
    response: Estimate
    cost: float


@dataclass(frozen=True)
class Caused:
    """An arm against the control: of one user, and of all users of the arm."""

    comparison: Comparison
    users: int

    @property
    def arm(self) -> str:
        return self.comparison.arm

    @property
    def total(self) -> float:
        return self.comparison.effect.value * self.users

    @property
    def total_interval(self) -> tuple[float, float]:
        low, high = self.comparison.corrected
        return low * self.users, high * self.users


@dataclass(frozen=True)
class OfLabel:
    """All that is known of one kind of outcome."""

    label: str
    kind: Kind
    known_on: date
    """The last delivery that completed some of it."""
    arms: tuple[Arm, ...]
    """The control last."""
    caused: tuple[Caused, ...]
    segments: Mapping[str, tuple[Caused, ...]]

    @property
    def counts(self) -> str:
        """What is counted, without the days."""
        return counted(self.label)

    @property
    def window(self) -> str:
        """The days after the assignment that are counted."""
        return window_of(self.label)


@dataclass(frozen=True)
class Paid:
    """What an arm cost and what was had for it. `per_response` takes each return for one that was caused, as claims do."""

    arm: str
    cost: float
    per_response: float | None
    per_caused: worth.Ratio
    per_caused_told: str | None
    on_spend: worth.Ratio | None
    on_spend_told: str | None


@dataclass(frozen=True)
class Effects:
    """What is known of a campaign."""

    campaign: Measured
    first_day: date
    """The first day that outcomes are counted from."""
    last_day: date
    labels: tuple[OfLabel, ...]
    ratio: SampleRatio | None
    paid: tuple[Paid, ...]
    small_segments: int
    is_too_small: bool
    """Some arm has so few users that nothing is shown."""

    @property
    def returns(self) -> OfLabel | None:
        """Who came back, soonest."""
        return next((one for one in self.labels if one.counts == RETURN), None)

    @property
    def value(self) -> OfLabel | None:
        """The first outcome that is money."""
        return next((one for one in self.labels if one.kind == "amount"), None)


def counted(label: str) -> str:
    """Say what a label counts, without its days: `active_1_7` is active."""
    return label.rsplit("_", 2)[0]


def measure(campaign: Measured, rows: Sequence[CampaignResult]) -> Effects:
    """Measure a campaign of which there are rows; each user is in those of a label once."""
    by_label: dict[str, list[CampaignResult]] = {}
    for row in rows:
        by_label.setdefault(row.label, []).append(row)
    labels = [_label(name, some) for name, some in sorted(by_label.items(), key=_in_order)]
    everybody = [row for row in rows if row.segment == EVERYBODY]
    shown = {(one.label, segment) for one in labels for segment in one.segments}
    segments = {(row.label, row.segment) for row in rows if row.segment != EVERYBODY}
    found = Effects(
        campaign=campaign,
        first_day=min(row.feature_day for row in rows),
        last_day=max(row.feature_day for row in rows),
        labels=tuple(labels),
        ratio=_ratio([row for row in everybody if row.label == labels[0].label]),
        paid=(),
        small_segments=len({segment for _, segment in segments - shown}),
        is_too_small=any(not groups.may_be_shown(arm.users) for one in labels for arm in one.arms),
    )
    return Effects(**(found.__dict__ | {"paid": tuple(_paid(found))}))


def _in_order(named: tuple[str, object]) -> tuple[list[int], str]:
    """By the window, the one that ends first before the others."""
    return [int(n) for n in reversed(re.findall(r"\d+", named[0]))], named[0]


def _label(name: str, rows: Sequence[CampaignResult]) -> OfLabel:
    everybody = [row for row in rows if row.segment == EVERYBODY]
    arms = _arms(everybody)
    caused = _caused(everybody, 1)
    others = sorted({row.segment for row in rows} - {EVERYBODY})
    by_segment = {segment: [row for row in rows if row.segment == segment] for segment in others}
    large = {s: some for s, some in by_segment.items() if _is_large(some, {arm.name for arm in arms})}
    return OfLabel(
        label=name,
        kind="share" if counted(name) in SHARES else "amount",
        known_on=max(row.day for row in rows),
        arms=arms,
        caused=caused,
        segments={segment: _caused(some, len(large)) for segment, some in large.items()},
    )


def _is_large(rows: Iterable[CampaignResult], arms: set[str]) -> bool:
    """Whether each arm has enough users in a segment for it to be shown."""
    users = dict.fromkeys(arms, 0)
    for row in rows:
        users[row.arm] += row.users
    return groups.may_be_shown(min(users.values()))


def _arms(rows: Iterable[CampaignResult]) -> tuple[Arm, ...]:
    found: dict[str, Arm] = {}
    for name, some in sorted(_by_arm(rows).items(), key=lambda named: (named[1][0].is_control, named[0])):
        sums = _sums(some)
        cost = sum(row.cost for row in some)
        found[name] = Arm(name, some[0].is_control, int(sums.users), mean(sums), cost)
    return tuple(found.values())


def _by_arm(rows: Iterable[CampaignResult]) -> dict[str, list[CampaignResult]]:
    found: dict[str, list[CampaignResult]] = {}
    for row in rows:
        found.setdefault(row.arm, []).append(row)
    return found


def _sums(rows: Iterable[CampaignResult]) -> Sums:
    """Add up what became known on several days: each user did on one of them."""
    parts = (Sums(r.clusters, r.users, r.y, r.x, r.uu, r.uy, r.ux, r.yy, r.xx, r.xy) for r in rows)
    return sum(parts, Sums())


def _caused(rows: Sequence[CampaignResult], groups: int) -> tuple[Caused, ...]:
    """Compare the arms with the control, of which there may be none; `groups` are the segments that are compared, too."""
    arms = _by_arm(rows)
    control = next((name for name, some in arms.items() if some[0].is_control), None)
    if control is None:
        return ()
    sums = {name: _sums(some) for name, some in arms.items()}
    users = sum(one.users for one in sums.values())
    at = _at_once if rows[0].kind == "planned" else partial(looks.always_valid_alpha, users, TIGHTEST_AT)
    compared = compare(
        sums, control, has_covariate=all(row.has_x for row in rows), comparisons=groups * (len(arms) - 1), at=at
    )
    return tuple(Caused(one, int(sums[one.arm].users)) for one in compared)


def _at_once(alpha: float) -> float:
    return alpha


def _ratio(rows: Sequence[CampaignResult]) -> SampleRatio | None:
    """
    Compare the sizes of arms with their planned shares, where anybody has said what was planned.

    Shares may change, as where a holdout grows: whoever was assigned at once is compared with the shares of then.
    """
    found = {name: sum(row.clusters for row in some) for name, some in _by_arm(rows).items()}
    planned = dict.fromkeys(found, 0.0)
    for at_once in _by_assignment(rows):
        shares = {row.arm: row.probability for row in at_once if row.probability is not None}
        if len(shares) < len(at_once):
            return None
        # An arm that got nobody has no row: the shares of the others leave something for it.
        absent = [name for name in found if name not in shares]
        shares |= dict.fromkeys(absent, max(1 - sum(shares.values()), 0.0) / max(len(absent), 1))
        size = sum(row.clusters for row in at_once) / (sum(shares.values()) or 1.0)
        planned = {name: planned[name] + size * shares[name] for name in found}
    return sample_ratio(found, planned) if len(found) > 1 and min(planned.values()) > 0 else None


def _by_assignment(rows: Iterable[CampaignResult]) -> list[list[CampaignResult]]:
    by_day: dict[tuple[date, date], list[CampaignResult]] = {}
    for row in rows:
        by_day.setdefault((row.day, row.feature_day), []).append(row)
    return list(by_day.values())


def _paid(effects: Effects) -> Iterable[Paid]:
    """Put what was caused beside its cost, which is known and no estimate; of arms that cost anything."""
    returns, value = effects.returns, effects.value
    if returns is None:
        return
    for arm in returns.arms:
        caused = next((one for one in returns.caused if one.arm == arm.name), None)
        if arm.cost <= 0 or caused is None:
            continue
        worthy = next((one for one in value.caused if one.arm == arm.name), None) if value else None
        responses = arm.response.value * arm.users
        on_spend = _on_spend(worthy, arm.cost) if worthy else None
        yield Paid(
            arm=arm.name,
            cost=arm.cost,
            per_response=arm.cost / responses if responses else None,
            per_caused=worth.fieller(
                Estimate(arm.cost, 0.0, 0.0),
                caused.comparison.effect.times(arm.users),
                0.0,
                caused.comparison.corrected_alpha,
            ),
            per_caused_told=worth.told_of_cost(caused.comparison.corrected),
            on_spend=on_spend,
            on_spend_told=worth.told_of_return(on_spend) if on_spend else None,
        )


def _on_spend(value: Caused, cost: float) -> worth.Ratio:
    total = value.comparison.effect.times(value.users)
    return worth.fieller(total, Estimate(cost, 0.0, 0.0), 0.0, value.comparison.corrected_alpha)
