"""The users: what each of them is like and never tells. One element of each array is one user, in the order of user ids."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rekindle.landing.filling.simulation.chance import Chance, beta_with_mean, pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.parameters import Parameters

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
"""Microseconds of a day, and of a minute."""

AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55+")
DEVICES = ("android", "ios", "web")
TOGETHER = 0.4
"""A device and an age band tell something only together: whether their sum is odd or even moves the trait up or down by this."""


@dataclass(frozen=True)
class Population:
    """Latent and registered traits, by user; `*_of` are positions in the lists that conf gives in their order."""

    registered_on: NDArray[np.int64]
    """Ordinal of the UTC day (date.toordinal)."""
    registered_us: NDArray[np.int64]
    """Microseconds into that day."""
    country_of: NDArray[np.intp]
    channel_of: NDArray[np.intp]
    plan_of: NDArray[np.intp]
    age_of: NDArray[np.intp]
    device_of: NDArray[np.intp]
    interest_of: NDArray[np.intp]
    """The category that the user says to like."""
    favourite_of: NDArray[np.intp]
    """The category that the user likes."""
    taste: NDArray[np.float64]
    """Probability that an item shown is of the favourite category for that reason."""
    rate: NDArray[np.float64]
    """Activity a day while engaged, before drift, season and weekday."""
    drift: NDArray[np.float64]
    drift_speed: NDArray[np.float64]
    """Radians a day."""
    drift_phase: NDArray[np.float64]
    weekday_of: NDArray[np.intp]
    weekday_factor: NDArray[np.float64]
    """Rate on the preferred weekday, over that of another day."""
    hour: NDArray[np.float64]
    sleep: NDArray[np.float64]
    """How readily an engaged spell ends."""
    wake: NDArray[np.float64]
    """How readily a dormancy ends."""
    responsiveness: NDArray[np.float64]
    """What a message adds to the logarithm of rates where it works fully; 0 for most, negative for a few."""
    buys: NDArray[np.float64]
    """Probability that an active user buys on a day without a sale."""
    clicks: NDArray[np.float64]
    amount_log: NDArray[np.float64]
    """Logarithm of the median amount of a line of price level 1."""
    is_dormant_at_first: NDArray[np.bool_]
    first_age: NDArray[np.int64]
    """Days for which who was registered already has been in the first state, when the unseen time begins."""

    @property
    def size(self) -> int:
        return len(self.rate)


def population(conf: Parameters, chance: Chance, users: int, days: Days) -> Population:
    """Draw the users. More of them leave the first ones as they are; other days change when they registered."""
    people, activity = conf.population, conf.activity

    def stream(name: str) -> np.random.Generator:
        return chance.stream("users", name)

    channels = list(people.channels.values())
    channel = pick(stream("channel").random(users), np.array([c.share for c in channels]))
    device = stream("device").integers(0, len(DEVICES), users)
    age = stream("age").integers(0, len(AGE_BANDS), users)
    trait = stream("trait").standard_normal(users) + TOGETHER * np.where((device + age) % 2, 1.0, -1.0)
    blurred = trait + people.plan_noise * stream("plan").standard_normal(users)
    shares = np.cumsum(list(people.plans.values())) / np.sum(list(people.plans.values()))
    scale = np.sqrt(1 + TOGETHER**2 + people.plan_noise**2)
    plan = np.searchsorted([scale * NormalDist().inv_cdf(share) for share in shares[:-1]], blurred, side="right")

    categories = len(conf.catalogue.categories)
    favourite = stream("favourite").integers(0, categories, users)
    says_so = stream("interest known").random(users) < people.taste_known_share
    interest = np.where(says_so, favourite, stream("interest").integers(0, categories, users))

    rate = activity.rate_least * (1 + stream("rate").pareto(activity.rate_shape, users))
    rate *= np.exp(activity.rate_trait * trait) * np.array([c.rate for c in channels])[channel]
    period = activity.drift_period_days * np.exp(
        activity.drift_period_spread * stream("drift period").standard_normal(users)
    )
    wake = stream("wake").gamma(
        activity.dormant_rate_shape, activity.dormant_rate_mean / activity.dormant_rate_shape, users
    )
    spread = activity.engaged_rate_most - activity.engaged_rate_least
    registered_on, registered_us = _registered(conf, chance, users, days)
    dormant_for = conf.activity.dormant_offset_days * stream("first age").pareto(activity.dormant_first_shape, users)
    return Population(
        registered_on=registered_on,
        registered_us=registered_us,
        country_of=pick(stream("country").random(users), np.array(list(people.countries.values()))),
        channel_of=channel,
        plan_of=plan,
        age_of=age,
        device_of=device,
        interest_of=interest,
        favourite_of=favourite,
        taste=beta_with_mean(stream("taste"), conf.catalogue.taste_mean, 2.0, users),
        rate=np.minimum(rate, activity.rate_most),
        drift=activity.drift_most * stream("drift").random(users),
        drift_speed=2 * np.pi / period,
        drift_phase=2 * np.pi * stream("drift phase").random(users),
        weekday_of=stream("weekday").integers(0, 7, users),
        weekday_factor=1 + (activity.weekday_preference - 1) * stream("weekday factor").random(users),
        hour=stream("hour").normal(18, 4, users) % 24,
        sleep=activity.engaged_rate_least + spread * stream("sleep").random(users),
        wake=wake * np.array([c.wake for c in channels])[channel],
        responsiveness=_responsiveness(conf, chance, users),
        buys=beta_with_mean(stream("buys"), conf.orders.buys_mean, 1.3, users),
        clicks=beta_with_mean(stream("clicks"), conf.sessions.click_mean, 2.0, users),
        amount_log=np.log(conf.orders.line_amount_median)
        + np.log(np.array([c.spend for c in channels])[channel])
        + conf.orders.user_spread * stream("amount").standard_normal(users),
        is_dormant_at_first=stream("first state").random(users) < activity.dormant_first_share,
        first_age=1 + np.minimum(dormant_for, people.tenure_most_days).astype("int64"),
    )


def _registered(
    conf: Parameters, chance: Chance, users: int, days: Days
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When users registered: most before the first day, the others evenly over the days."""
    people = conf.population
    first, length = days.first.toordinal(), len(days)
    tenure = chance.stream("users", "tenure").exponential(people.tenure_mean_days, users)
    before = first - 1 - np.minimum(tenure, people.tenure_most_days - 1).astype("int64")
    later = first + (chance.stream("users", "joins").random(users) * length).astype("int64")
    is_before = chance.stream("users", "joined").random(users) < people.registered_before_share
    # Who registers is active on that day, and a session ends on the day on which it begins.
    latest = DAY_US - conf.sessions.minutes_most * MINUTE_US
    us = (chance.stream("users", "registered at").random(users) * latest).astype("int64")
    return np.where(is_before, before, later), us


def _responsiveness(conf: Parameters, chance: Chance, users: int) -> NDArray[np.float64]:
    """Most do not care for messages, a third comes for them, a few are put off."""
    messages = conf.messages
    lot = chance.stream("users", "responds").random(users)
    strength = chance.stream("users", "responsiveness").gamma(2.0, 0.5, users)
    likes, dislikes = lot < messages.positive_share, lot > 1 - messages.negative_share
    return strength * (likes * messages.strength_mean - dislikes * messages.negative_strength_mean)
