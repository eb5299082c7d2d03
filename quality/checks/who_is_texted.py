"""
At equal volume in the simulated business: the likeliest to return, anybody, and those that a plan chooses.

And at equal spend: whom ads are bid for, and how high, beside the same bid for all.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loop.learning import learn, let_go_of_spark
from quality import auctions
from quality.figures import Figure
from quality.mornings import Morning, lived, morning
from rekindle import platform
from rekindle.campaigns.choosing import Arm, Candidates, Terms, choose
from rekindle.campaigns.offers import NONE
from rekindle.days import Days
from rekindle.experiments import ALPHA, compare, sums_of
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.simulate import simulate
from rekindle.postgres import transact
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.parameters import Parameters

    Floats = NDArray[np.float64]
    Users = NDArray[np.intp]

USERS, HISTORY_DAYS = 12_000, 140
VOLUME = 0.1
"""Share of the lapsed users whom each sends a message. Whether they have agreed to it is another check's: few have a phone."""

MESSAGE_COST = 0.04
BASE_RATE = 0.06
"""At most so many of the lapsed come back by themselves, in the business of whom the seed's claim is made."""

CLAIMED, REACHED = 2.67, 0.5
"""The seed's 8 % for 3 %; and of what the truth's own probabilities would reach, the least share that the scores must."""

MORNING = time(3, 30)
"""UTC, on the morning after the day that is scored."""


SCORED = """
select user_id, return_probability::float8, value_if_returns::float8, lapsed_days::float8
from sms.audience where in_population and value_if_returns is not null and lapsed_days >= 14
"""
"""Whoever was there a week ago comes back more often than the claim is about."""


@dataclass(frozen=True)
class Scored:
    """Who is lapsed on the morning, as users of the business, what was published about them, and what the plan chose."""

    users: Users
    return_probability: Floats
    """The score."""
    chosen: frozenset[int]
    """Whom the plan would send a message, without a control."""
    assigned: dict[int, bool]
    """The same plan with half of its campaign as control: who is in it, and whether a message is for them."""


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Score a business on a platform of its own, let three choose, and ask the truth what each has chosen."""
    users, conf = round(USERS * size), auctions.silent(parameters())
    history = Days.between(conf.first_day, conf.first_day + timedelta(HISTORY_DAYS - 1))
    with own_platform():
        scored = published(users, history, conf)
        decided = auctions.decided(history.last)
    begun = morning(conf, users, history, history.last + timedelta(1))
    yield from compared(begun, scored)
    yield from auctions.compared(begun, decided)


def compared(begun: Morning, scored: Scored) -> Iterator[Figure]:
    """Hold the three beside each other: what they are answered, what they cause, what they earn; and what could be reached."""
    known = {user: number for number, user in enumerate(begun.lapsed)}
    # Some of whom the platform has not heard yet are back.
    place = np.array([known.get(user, -1) for user in scored.users])
    is_lapsed, place = place >= 0, place[place >= 0]
    told = {name: values[place] for name, values in begun.told.items()}
    users, score = scored.users[is_lapsed], scored.return_probability[is_lapsed]
    in_plan = np.array([user in scored.chosen for user in users])
    volume = int(in_plan.sum())
    yield Figure(
        "share of the lapsed who truly return by themselves", told["return_probability"].mean(), None, BASE_RATE
    )
    yield Figure("lapsed users", len(users), digits=0)
    yield Figure("users texted by each", volume, at_least=100, digits=0)

    response = told["return_probability_if_messaged"]
    likeliest, best = highest(score, volume), highest(told["return_probability"], volume)
    ratio = response[likeliest].mean() / response.mean()
    reached = response[likeliest].mean() / response[best].mean()
    yield Figure("response of the highest return probabilities, times random's", ratio, CLAIMED)
    yield Figure("cost per return of the highest return probabilities, of random's", 1 / ratio, at_most=0.5)
    yield Figure("the same response, of what the true probabilities reach", reached, REACHED)

    chosen = {
        "random": (np.arange(len(users)), volume / len(users)),
        "the highest return probabilities": (likeliest, 1.0),
        "the plan": (np.flatnonzero(in_plan), 1.0),
    }
    for name, (who, share) in chosen.items():
        gain = settings().margin * told["value_uplift"][who].sum() * share - MESSAGE_COST * volume
        yield Figure(f"{name}: true response", response[who].mean())
        yield Figure(f"{name}: true incremental returns", told["uplift"][who].sum() * share, digits=1)
        yield Figure(f"{name}: true gain, margin less cost", gain, digits=2)
    yield from observed(begun, scored)


def observed(begun: Morning, scored: Scored) -> Iterator[Figure]:
    """
    Live the days after the plan's campaign once, and measure it as Rekindle does: against its control.

    One interval may miss the truth; how often they do is another check's.
    """
    score = dict(zip(scored.users, scored.return_probability, strict=True))
    assigned = np.array(sorted(scored.assigned))
    is_treated = np.array([scored.assigned[user] for user in assigned])
    returned, _spent = lived(begun, "after the plan", assigned[is_treated])
    before = np.array([score[user] for user in assigned])
    arms = {
        arm: sums_of(returned[assigned[chosen]], before[chosen])
        for arm, chosen in (("sent", is_treated), ("control", ~is_treated))
    }
    (found,) = compare(arms, "control", has_covariate=True)
    volume = int(is_treated.sum())
    low, high = (volume * end for end in found.effect.interval(ALPHA))
    yield Figure("the plan with a control, measured: response", returned[assigned[is_treated]].mean())
    yield Figure("the plan with a control, measured: incremental returns", volume * found.effect.value, digits=1)
    yield Figure("the plan with a control, measured: lower end of the 95 % interval", low, digits=1)
    yield Figure("the plan with a control, measured: upper end of the 95 % interval", high, digits=1)


def highest(values: Floats, volume: int) -> Users:
    """Where the highest values are."""
    return np.argsort(-values, kind="stable")[:volume]


def published(users: int, history: Days, conf: Parameters) -> Scored:
    """Deliver the business, learn, score its last day, and choose among all lapsed users as a plan does."""
    from rekindle.workflow import running

    say = partial(print, file=sys.stderr, flush=True)
    simulate(users, history, conf=conf)
    learn(history, say)
    at = datetime.combine(history.last + timedelta(1), MORNING, UTC)
    running.run_days("daily_scores", Days.one(history.last), {"kind": "daily", "at": at.isoformat()})
    rows = transact(lambda connection: connection.execute(SCORED).fetchall())
    name, chance, value, lapsed = (np.array(column) for column in zip(*rows, strict=True))
    numbers = np.array([int(user.removeprefix("u")) for user in name])
    candidates = Candidates(
        user_id=name,
        unit=name,
        probability=chance,
        value=value,
        value_low=value,
        value_high=value,
        lapsed_days=lapsed,
        segment_cost=np.full(len(name), MESSAGE_COST),
        **dict.fromkeys(("uplift", "uplift_low", "uplift_high"), np.full(len(name), np.nan)),
    )
    alone, beside = (choose(candidates, _terms(round(VOLUME * len(name)), control)) for control in (0.0, 0.5))
    is_sent = (~beside.is_control).tolist()
    return Scored(
        numbers,
        chance,
        frozenset(numbers[alone.place].tolist()),
        dict(zip(numbers[beside.place].tolist(), is_sent, strict=True)),
    )


def _terms(volume: int, control_share: float) -> Terms:
    conf = settings()
    return Terms(
        campaign="who",
        salt=conf.holdout_salt,
        budget=MESSAGE_COST * volume,
        control_share=control_share,
        arms=(Arm("treatment", 1.0),),
        offers=(NONE,),
        prior_lift=conf.prior_lift,
        margin=conf.margin,
    )


@contextmanager
def own_platform() -> Iterator[None]:
    """Start a platform of the check's own, which ends with it."""
    home, before = Path(tempfile.mkdtemp(prefix="rekindle-quality-")), dict(os.environ)
    platform.use(home)
    try:
        platform.up(home)
        yield
    finally:
        let_go_of_spark()
        platform.delete(home)
        os.environ.clear()
        os.environ |= before
        settings.cache_clear()
