"""
Figures: how a score ranks, and whether a prediction is right on average.

Ties: every tied row counts as the mean of its tie group, so no ranking depends on the order of rows.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 100
"""Draws of a noise floor."""

BINS = 10


# Ranking: the order of a score


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """Chance that a positive row is ranked above a negative one; a tie is half a win."""
    _, groups, sizes = np.unique(score, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    positives = outcome > 0
    n_pos, n_neg = int(positives.sum()), int((~positives).sum())
    if not n_pos or not n_neg:
        return float("nan")
    return float((mean_ranks[groups][positives].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


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
    sure = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.where(outcome > 0, np.log(sure), np.log1p(-sure)).mean())


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
    spent = bins[bins[:, 1] > 0]
    return float((np.abs(spent[:, 0] - spent[:, 1]) / spent[:, 1]).mean())


def bin_means(outcome: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return mean prediction and mean outcome of ten bins of equal size, the lowest predictions first."""
    order = np.argsort(prediction, kind="stable")
    return np.array(
        [[prediction[rows].mean(), outcome[rows].mean()] for rows in np.array_split(order, BINS) if len(rows)]
    )


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


def _count(share: float, n: int) -> int:
    return max(1, round(n * share))
