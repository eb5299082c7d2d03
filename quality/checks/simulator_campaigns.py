"""On the simulated business of conf/simulation.yml, campaign intervals cover the truth in .93 to .97 of 2,000 campaigns."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from quality.figures import Figure, lots
from quality.mornings import lived, morning
from rekindle.days import Days
from rekindle.experiments import ALPHA, compare, sums_of
from rekindle.landing.filling.simulation.parameters import parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMPAIGNS, BUSINESSES = 2_000, 40
"""Each business, with users and a calendar of its own, is lived many times from the same morning on."""

USERS = 12_000
COVERED = (0.93, 0.97)


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Assign the lapsed at random, live on, and count how often the interval holds what was truly caused."""
    drawn = lots("Rekindle's campaigns in the simulated business")
    businesses = max(round(BUSINESSES * size), 1)
    each = max(round(CAMPAIGNS * size / businesses), 1)
    covered: dict[str, list[bool]] = {"returns": [], "value": []}
    texted = []
    for n in range(businesses):
        # The first day of each lies anywhere in a year.
        day = date(2024, 1, 1) + timedelta(int(drawn.integers(366)))
        conf = parameters().model_copy(update={"seed": int(drawn.integers(2**62)) + n})
        begun = morning(conf, USERS, Days.one(day), day)
        blurred = begun.told["expected_revenue"] * np.exp(drawn.normal(0, 0.5, len(begun.lapsed)))
        for campaign in range(each):
            is_treated = drawn.random(len(begun.lapsed)) < drawn.uniform(0.5, 0.9)
            returned, spent = lived(begun, f"campaign {campaign}", begun.lapsed[is_treated])
            texted.append(is_treated.sum())
            for name, outcome, caused in (("returns", returned, "uplift"), ("value", spent, "value_uplift")):
                arms = {
                    arm: sums_of(outcome[begun.lapsed[chosen]], blurred[chosen])
                    for arm, chosen in (("sent", is_treated), ("control", ~is_treated))
                }
                (found,) = compare(arms, "control", has_covariate=True)
                low, high = found.effect.interval(ALPHA)
                covered[name].append(low <= begun.told[caused][is_treated].mean() <= high)
    yield Figure(
        "simulated campaigns whose interval covers the true incremental value",
        float(np.mean(covered["value"])),
        *COVERED,
    )
    yield Figure(
        "simulated campaigns whose interval covers the true incremental returns",
        float(np.mean(covered["returns"])),
        *COVERED,
    )
    yield Figure("simulated campaigns", len(texted), digits=0)
    yield Figure("users texted in a campaign, median", float(np.median(texted)), digits=0)
