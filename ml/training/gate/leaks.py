"""
Leak screen: what knows the outcome beforehand, and days whose labels reach into later ones.

A feature that alone ranks much better than the champion was probably made from what came after the day; and a training that still
ranks when outcomes are dealt anew at random has them from somewhere. `fitting.check_no_label` refuses what knows all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.training.gate.criteria import value_for
from ml.training.gate.paired import weighted
from ml.training.gate.verdict import Criterion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from ml.objectives import Figures
    from ml.training.gate.criteria import Criteria
    from ml.training.samples import Split

FEATURES, SHUFFLED, DAYS = "single_features", "shuffled_labels", "label_days"

LEAST = 2
"""Of fewer trainings there is no spread."""


def single_features(
    figures: Figures,
    outcome: np.ndarray,
    columns: Mapping[str, np.ndarray],
    reference: float,
    criteria: Criteria,
    *,
    is_champion: bool,
) -> Criterion:
    """
    Ask of each feature, by name, how it ranks alone, either way round, missing last.

    `reference` is how the champion's recipe ranks by the features that the champion knows, not by a new one; without a
    champion, how the best naive rule does, of which an honest feature may be much better.
    """
    name, beside = ("leak_over_champion", "champion") if is_champion else ("leak_over_rule", "best naive rule")
    limit = reference + value_for(figures.primary, getattr(criteria, name), name)
    metric = figures.ranking[figures.primary]
    once = np.ones(len(outcome), dtype=np.int64)
    alone = {
        feature: max(weighted(figures.primary, metric, outcome, side)(once) for side in _both_ways(values))
        for feature, values in columns.items()
    }
    best = max(alone, key=alone.__getitem__, default=None)
    value = alone[best] if best is not None else None
    knowing = sorted(feature for feature, found in alone.items() if found > limit)
    told = (
        f"{', '.join(knowing)} alone rank better than the {beside} by more than is honest ({figures.primary} {value:.3f}, "
        f"at most {limit:.3f})"
        if knowing
        else f"no feature alone ranks above {limit:.3f}"
    )
    return Criterion(FEATURES, not knowing, told, limit, value)


def shuffled_labels(figures: Figures, found: Sequence[float], criteria: Criteria) -> Criterion:
    """Ask whether trainings on outcomes that were dealt anew rank like chance; Student's interval of their mean."""
    from scipy.stats import t

    if criteria.shuffles < LEAST:
        told = "not asked: of fewer than two trainings on outcomes dealt anew there is no spread"
        return Criterion(SHUFFLED, passed=True, told=told, threshold=figures.chance)
    values = np.array([value for value in found if np.isfinite(value)])
    if len(values) < LEAST:
        return Criterion(
            SHUFFLED, passed=True, told="too few rows to deal their outcomes anew", threshold=figures.chance
        )
    mean = float(values.mean())
    half = float(t.ppf(1 - criteria.shuffle_level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    passed = mean - half <= figures.chance <= mean + half
    told = (
        f"with outcomes dealt anew {figures.primary} is {mean:.3f} ({mean - half:.3f} to {mean + half:.3f} in {len(values)} "
        f"trainings), {'as' if passed else 'and not as'} by chance, {figures.chance:g}"
    )
    return Criterion(SHUFFLED, passed, told, figures.chance, mean, mean - half, mean + half)


def label_days(split: Split, reach: Mapping[str, timedelta]) -> Criterion:
    """Ask whether each label of one part was known before the next part begins, as it will be when the model scores."""
    late = sorted({label for label in reach if _reaches(split, label, reach[label])})
    told = (
        f"labels of {', '.join(late)} reach into later days"
        if late
        else "no label that was learnt from reaches into later days"
    )
    return Criterion(DAYS, not late, told, 0.0, float(len(late)))


def _reaches(split: Split, label: str, reach: timedelta) -> bool:
    train, validation = split.train[label], split.validation[label]
    return train.last + reach > validation.first or validation.last + reach > split.test.first


def _both_ways(values: np.ndarray) -> Iterable[np.ndarray]:
    up, down = values.copy(), -values
    up[np.isnan(values)] = down[np.isnan(values)] = -np.inf
    return up, down
