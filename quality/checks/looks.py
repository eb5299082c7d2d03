"""Five looks keep false positives at 5.5 % or fewer in 10,000 simulated experiments without an effect."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from quality.figures import Figure, lots
from rekindle.experiments import ALPHA, Sums, looks, sums_of
from rekindle.experiments.estimates import difference

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERIMENTS = 10_000
LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
USERS = 1_000
"""Of an arm between two looks."""
RETURN_SHARE = 0.06
AT_MOST = 0.055


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Look five times at experiments in which both arms are the same, and count those in which any look shows an effect."""
    drawn, count = lots("Rekindle's looks at nothing"), round(EXPERIMENTS * size)
    spent = [looks.alpha_at(LOOKS[: n + 1], ALPHA) for n in range(len(LOOKS))]
    always = [looks.always_valid_alpha(2 * USERS * (n + 1), 2 * USERS * len(LOOKS), ALPHA) for n in range(len(LOOKS))]
    once = [ALPHA] * len(LOOKS)
    found = {"spent": 0, "always": 0, "once": 0}
    for _ in range(count):
        p_values = [difference(*arms).p_value for arms in _looked_at(drawn)]
        for name, alphas in (("spent", spent), ("always", always), ("once", once)):
            found[name] += any(p < alpha for p, alpha in zip(p_values, alphas, strict=True))
    yield Figure("false positives of five looks, alpha spent, as with --look", found["spent"] / count, at_most=AT_MOST)
    yield Figure(
        "false positives of five looks, always valid, as of the holdout", found["always"] / count, at_most=AT_MOST
    )
    yield Figure("false positives of five looks with ordinary intervals: what is avoided", found["once"] / count)


def _looked_at(drawn: np.random.Generator) -> list[tuple[Sums, Sums]]:
    """Sums of both arms at each look: value of users of whom few come back, half of them buying heavy-tailed amounts."""
    shape = (2, len(LOOKS), USERS)
    value = (drawn.random(shape) < RETURN_SHARE) * np.exp(drawn.normal(0, 1, shape))
    one, other = (list(accumulate(sums_of(part) for part in arm)) for arm in value)
    return list(zip(one, other, strict=True))
