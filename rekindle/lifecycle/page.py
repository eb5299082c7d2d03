"""The page: five stages week by week, who lapses and who returns, and what became of each month's registrations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rekindle import groups
from rekindle.report import charts, words
from rekindle.report.page import css, template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from markupsafe import Markup

    from rekindle.lifecycle.gathering import Cohort, Flow, Lifecycle, Week

MOST_COHORTS = 13

STAGES_BEFORE = ("not registered", "new", "active", "lapsed", "silent")
STAGES = STAGES_BEFORE[1:]


@dataclass(frozen=True)
class Figure:
    """A figure from week to week: the latest in words, and how it went."""

    stage: str
    name: str
    latest: str
    note: str
    chart: Markup


@dataclass(frozen=True)
class Row:
    """A month's registrations, and which share of them was active in each month since; None where nothing is said."""

    registered_in: date
    users: int
    shares: Sequence[float | None]
    revenue_per_user: float | None


def render(found: Lifecycle, currency: str) -> str:
    """Make the page; what is known of too few users is left out of it."""
    rows = list(_rows(found.cohorts))
    return template("page.html.j2", Path(__file__).parent, Path(words.__file__).parent).render(
        day=found.day,
        stages=list(_stages(found.weeks, found.day, currency)),
        moves=list(_moves(found.flows, found.day)),
        flows={(f.stage_before, f.stage): f.users for f in found.flows if f.day == found.day},
        stages_before=STAGES_BEFORE,
        stages_after=STAGES,
        rows=rows,
        months=max((len(row.shares) for row in rows), default=0),
        least=groups.SMALLEST,
        currency=currency,
        words=words,
        css=css(),
    )


def _stages(weeks: Sequence[Week], day: date, currency: str) -> Iterator[Figure]:
    def of(value: Callable[[Week], int], whole: Callable[[Week], int]) -> dict[date, float]:
        return {w.day: value(w) / whole(w) for w in weeks if groups.may_be_shown(whole(w))}

    counted = partial(_figure, day=day, say=words.whole)
    shared = partial(_figure, day=day, say=words.percent)
    yield from counted(
        "Acquisition",
        "users registered",
        {w.day: w.registered_users for w in weeks if groups.may_be_shown(w.registered_users)},
    )
    yield from shared(
        "Activation",
        "of a week's registrations active by now",
        of(lambda w: w.activated_users, lambda w: w.week_old_users),
    )
    yield from shared(
        "Retention",
        "of last week's active users active again",
        of(lambda w: w.retained_users, lambda w: w.active_before_users),
    )
    yield from counted(
        "Revenue", f"{currency} net", {w.day: float(w.net_revenue) for w in weeks if groups.may_be_shown(w.buyers)}
    )
    yield from shared(
        "Referral", "of registrations were referred", of(lambda w: w.referred_users, lambda w: w.registered_users)
    )


def _moves(flows: Sequence[Flow], day: date) -> Iterator[Figure]:
    """Who lapsed among the active of a week before, and who returned among the lapsed."""
    for name, before, after in (("lapsed", "active", "lapsed"), ("returned", "lapsed", "active")):
        shares = {}
        for one in sorted({flow.day for flow in flows}):
            of = [flow for flow in flows if flow.day == one and flow.stage_before == before]
            whole = sum(flow.users for flow in of)
            if groups.may_be_shown(whole):
                shares[one] = sum(flow.users for flow in of if flow.stage == after) / whole
        yield from _figure(name.capitalize(), f"of the {before} of a week before", shares, day=day, say=words.percent)


def _figure(
    stage: str, name: str, values: Mapping[date, float], *, day: date, say: Callable[[float], str]
) -> Iterator[Figure]:
    if not values:
        return
    last, weeks = max(values), (day - min(values)).days // 7
    shown = [day - timedelta(7 * n) for n in reversed(range(max(weeks + 1, 4)))]
    note = " to ".join(dict.fromkeys((say(min(values.values())), say(max(values.values())))))
    if last != day:
        note += f"; last known {words.short_day(last)}"
    yield Figure(stage, name, say(values[last]), note, charts.trend(values, shown, name, say))


def _rows(cohorts: Sequence[Cohort]) -> Iterator[Row]:
    """One row a month of registration, the newest first: of each month since, what its last known day says."""
    by_month: dict[date, dict[int, Cohort]] = {}
    for one in cohorts:
        since = (one.day.year - one.registered_in.year) * 12 + one.day.month - one.registered_in.month
        by_month.setdefault(one.registered_in, {})[since] = one  # in order of days: the last of a month stays
    for month in sorted(by_month, reverse=True)[:MOST_COHORTS]:
        known = by_month[month]
        latest = known[max(known)]
        if not groups.may_be_shown(latest.users):
            continue
        shares = [
            known[n].active_users / known[n].users if n in known and groups.may_be_shown(known[n].users) else None
            for n in range(max(known) + 1)
        ]
        enough = groups.may_be_shown(latest.buyers)
        yield Row(month, latest.users, shares, float(latest.net_revenue) / latest.users if enough else None)
