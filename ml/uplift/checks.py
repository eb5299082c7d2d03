"""
What is looked at before an effect is believed: whether the arms have their sizes, and whether they are alike.

Lots make the arms alike in everything that was known before, within chance. A standardised difference is the difference of
an arm's mean to the control's, in standard deviations; of many columns some differ by chance, so that the largest is judged
as one of so many (Bonferroni), at the thresholds of the sample ratio.

Source: Austin, *Balance Diagnostics for Comparing the Distribution of Baseline Covariates* (Statistics in Medicine 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rekindle.experiments.estimates import difference
from rekindle.experiments.sample_ratio import ALARM_BELOW, WARN_BELOW, SampleRatio, Verdict, sample_ratio
from rekindle.experiments.sums import sums_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.encoder import Feature
    from ml.uplift.trial import Trial

SHOWN = 5
"""Columns that are told: those that differ most."""


@dataclass(frozen=True)
class Balance:
    """Standardised differences of the arms, the largest first, and how often chance alone makes a larger one."""

    differences: Mapping[str, float]
    p_value: float

    @property
    def verdict(self) -> Verdict:
        return "alarm" if self.p_value < ALARM_BELOW else "warned" if self.p_value < WARN_BELOW else "passed"

    def to_json(self) -> dict[str, Any]:
        largest = dict(list(self.differences.items())[:SHOWN])
        return {"largest_differences": largest, "p_value": self.p_value, "verdict": self.verdict}


@dataclass(frozen=True)
class Checks:
    """Sample ratio by campaign, and balance."""

    ratios: tuple[SampleRatio, ...]
    balance: Balance

    @property
    def is_believed(self) -> bool:
        """Whether effects may be read."""
        return self.balance.verdict != "alarm" and all(ratio.verdict != "alarm" for ratio in self.ratios)

    def to_json(self) -> dict[str, Any]:
        lowest = min((ratio.p_value for ratio in self.ratios), default=1.0)
        return {
            "sample_ratio": {"campaigns": len(self.ratios), "lowest_p_value": lowest},
            "balance": self.balance.to_json(),
            "believed": self.is_believed,
        }


def checked(trial: Trial, planned: Sequence[float | None] = ()) -> Checks:
    """Check a trial; `planned` are the shares of the treated by campaign, None where nobody has said: that is not checked."""
    campaigns = range(int(trial.campaign.max()) + 1 if len(trial) else 0)
    ratios = [_ratio(trial, campaign, share) for campaign, share in zip(campaigns, planned, strict=False) if share]
    return Checks(tuple(ratios), balance(trial))


def _ratio(trial: Trial, campaign: int, share: float) -> SampleRatio:
    inside = trial.campaign == campaign
    sizes = {
        name: len(np.unique(trial.cluster[inside & (trial.is_treated == treated)]))
        for name, treated in (("treated", True), ("control", False))
    }
    return sample_ratio(sizes, {"treated": share, "control": 1 - share})


def balance(trial: Trial) -> Balance:
    """Compare the arms in each column; in a column with gaps, in how many there are as well."""
    if not trial.features or not trial.is_treated.any() or trial.is_treated.all():
        return Balance({}, 1.0)
    design = trial.design()
    names = [named(feature) for feature in trial.features]
    columns = dict(zip([*names, *(f"{names[i]} is missing" for i in design.gaps)], design.matrix.T, strict=True))
    found = {name: _difference(trial, _within(trial, column)) for name, column in columns.items()}
    largest = dict(sorted(found.items(), key=lambda item: -abs(item[1][0])))
    lowest = min((p_value for _, p_value in found.values()), default=1.0)
    return Balance({name: value for name, (value, _) in largest.items()}, min(1.0, lowest * len(found)))


def named(feature: Feature) -> str:
    """Name a column for people: what it comes from, and the level that it is a flag of."""
    level = feature.level if feature.level is not None else feature.rest
    return feature.source if level is None else f"{feature.source} = {level}"


def _within(trial: Trial, column: np.ndarray) -> np.ndarray:
    """Take out what campaigns differ in: lots were drawn within them."""
    means = np.bincount(trial.campaign, column) / np.maximum(np.bincount(trial.campaign), 1)
    return column - means[trial.campaign]


def _difference(trial: Trial, column: np.ndarray) -> tuple[float, float]:
    treated, control = (
        sums_of(column[chosen], None, trial.cluster[chosen]) for chosen in (trial.is_treated, ~trial.is_treated)
    )
    found, spread = difference(treated, control), float(column.std())
    return (found.value / spread if spread else 0.0), found.p_value
