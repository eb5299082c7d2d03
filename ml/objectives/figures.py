"""
Figures: how a score ranks, and whether a prediction is right on average. Of what scikit-learn and SciPy have, theirs.

Ties: every tied row counts as the mean of its tie group, so no ranking depends on the order of rows. Where a draw of rows leaves
nothing to tell, as with nobody who returned, a figure is not a number.

Libraries are imported within functions: the workers import this file, and only score.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ml.model.calibration import likeliest_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 100
"""Draws of a noise floor."""

BINS = 10


# Ranking: the order of a score


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """
    Chance that a positive row is ranked above a negative one; a tie is half a win.

    Equal to scikit-learn's, which takes twenty times as long on the few hundred rows of a draw.
    """
    _, groups, sizes = np.unique(score, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    positives = outcome > 0
    n_pos, n_neg = int(positives.sum()), int((~positives).sum())
    if not n_pos or not n_neg:
        return float("nan")
    return float((mean_ranks[groups][positives].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def average_precision(outcome: np.ndarray, score: np.ndarray) -> float:
    """Precision, averaged over the positive rows: what `auc` says where few are positive and only the best rows count."""
    from sklearn.metrics import average_precision_score

    with _trusted():
        return float(average_precision_score(outcome > 0, score)) if (outcome > 0).any() else float("nan")


def spearman(outcome: np.ndarray, score: np.ndarray) -> float:
    """Rank correlation; ties have their middle rank."""
    from scipy.stats import spearmanr

    varies = len(outcome) > 1 and np.ptp(outcome) > 0 and np.ptp(score) > 0
    return float(spearmanr(outcome, score).statistic) if varies else float("nan")


def of_texted(outcome: np.ndarray, score: np.ndarray, share: float) -> dict[str, float]:
    """Return precision, recall, F1 and accuracy of texting the `share` with the highest scores."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    names = [f"{name}_texted" for name in ("precision", "recall", "f1", "accuracy")]
    if not (outcome > 0).any():
        return dict.fromkeys(names, float("nan"))
    came, texted, weight = _decisions(outcome, score, share)
    with _trusted():
        *three, _ = precision_recall_fscore_support(
            came, texted, average="binary", pos_label=True, sample_weight=weight, zero_division=0.0
        )
        return dict(zip(names, map(float, (*three, accuracy_score(came, texted, sample_weight=weight))), strict=True))


def by_share(outcome: np.ndarray, score: np.ndarray, shares: Sequence[float]) -> dict[str, float]:
    """Return lift and capture at several shares."""
    held = gain_curve(outcome, score)
    found = {share: float(held[_count(share, len(held)) - 1]) for share in shares}
    lifts = {f"lift_{100 * share:.0f}": had * len(held) / _count(share, len(held)) for share, had in found.items()}
    return lifts | {f"capture_{100 * share:.0f}": had for share, had in found.items()}


def lift(outcome: np.ndarray, score: np.ndarray, share: float = 0.1) -> float:
    """Rate among the `share` with the highest scores over the rate of all."""
    ranked = _ranked(outcome, score)
    return float(ranked[: _count(share, len(ranked))].mean() / outcome.mean())


def capture(outcome: np.ndarray, score: np.ndarray, share: float = 0.4) -> float:
    """Share of all positives that the `share` with the highest scores holds."""
    ranked = _ranked(outcome, score)
    return float(ranked[: _count(share, len(ranked))].sum() / outcome.sum())


def gini(outcome: np.ndarray, score: np.ndarray) -> float:
    """Area between the gain curve and chance, over that of a perfect ranking: 1 is perfect, 0 is chance."""
    return _area(outcome, score) / _area(outcome, outcome)


# Level: whether a prediction is right on average


def predicted_over_actual(outcome: np.ndarray, prediction: np.ndarray) -> float:
    return float(prediction.sum() / outcome.sum())


def log_loss(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Equal to scikit-learn's, which takes ten times as long on the rows of a draw."""
    sure = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.where(outcome > 0, np.log(sure), np.log1p(-sure)).mean())


def brier(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared error of a probability."""
    from sklearn.metrics import brier_score_loss

    with _trusted():
        return float(brier_score_loss(outcome > 0, probability, pos_label=True, labels=[False, True]))


def calibration_line(outcome: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """
    Return slope and intercept of the outcome's log-odds over the predicted ones: 1 and 0 are right.

    A slope below 1 tells of predictions that are too extreme. Cox (1958), Two further applications of a model for binary
    regression: a logistic regression without shrinkage. Equal to scikit-learn's, which by default ends some thousandths of a
    slope before it; where predictions part the outcomes there is no such line.
    """
    sure = np.clip(probability, 1e-6, 1 - 1e-6)
    odds = np.log(sure / (1 - sure))
    came = outcome > 0
    slope = intercept = float("nan")
    if _differ(outcome) and np.ptp(odds) > 0 and not _parts(odds, came):
        slope, intercept = likeliest_line(odds, came.astype(float), float(np.log(came.mean() / (1 - came.mean()))))
    return {"calibration_slope": slope, "calibration_intercept": intercept}


def _parts(score: np.ndarray, came: np.ndarray) -> bool:
    """Say whether a score has all positives on one side and all others on the other."""
    return bool(score[came].min() >= score[~came].max() or score[came].max() <= score[~came].min())


def deviance(outcome: np.ndarray, count: np.ndarray) -> float:
    """Mean Poisson deviance of predicted counts: 0 where every one is right, and a proper score."""
    sure = np.maximum(count, 1e-15)
    # Of no count there is nothing to be surprised by, whatever its logarithm.
    surprise = np.where(outcome > 0, outcome * np.log(np.maximum(outcome, 1e-15) / sure), 0.0)
    return float(2 * (surprise - outcome + sure).mean())


def ece(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean gap between predicted and actual rates of ten equal bins. Compare with `ece_floor`: noise alone is not 0."""
    bins = bin_means(outcome, probability)
    return float(np.abs(bins[:, 0] - bins[:, 1]).mean())


def ece_floor(probability: np.ndarray, rounds: int = ROUNDS) -> float:
    """Return the mean ECE that a perfectly calibrated model has with these scores: outcomes drawn from them."""
    draw = np.random.default_rng(0)
    return float(
        np.mean([ece((draw.random(len(probability)) < probability).astype(float), probability) for _ in range(rounds)])
    )


def decile_mape(outcome: np.ndarray, prediction: np.ndarray) -> float:
    """Mean relative error of the ten bins' means, over bins in which anything was spent."""
    bins = bin_means(outcome, prediction)
    return _mape(bins[:, 0], bins[:, 1])


def decile_wape(outcome: np.ndarray, prediction: np.ndarray) -> float:
    """Relative error of the ten bins' means, weighted by what was spent: a bin of pennies counts as pennies."""
    bins = bin_means(outcome, prediction)
    return _wape(bins[:, 0], bins[:, 1])


def decile_mape_floor(outcome: np.ndarray, prediction: np.ndarray, rounds: int = ROUNDS) -> float:
    """Return the `decile_mape` of a model that knows what each bin spends on average: what is left is who came by chance."""
    return float(np.mean([_mape(true, seen) for true, seen in _bins_drawn(outcome, prediction, rounds)]))


def decile_wape_floor(outcome: np.ndarray, prediction: np.ndarray, rounds: int = ROUNDS) -> float:
    """Return the `decile_wape` of such a model."""
    return float(np.mean([_wape(true, seen) for true, seen in _bins_drawn(outcome, prediction, rounds)]))


def bin_means(outcome: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return mean prediction and mean outcome of ten bins of equal size, the lowest predictions first."""
    return np.array([[prediction[rows].mean(), outcome[rows].mean()] for rows in _bins(prediction)])


def gain_curve(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of the total held by the best 1, 2, … rows."""
    return np.cumsum(_ranked(outcome, score)) / outcome.sum()


def _ranked(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return outcomes from the highest score to the lowest, each tied row as the mean of its tie group."""
    _, groups, sizes = np.unique(-score, return_inverse=True, return_counts=True)
    means = np.bincount(groups, outcome) / sizes
    return np.repeat(means, sizes)


def _area(outcome: np.ndarray, score: np.ndarray) -> float:
    return float(2 * gain_curve(outcome, score).mean() - 1)


def _decisions(outcome: np.ndarray, score: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outcome, decision and weight of rows texted and not: of a tie group at the limit each row is texted in part."""
    _, groups, sizes = np.unique(-score, return_inverse=True, return_counts=True)
    before = np.cumsum(sizes) - sizes
    in_part = np.clip((_count(share, len(score)) - before) / sizes, 0, 1)[groups]
    texted = np.repeat([True, False], len(score))
    return np.tile(outcome > 0, 2), texted, np.concatenate([in_part, 1 - in_part])


def _bins(prediction: np.ndarray) -> list[np.ndarray]:
    """Return the rows of ten bins of equal size, the lowest predictions first."""
    return [rows for rows in np.array_split(np.argsort(prediction, kind="stable"), BINS) if len(rows)]


def _bins_drawn(outcome: np.ndarray, prediction: np.ndarray, rounds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw the rows of each bin again and again; yield the means of the bins, and those of the draw."""
    draw, bins = np.random.default_rng(0), [outcome[rows] for rows in _bins(prediction)]
    true = np.array([some.mean() for some in bins])
    for _ in range(rounds):
        yield true, np.array([some[draw.integers(len(some), size=len(some))].mean() for some in bins])


def _mape(predicted: np.ndarray, actual: np.ndarray) -> float:
    spent = actual > 0
    return float((np.abs(predicted - actual)[spent] / actual[spent]).mean()) if spent.any() else float("nan")


def _wape(predicted: np.ndarray, actual: np.ndarray) -> float:
    return float(np.abs(predicted - actual).sum() / actual.sum()) if actual.sum() > 0 else float("nan")


def _differ(outcome: np.ndarray) -> bool:
    """Say whether there are both kinds of rows."""
    return bool((outcome > 0).any() and (outcome <= 0).any())


@contextmanager
def _trusted() -> Iterator[None]:
    """Spare scikit-learn its checks of what we hand over: a hundred draws of rows would spend half of their time in them."""
    from sklearn import config_context

    with config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def _count(share: float, n: int) -> int:
    return max(1, round(n * share))
