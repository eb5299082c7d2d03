"""The whole analysis of an experiment that was given as a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rekindle import groups
from rekindle.experiments import looks, worth
from rekindle.experiments.compare import compare
from rekindle.experiments.estimates import mean
from rekindle.experiments.sample_ratio import sample_ratio
from rekindle.experiments.sums import sums_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rekindle.experiments.compare import Comparison
    from rekindle.experiments.sample_ratio import SampleRatio
    from rekindle.experiments.sums import Sums
    from rekindle.experiments.table import Asked, Units


@dataclass(frozen=True)
class Paid:
    """What an arm's outcome was for its cost, both beyond the control's."""

    arm: str
    cost_per_outcome: worth.Ratio
    outcome_per_cost: worth.Ratio


@dataclass(frozen=True)
class OfOutcome:
    """What came of an outcome: by arm, by segment and arm, and for the money."""

    name: str
    means: Mapping[str, float]
    comparisons: tuple[Comparison, ...]
    segments: Mapping[str, tuple[Comparison, ...]]
    paid: tuple[Paid, ...]


@dataclass(frozen=True)
class Analysis:
    """An experiment: sizes of its arms, and its outcomes in the order in which they were asked for."""

    control: str
    ratio: SampleRatio
    outcomes: tuple[OfOutcome, ...]
    small_segments: int
    notes: tuple[str, ...]


def analyse(units: Units, asked: Asked) -> Analysis:
    """Analyse each outcome. Clusters, where there are any, are what is counted in the sample-ratio check."""
    groups = _segments(units)
    shown = [name for name, chosen in groups.items() if _is_large(units, chosen)]
    return Analysis(
        control=units.control,
        ratio=sample_ratio(_sizes(units), asked.shares or None),
        outcomes=tuple(_outcome(units, asked, name, {g: groups[g] for g in shown}) for name in asked.outcomes),
        small_segments=len(groups) - len(shown),
        notes=units.notes,
    )


def _outcome(units: Units, asked: Asked, name: str, groups: Mapping[str, NDArray[np.bool_]]) -> OfOutcome:
    values = units.outcomes[name]
    at = partial(looks.alpha_at, asked.looks) if asked.looks else _same
    compared = partial(compare, control=units.control, has_covariate=units.covariate is not None, at=at)
    arms = _arm_sums(units, values, units.covariate)
    several = len(groups) * (len(units.arms) - 1)
    return OfOutcome(
        name=name,
        means={arm: mean(sums).value for arm, sums in arms.items()},
        comparisons=tuple(compared(arms)),
        segments={
            group: tuple(compared(_arm_sums(units, values, units.covariate, chosen), comparisons=several))
            for group, chosen in groups.items()
        },
        paid=() if units.cost is None else tuple(_paid(_arm_sums(units, values, units.cost), units)),
    )


def _same(alpha: float) -> float:
    return alpha


def _paid(arms: Mapping[str, Sums], units: Units) -> list[Paid]:
    control = arms[units.control]
    alpha = compare(arms, units.control)[0].corrected_alpha
    return [
        Paid(
            name,
            worth.cost_per_return(arms[name], control, alpha),
            worth.return_on_spend(arms[name], control, alpha),
        )
        for name in units.arms[1:]
    ]


def _arm_sums(
    units: Units,
    values: NDArray[np.float64],
    covariate: NDArray[np.float64] | None,
    chosen: NDArray[np.bool_] | None = None,
) -> dict[str, Sums]:
    return {
        arm: sums_of(
            values[of_arm],
            None if covariate is None else covariate[of_arm],
            None if units.cluster is None else units.cluster[of_arm],
        )
        for arm, of_arm in _by_arm(units, chosen)
    }


def _by_arm(units: Units, chosen: NDArray[np.bool_] | None) -> list[tuple[str, NDArray[np.bool_]]]:
    return [(arm, (units.arm == arm) if chosen is None else (units.arm == arm) & chosen) for arm in units.arms]


def _sizes(units: Units) -> dict[str, int]:
    if units.cluster is None:
        return {arm: int(of_arm.sum()) for arm, of_arm in _by_arm(units, None)}
    return {arm: len(np.unique(units.cluster[of_arm])) for arm, of_arm in _by_arm(units, None)}


def _segments(units: Units) -> dict[str, NDArray[np.bool_]]:
    if units.segment is None:
        return {}
    return {str(name): units.segment == name for name in np.unique(units.segment)}


def _is_large(units: Units, chosen: NDArray[np.bool_]) -> bool:
    return all(groups.may_be_shown(of_arm.sum()) for _, of_arm in _by_arm(units, chosen))
