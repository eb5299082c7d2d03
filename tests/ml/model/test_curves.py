"""What bends and what acts together is learnt, explained exactly, and stored as numbers."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.learners.curves import Curves
from ml.objectives import figures


def world(seed: int, rows: int = 4000) -> tuple[pa.Table, np.ndarray]:
    """Returns come at a usual gap, neither before nor after it, the more of those who come often; some gaps are unknown."""
    draw = np.random.default_rng(seed)
    recency, often = draw.integers(7, 120, rows), draw.poisson(4, rows)
    known = draw.random(rows) < 0.8
    odds = 1.5 - np.abs(np.log(recency / 30)) * 2 + 0.25 * often - 1.5 * ~known
    table = pa.table(
        {
            "recency_days": recency,
            "active_days_90d": often,
            "gap_mean_days": [float(r) if k else None for r, k in zip(recency, known, strict=True)],
            "country": draw.choice(["AT", "DE"], rows),
        }
    )
    return table, (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)


@pytest.fixture(scope="module")
def learnt():
    table, outcome = world(0)
    examples = Examples(Encoded(table), outcome)
    fits = {name: LEARNERS[name].fit(Encoders(table), "binary", examples, examples) for name in ("logistic", "curves")}
    return {name: part for name, (part,) in fits.items()}


def test_a_bend_is_found_that_a_line_cannot_follow(learnt):
    table, outcome = world(1)
    bent, straight = (figures.auc(outcome, learnt[name].raw(Encoded(table))) for name in ("curves", "logistic"))

    assert bent > straight + 0.04


def test_contributions_add_up_and_the_baseline_is_the_average_training_row(learnt):
    table, _ = world(0)
    rows, part = Encoded(table), learnt["curves"]

    np.testing.assert_allclose(part.contributions(rows).raw, part.raw(rows))
    assert part.raw(rows).mean() == pytest.approx(part.predictor.baseline)


def test_a_stored_predictor_says_the_same_to_the_bit(learnt):
    part, rows = learnt["curves"], Encoded(world(2)[0])
    again = Curves.from_stored(json.loads(json.dumps(part.predictor.to_json())), None)

    assert again == part.predictor
    np.testing.assert_array_equal(again.raw(rows.by(part.encoder)), part.raw(rows))


def test_nothing_counts_as_more_than_training_saw(learnt):
    """Years of silence are not ten times a season of it."""
    row = world(2)[0].slice(0, 1)
    far, further = (
        row.set_column(0, "recency_days", pa.array([days], pa.int64())).set_column(2, "gap_mean_days", pa.array([60.0]))
        for days in (500, 50_000)
    )

    assert learnt["curves"].raw(Encoded(far)) == pytest.approx(learnt["curves"].raw(Encoded(further)))


def test_rows_with_few_different_values_are_learnt_from():
    """A count that is 0 or 1, and a number that is missing but for a few rows."""
    draw = np.random.default_rng(0)
    count, outcome = draw.integers(0, 2, 500), (draw.random(500) < 0.3).astype(float)
    table = pa.table({"recency_days": count, "rare": [float(i) if i < 3 else None for i in range(500)]})
    (part,) = LEARNERS["curves"].fit(Encoders(table), "binary", Examples(Encoded(table), outcome), 0)

    assert np.isfinite(part.raw(Encoded(table))).all()
