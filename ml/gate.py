"""
The gate: whether a model may become champion.

A model passes when, on the test days and rows that the naive rule was judged on, its primary figure is better. The
interval of the difference is recorded and shown but does not decide: a deployment with a few hundred users would never
get a model past it, and a model that is truly no better than the rule does no more harm than the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.evaluation import Evaluation


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and why in one sentence."""

    passed: bool
    why: str


def judge(evaluation: Evaluation) -> Verdict:
    """Compare a model with the naive rule on the same rows."""
    name = evaluation.primary
    model, naive, difference = (part[name] for part in (evaluation.model, evaluation.naive, evaluation.difference))
    told = "beats" if evaluation.beats_naive else "loses to"
    doubt = "" if difference.low > 0 or difference.high < 0 else "; the difference may be chance"
    why = (
        f"{name} {model.value:.3f} {told} the naive rule's {naive.value:.3f} on {evaluation.row_count} test rows "
        f"(difference {difference.value:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f}{doubt})"
    )
    return Verdict(evaluation.beats_naive, why)
