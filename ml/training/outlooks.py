"""
Learn what a model says beyond its targets, and judge its intervals on days that came later.

For the test days it is learnt from the validation days, as the forecasts are chosen. What scores learns it anew from the
test days, on which the judged recipe foretold: the same recipe, as long after what it was fitted on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.calibration import SLOPES
from ml.model.outlook import LEVELS, Band, Chance, Known, Outlook, Process
from ml.model.purchase_process import PurchaseProcess, Spend
from ml.training import evaluation
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from ml.model.scorer import Scorer
    from ml.products import Product, Target
    from ml.training.samples import Sample, Split
    from rekindle.days import Days

BINS = 10
BIN_ROWS = 50
"""At least so many rows a bin: the ninth of ten is then told with an error of four hundredths."""

MIN_CUSTOMERS = 50
"""Who bought again, and who spent anything: of fewer no process is learnt."""

MIN_OF_A_KIND = 10
"""Rows with and without a purchase, from which a chance is learnt."""


def for_test(product: Product, sample: Sample, split: Split, scorer: Scorer) -> Scorer:
    """Give a judged model the outlook that the validation days teach."""
    return _with(product, sample, scorer, by=scorer, days=split.validation)


def for_scoring(product: Product, sample: Sample, split: Split, scorer: Scorer, judged: Scorer) -> Scorer:
    """Give what scores the outlook that the test days teach, as the judged model foretold them."""
    return _with(product, sample, scorer, by=judged, days=dict.fromkeys(split.validation, split.test))


def again(sample: Sample, scorer: Scorer, days: Mapping[str, Days]) -> tuple[Scorer, tuple[str, ...]]:
    """
    Learn intervals, and the chance of a purchase, of a recalibrated model again from days by label; name their horizons.

    The days have to be new to its calibrations too. A horizon of no named label, or with too few rows on its days, keeps what it
    has: its ends are ratios to the prediction, which have moved with it. So does the purchase process, of which a calibration
    says nothing.
    """
    if scorer.outlook is None:
        return scorer, ()
    outlook, learnt = scorer.outlook, []
    for number, target in enumerate(sample.targets, 1):
        if target.label not in days:
            continue
        rows = _known_rows(sample, days[target.label], sample.targets[:number])
        if rows.num_rows < BINS * BIN_ROWS:
            continue
        predicted, outcome = _totals(scorer, rows, sample.targets[:number])
        outlook = replace(outlook, bands={**outlook.bands, target.to_day: band(predicted, outcome)})
        if target.to_day == outlook.reach:
            found = chance(predicted, outlook.expected_purchases(Known.of(rows)), outcome > 0)
            outlook = replace(outlook, chance=found or outlook.chance)
        learnt.append(f"1_{target.to_day}")
    return replace(scorer, outlook=outlook), tuple(learnt)


def _with(product: Product, sample: Sample, scorer: Scorer, *, by: Scorer, days: Mapping[str, Days]) -> Scorer:
    if product.horizons is None:
        return scorer
    return replace(scorer, outlook=_learnt(product.horizons(settings()), sample, by, days))


def _learnt(horizons: Sequence[int], sample: Sample, by: Scorer, days: Mapping[str, Days]) -> Outlook:
    """
    Learn from what came of some days' predictions.

    A horizon is judged on the days of its last target. Where an earlier target has learnt from some of these, its part of
    the sum is a little too sure of itself there; the test days, which score, are new to all.
    """
    bands: dict[int, Band] = {}
    for number, target in enumerate(sample.targets, 1):
        rows = _known_rows(sample, days[target.label], sample.targets[:number])
        predicted, outcome = _totals(by, rows, sample.targets[:number])
        bands[target.to_day] = band(predicted, outcome)
    last, known = sample.targets[-1], Known.of(rows)
    outlook = Outlook(
        kind=last.kind,
        horizons=tuple(horizons),
        reach=last.to_day,
        last_days=last.to_day - last.from_day + 1,
        bands=bands,
        chance=None,
        process=process(Known.of(_newest(sample, days[last.label])), known, outcome, last.to_day),
    )
    return replace(outlook, chance=chance(predicted, outlook.expected_purchases(known), outcome > 0))


def band(predicted: np.ndarray, outcome: np.ndarray) -> Band:
    """Find the interval's ends by bins of the prediction, as quantiles of what came of it."""
    offset = max(0.01, 0.01 * float(np.abs(predicted).mean()))
    count = max(1, min(BINS, len(predicted) // BIN_ROWS))
    edges = np.unique(np.quantile(predicted, np.arange(1, count) / count))
    # Predictions that are equal stay together: half of all users may be foretold the same.
    at = np.searchsorted(edges, predicted, side="left")
    ratio = outcome / (predicted + offset)
    found = [_of_bin(predicted[at == bin_], ratio[at == bin_]) for bin_ in np.unique(at)]
    middles, lows, highs = (tuple(float(value) for value in column) for column in zip(*found, strict=True))
    return Band(offset, middles, lows, highs)


def _of_bin(predicted: np.ndarray, ratio: np.ndarray) -> tuple[float, float, float]:
    """Return a bin's mean prediction and both ends of its ratios, by the ranks of conformal prediction."""
    ordered, n = np.sort(ratio), len(ratio)
    low = max(0, int(np.floor(LEVELS[0] * (n + 1))) - 1)
    high = min(n - 1, int(np.ceil(LEVELS[1] * (n + 1))) - 1)
    return float(predicted.mean()), float(ordered[low]), float(ordered[high])


def process(newest: Known, known: Known, outcome: np.ndarray, reach: int) -> Process | None:
    """
    Fit the purchase process to the newest histories, one a user, and its level to what came of earlier ones.

    None where too few bought, or where it would have to be corrected more than any learner may be.
    """
    histories, mean = newest.histories, newest.mean
    enough = min(int((histories.repeats > 0).sum()), int((mean > 0).sum())) >= MIN_CUSTOMERS
    if not enough or not known.there.any():
        return None
    plain = Process(PurchaseProcess.fit(histories), Spend.fit(histories.repeats + 1, mean), 1.0)
    told = float(plain.amount(known, reach).sum())
    level = float(outcome[known.there].sum()) / told if told > 0 else 0.0
    low, high = SLOPES
    return replace(plain, level=level) if low <= level <= high else None


def chance(predicted: np.ndarray, count: np.ndarray, bought: np.ndarray) -> Chance | None:
    """Fit the chance of a purchase to predicted amounts and expected purchases; None where too few rows tell."""
    from sklearn.linear_model import LogisticRegression

    if min(int(bought.sum()), int((~bought).sum())) < MIN_OF_A_KIND:
        return None
    offset = max(0.01, 0.01 * float(np.abs(predicted).mean()))
    fitted = LogisticRegression(solver="newton-cholesky", max_iter=200).fit(
        Chance.inputs(predicted, count, offset), bought
    )
    by_amount, by_count = fitted.coef_[0].tolist()
    return Chance(offset, float(fitted.intercept_[0]), by_amount, by_count)


def measured(sample: Sample, split: Split, scorer: Scorer) -> dict[str, dict[str, Any]]:
    """
    Return by horizon how many outcomes of the test days its intervals hold, each with an interval over draws of users.

    By decile of the prediction, the lowest first, for the upper end: of many users zero is both ends.
    """
    if scorer.outlook is None:
        return {}
    rows, labels = sample.judged(split.test), [target.label for target in sample.targets]
    predictions = scorer.predict(rows).by_label
    told = scorer.outlook.tell(rows, predictions, labels)
    users = rows["user_id"].to_numpy(zero_copy_only=False)
    outcome, predicted, found = np.zeros(rows.num_rows), np.zeros(rows.num_rows), {}
    for target in sample.targets:
        outcome, predicted = outcome + rows[target.label].to_numpy(), predicted + predictions[target.label]
        low, high = (told[f"{end}_1_{target.to_day}"] for end in ("low", "high"))
        # A published end has cents.
        below = outcome <= np.round(high, 2) + 1e-9
        within = below & (outcome >= np.round(low, 2) - 1e-9)
        deciles = np.array_split(np.argsort(predicted, kind="stable"), BINS)
        found[f"1_{target.to_day}"] = {
            "within": _share(users, within),
            "at_or_below_high": _share(users, below),
            "at_or_below_high_by_decile": [float(below[of].mean()) for of in deciles],
            "zero_share": float((outcome <= 0).mean()),
        }
    if "purchase_probability" in told:
        found[f"1_{sample.targets[-1].to_day}"]["purchase_probability"] = _judged(
            told["purchase_probability"], outcome > 0
        )
    return found


def _share(users: np.ndarray, holds: np.ndarray) -> dict[str, float]:
    drawn = [float(holds[rows].mean()) for rows in evaluation.draws(users)]
    low, high = np.quantile(drawn, evaluation.INTERVAL)
    return {"value": float(holds.mean()), "low": float(low), "high": float(high)}


def _judged(probability: np.ndarray, bought: np.ndarray) -> dict[str, float]:
    from ml.objectives import figures

    outcome = bought.astype(np.float64)
    named: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "auc": figures.auc,
        "ece": figures.ece,
        "log_loss": figures.log_loss,
        "predicted_over_actual": figures.predicted_over_actual,
    }
    return {name: figure(outcome, probability) for name, figure in named.items()}


def _known_rows(sample: Sample, days: Days, targets: Sequence[Target]) -> pa.Table:
    """Return rows of some days on which all of some labels are known."""
    import pyarrow.compute as pc

    rows = sample.of(days, targets[-1])
    for target in targets[:-1]:
        rows = rows.filter(pc.is_valid(rows[target.label]))
    return rows


def _newest(sample: Sample, days: Days) -> pa.Table:
    """Return the rows of the last of some days: a row a user, whatever its label."""
    import pyarrow.compute as pc

    return sample.rows.filter(pc.equal(sample.rows["day"], days.last))


def _totals(scorer: Scorer, rows: pa.Table, targets: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
    """Add up what was predicted and what came, over some targets."""
    by_label = scorer.predict(rows).by_label
    predicted = sum((by_label[target.label] for target in targets), np.zeros(rows.num_rows))
    outcome = sum((rows[target.label].to_numpy() for target in targets), np.zeros(rows.num_rows))
    return predicted, outcome
