"""
Whether arms have the sizes that were planned: if not, something removed users from one of them, and no effect can be read.

Sizes are counted in what was assigned as one, so in phones where users share them. A warning at p < .01 comes once in 100
sound experiments, an alarm at p < .001 once in 1,000.

Source: Fabijan et al., *Diagnosing Sample Ratio Mismatch in Online Controlled Experiments* (KDD 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

WARN_BELOW, ALARM_BELOW = 0.01, 0.001

Verdict = Literal["passed", "warned", "alarm"]

SAID: dict[Verdict, str] = {
    "passed": "The arms have the sizes that were planned, within chance.",
    "warned": "The sizes of the arms differ from what was planned more than chance makes likely: find out why.",
    "alarm": "The sizes of the arms are not what was planned: something removed users from an arm. Read no effect from it.",
}


@dataclass(frozen=True)
class SampleRatio:
    """Sizes found beside those planned; `p_value` is how often chance alone makes a larger difference."""

    found: Mapping[str, int]
    planned: Mapping[str, float]
    p_value: float

    @property
    def verdict(self) -> Verdict:
        return "alarm" if self.p_value < ALARM_BELOW else "warned" if self.p_value < WARN_BELOW else "passed"

    @property
    def told(self) -> str:
        return SAID[self.verdict]


def sample_ratio(found: Mapping[str, int], shares: Mapping[str, float] | None = None) -> SampleRatio:
    """Compare the sizes of arms with planned shares (which need not add up to 1; equal where none are given)."""
    weights = {name: 1.0 if shares is None else shares[name] for name in found}
    whole = sum(found.values()) / sum(weights.values())
    planned = {name: weight * whole for name, weight in weights.items()}
    return SampleRatio(dict(found), planned, _p_value(list(found.values()), list(planned.values())) if whole else 1.0)


def _p_value(found: list[int], planned: list[float]) -> float:
    """Exact for two arms, by chi-square for more."""
    if len(found) == len(("arm", "control")):
        return float(stats.binomtest(found[0], sum(found), planned[0] / sum(planned)).pvalue)
    return float(stats.chisquare(found, planned).pvalue)
