"""A regression that looks at recency, frequency, monetary value and rhythm, and at nothing else."""

import numpy as np
import pyarrow as pa
import pytest

from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.objectives import figures

LEARNER = LEARNERS["rfm"]
NOISE = 60


def world(seed: int, rows: int) -> tuple[pa.Table, np.ndarray]:
    """Who was here lately and often comes back; of sixty types of events none says anything."""
    draw = np.random.default_rng(seed)
    recency, often = draw.integers(7, 90, rows), draw.poisson(4, rows)
    odds = -0.5 - 0.04 * recency + 0.3 * often
    noise = {f"noise_{n}": draw.poisson(2, rows) for n in range(NOISE)}
    table = pa.table({"recency_days": recency, "active_days_90d": often, **noise})
    return table, (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)


def test_of_few_rows_it_learns_more_than_a_regression_on_everything():
    train, outcome = world(0, 400)
    examples = Examples(Encoded(train), outcome)
    later, came = world(1, 20_000)
    few, all_of_them = (
        figures.auc(came, LEARNERS[name].fit(Encoders(train), "binary", examples, examples)[0].raw(Encoded(later)))
        for name in ("rfm", "logistic")
    )

    assert few > all_of_them + 0.01


def test_it_reads_no_other_column():
    train, outcome = world(0, 400)
    examples = Examples(Encoded(train), outcome)
    (part,) = LEARNER.fit(Encoders(train), "binary", examples, examples)
    told = part.contributions(Encoded(train))

    assert {source for source, amounts in told.by_source.items() if amounts.any()} == {
        "recency_days",
        "active_days_90d",
    }
    np.testing.assert_allclose(told.raw, part.raw(Encoded(train)))


def test_where_there_is_no_such_column_all_have_the_base_rate():
    train, outcome = world(0, 400)
    examples = Examples(Encoded(train.drop_columns(["recency_days", "active_days_90d"])), outcome)
    (part,) = LEARNER.fit(Encoders(examples.rows.rows), "binary", examples, examples)

    assert 1 / (1 + np.exp(-part.raw(examples.rows))) == pytest.approx(np.full(400, outcome.mean()))
