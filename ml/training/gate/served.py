"""
Whether what is to score is what was judged.

The recipe fitted again on all days has a digest of its own and no later days to prove itself on, so it has to say about the same
as the judged one did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.training.gate.verdict import Criterion

if TYPE_CHECKING:
    from ml.training.evaluation import Judged
    from ml.training.gate.criteria import Criteria

RANK, MEAN = "served_rank", "served_mean"


def like_judged(served: Judged, judged: Judged, criteria: Criteria) -> tuple[Criterion, Criterion]:
    """
    Ask whether a refit ranks the test days like the judged one, and whether its mean is near.

    Its calibration has seen how the test days came out. So its mean may be near what came true instead: a level that has
    drifted is what a new calibration is for.
    """
    rank = _spearman(served.raw, judged.raw)
    mean, before, actual = (float(some.mean()) for some in (served.prediction, judged.prediction, served.outcome))
    off = min(_off(mean, before), _off(mean, actual))
    return (
        Criterion(
            RANK,
            rank >= criteria.served_rank,
            f"fitted again it ranks the test days like the judged one to {rank:.3f} ({criteria.served_rank:g} is asked for)",
            criteria.served_rank,
            rank,
        ),
        Criterion(
            MEAN,
            off <= criteria.served_mean,
            f"its mean there is {mean:.4g}, the judged one's {before:.4g}, and {actual:.4g} came true "
            f"({criteria.served_mean:.0%} off is allowed)",
            criteria.served_mean,
            off,
        ),
    )


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return the rank correlation; of scores that are all the same, whether both are."""
    from scipy.stats import spearmanr

    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return float(np.ptp(one) == np.ptp(other))
    return float(spearmanr(one, other).statistic)


def _off(mean: float, expected: float) -> float:
    return abs(mean / expected - 1) if expected else float("inf")
