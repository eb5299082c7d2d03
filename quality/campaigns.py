"""
Simulated campaigns with known truth, in numbers alone: no dates, no platform.

Nothing in them follows what the analysis assumes: users differ in everything and by a lot, most are worth nothing, few very
much (log-normal amounts on top of log-normal users), some are moved by a message, some put off, most do not care, and users
who share a phone are alike and are assigned together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOVED, PUT_OFF = 0.35, 0.08
"""Shares of the users whom a message moves to come, and of those whom it puts off; as in conf/simulation.yml."""

SHARED = 0.08
"""Share of the users whose phone is another user's, too."""


@dataclass(frozen=True)
class Campaign:
    """Users as they were assigned, and what came of them."""

    phone: NDArray[np.int64]
    is_treated: NDArray[np.bool_]
    score: NDArray[np.float64]
    """What was known before: a blurred expectation of the value."""
    returned: NDArray[np.float64]
    value: NDArray[np.float64]
    caused: NDArray[np.float64]
    """Expected value with a message minus without: what nobody outside a simulation knows."""

    @property
    def true_value(self) -> float:
        """Incremental value of the users who were assigned to the message."""
        return float(self.caused[self.is_treated].sum())


def campaign(lots: np.random.Generator, strength: float = 1.0) -> Campaign:
    """Draw a campaign of 5,000 to 30,000 users with a control of a tenth to a half; without `strength` nothing is caused."""
    users, control = int(lots.integers(5_000, 30_000)), lots.uniform(0.1, 0.5)
    phone = np.where(lots.random(users) < SHARED, lots.integers(0, users, users), np.arange(users))
    household = lots.normal(0, 1, users)[phone]
    trait = lots.normal(0, 1, users) + 0.7 * household
    chance = 1 / (1 + np.exp(2.9 - 0.9 * trait))
    worth = np.exp(2.6 + 0.5 * lots.normal(0, 1, users) + 0.2 * household)
    kind = lots.random(users)
    moved = lots.gamma(2.0, 0.3, users) * (kind < MOVED) - lots.gamma(2.0, 0.12, users) * (kind > 1 - PUT_OFF)
    with_message = 1 / (1 + (1 / chance - 1) * np.exp(-strength * moved))
    is_treated = (lots.random(users) >= control)[phone]
    returned = lots.random(users) < np.where(is_treated, with_message, chance)
    # Not all who come buy, and some buy who are not counted as having come back within the few days.
    spread, buys = 0.8, np.where(returned, 0.55, 0.03)
    value = worth * np.exp(spread * lots.normal(0, 1, users)) * (lots.random(users) < buys)
    expected = worth * np.exp(spread**2 / 2)
    return Campaign(
        phone,
        is_treated,
        score=expected * (0.52 * chance + 0.03) * np.exp(0.5 * lots.normal(0, 1, users)),
        returned=returned.astype(float),
        value=value,
        caused=expected * 0.52 * (with_message - chance),
    )
