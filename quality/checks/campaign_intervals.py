"""Campaign intervals cover what was truly caused in .93 to .97 of 2,000 simulated campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quality.campaigns import Campaign, campaign
from quality.figures import Figure, lots
from rekindle.experiments import Comparison, compare, sums_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMPAIGNS = 2_000
COVERED = (0.93, 0.97)


def analysed(one: Campaign, *, by_phone: bool = True) -> Comparison:
    """Analyse a campaign as its page does: value by intention to treat, the score taken out, clusters by phone."""
    arms = {
        name: sums_of(one.value[chosen], one.score[chosen], one.phone[chosen] if by_phone else None)
        for name, chosen in (("sent", one.is_treated), ("control", ~one.is_treated))
    }
    return compare(arms, "control", has_covariate=True)[0]


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Draw campaigns and count how often the interval holds the truth."""
    drawn = lots("Rekindle's simulated campaigns")
    covered, plain, below, width, narrower = [], [], [], [], []
    for _ in range(round(CAMPAIGNS * size)):
        one = campaign(drawn)
        found, texted = analysed(one), float(one.is_treated.sum())
        low, high = (end * texted for end in found.interval)
        bare = found.plain.interval(found.alpha)
        covered.append(low <= one.true_value <= high)
        plain.append(bare[0] * texted <= one.true_value <= bare[1] * texted)
        below.append(high < one.true_value)
        width.append((high - low) / one.true_value)
        narrower.append(found.variance_ratio or 1.0)
    yield Figure(
        "simulated campaigns whose interval covers the true incremental value", float(np.mean(covered)), *COVERED
    )
    yield Figure("the same without CUPED", float(np.mean(plain)), *COVERED)
    yield Figure("whose interval lies wholly below the truth", float(np.mean(below)))
    yield Figure("median width of the interval, of the true value", float(np.median(width)))
    yield Figure("median variance that CUPED leaves", float(np.median(narrower)))
