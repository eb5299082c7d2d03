"""BG/NBD: a million customers are fitted in 2 s and foretold in 1 s of one core, and 80 % intervals hold what they say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ml.model.purchase_process import Histories, PurchaseProcess
from quality.figures import Figure, lots
from rekindle.landing.filling.samples.dataset import package_file

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMERS = 1_000_000
DAYS = 365
LEVELS = (0.1, 0.9)
ASKED = 20_000
"""Of whom intervals are judged."""

PUBLISHED = {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}
"""Of the 2,357 customers of CDNOW's sample, times in weeks (Fader, Hardie and Lee 2005)."""

TRUE = PurchaseProcess(r=0.6, alpha=40.0, a=0.8, b=2.5)


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Fit what is published; then time and judge customers who were drawn."""
    cdnow = np.genfromtxt(
        package_file("lifetimes", "datasets", "cdnow_customers_summary.csv"), delimiter=",", names=True
    )
    found = PurchaseProcess.fit(Histories.of(cdnow["frequency"], cdnow["recency"], cdnow["T"]))
    for name, value in PUBLISHED.items():
        yield Figure(f"CDNOW, {name} (published: {value})", getattr(found, name), value * 0.9998, value * 1.0002)
    repeats, last, age, later = drawn(round(CUSTOMERS * size))
    begun = time.process_time()
    known = Histories.of(repeats, last, age)
    process = PurchaseProcess.fit(known)
    yield Figure(f"simulated: seconds of one core to fit {len(age):,}", time.process_time() - begun, at_most=2.0)
    begun = time.process_time()
    expected = process.expected(known, DAYS)
    yield Figure(f"simulated: seconds of one core to foretell {len(age):,}", time.process_time() - begun, at_most=1.0)
    yield Figure("simulated: expected over actual purchases of the next year", expected.sum() / later.sum(), 0.97, 1.03)
    some = Histories.of(repeats[:ASKED], last[:ASKED], age[:ASKED])
    low, high = process.count_quantiles(some, DAYS, LEVELS).T
    came = later[:ASKED]
    yield Figure("simulated: share at or below the upper end of an 80 % interval", (came <= high).mean(), 0.89, 0.97)
    # Whoever is at a whole number's end is within: of the least active, zero is both ends, and holds all but a few.
    yield Figure("simulated: share within an 80 % interval", ((came >= low) & (came <= high)).mean(), 0.78)


def drawn(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw customers by day: repeats, last and age in whole days, and how many purchases the next year brings."""
    draw = lots("Rekindle's customers who leave unseen")
    age = np.ceil(draw.random(count) * DAYS)
    rate, leaving = draw.gamma(TRUE.r, 1 / TRUE.alpha, count), draw.beta(TRUE.a, TRUE.b, count)
    # The purchase after which a customer leaves, and those that come while it is known of.
    ends, comes = draw.geometric(np.maximum(leaving, 1e-12)), draw.poisson(rate * age)
    repeats = np.minimum(ends, comes)
    # Of so many evenly scattered times, that of the last purchase made is a beta variate.
    last = np.where(repeats > 0, age * draw.beta(np.maximum(repeats, 1), np.maximum(comes - repeats, 0) + 1), 0)
    later = np.where(ends > comes, np.minimum(ends - comes, draw.poisson(rate * DAYS)), 0)
    return repeats.astype(float), np.ceil(last), age, later
