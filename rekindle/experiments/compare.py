"""
Arms against their control, by intention to treat: everybody counts in the arm that they were assigned to, sent or not.

Of several comparisons (arms, segments) some look good by chance. Their intervals are corrected by Bonferroni: each is made
at alpha over their number, so that all of them together hold in 95 of 100 experiments. Dunnett's are at most 1 % narrower
for two arms and want variances that are equal or a numerical integral; Holm's procedure corrects p-values and has no
intervals of the same kind. Bonferroni's need neither, and so words, p-value and interval never contradict each other.
Sources: Dunn, *Multiple Comparisons Among Means* (JASA 1961); Dunnett, *A Multiple Comparison Procedure for Comparing
Several Treatments with a Control* (JASA 1955).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.experiments import cuped
from rekindle.experiments.estimates import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rekindle.experiments.estimates import Estimate, Interval
    from rekindle.experiments.sums import Sums

ALPHA = 0.05
"""How often an interval may miss: intervals hold in 95 of 100 experiments."""

FROM_ZERO = "cannot be told from zero"


@dataclass(frozen=True)
class Comparison:
    """An arm against the control. `alpha` is that of one comparison by itself, `corrected_alpha` with the others in mind."""

    arm: str
    treated: Sums
    control: Sums
    plain: Estimate
    adjusted: Estimate | None
    """With the covariate taken out (CUPED); None where there is none."""
    correlation: float | None
    """Of outcome and covariate, within arms."""
    comparisons: int
    alpha: float
    corrected_alpha: float

    @property
    def effect(self) -> Estimate:
        """The figure that counts: with the covariate taken out wherever there is one, whichever of the two looks better."""
        return self.plain if self.adjusted is None else self.adjusted

    @property
    def variance_ratio(self) -> float | None:
        """Variance that is left when the covariate is taken out, of 1."""
        if self.adjusted is None or not self.plain.variance > 0:
            return None
        return self.adjusted.variance / self.plain.variance

    @property
    def interval(self) -> Interval:
        """Of this comparison by itself."""
        return self.effect.interval(self.alpha)

    @property
    def corrected(self) -> Interval:
        """Of this comparison as one of several."""
        return self.effect.interval(self.corrected_alpha)

    @property
    def told(self) -> str:
        """The finding in words, by the corrected interval."""
        low, high = self.corrected
        return "more than the control" if low > 0 else "less than the control" if high < 0 else FROM_ZERO

    @property
    def p_value(self) -> float:
        """Corrected like the interval. It holds for one look at the end, not for several."""
        return min(1.0, self.effect.p_value * self.comparisons)


def compare(
    arms: Mapping[str, Sums],
    control: str,
    *,
    has_covariate: bool = False,
    comparisons: int | None = None,
    at: Callable[[float], float] = lambda alpha: alpha,
) -> list[Comparison]:
    """
    Compare each arm with the control.

    `comparisons` is how many there are in all, where these are not all; `at` turns an alpha into the one of this look
    (rekindle.experiments.looks).
    """
    treatments = [name for name in arms if name != control]
    several = comparisons or len(treatments)
    share = cuped.theta(arms.values()) if has_covariate else 0.0
    return [
        Comparison(
            arm=name,
            treated=arms[name],
            control=arms[control],
            plain=difference(arms[name], arms[control]),
            adjusted=difference(arms[name].without(share), arms[control].without(share)) if has_covariate else None,
            correlation=cuped.correlation([arms[name], arms[control]]) if has_covariate else None,
            comparisons=several,
            alpha=at(ALPHA),
            corrected_alpha=at(ALPHA / several),
        )
        for name in treatments
    ]
