"""Trees whose sum is the logarithm of an amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.encoder import Dense, Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.learners.boosting import Boosting
from ml.model.learners.tweedie import Exponential
from ml.objectives import figures
from tests.ml.conftest import feature_rows, sundays

STEPS = st.lists(st.floats(-20, 20).map(lambda step: round(step, 12)), min_size=2, max_size=6)
"""Of logarithms. A step near the smallest double there is times a price below 1 is no double any more, and has no sign."""


class Told:
    """Trees that add what they are told to."""

    trees = 1

    def __init__(self, *row: float) -> None:
        self.row = np.array([row])

    def contributions(self, _encoded: np.ndarray) -> np.ndarray:
        return self.row


@given(STEPS)
def test_what_columns_add_in_money_leaves_no_rest(row):
    """Also where columns cancel to nothing, or nearly."""
    for steps in (row, [*row, -sum(row)], [*row, 1e-12 - sum(row)]):
        found = Exponential(Told(*steps, 1.0)).contributions(np.zeros((1, len(steps))))[0]

        assert found[-1] == np.exp(1.0)
        rounding = 1e-9 * np.abs(found).sum()
        assert found.sum() == pytest.approx(np.exp(1.0 + sum(steps)), rel=1e-9, abs=rounding)
        assert (np.sign(found[:-1]) == np.sign(steps)).all()


@pytest.fixture(scope="module")
def rare_spenders() -> tuple[Encoders, Examples, Examples]:
    """Four in five spend nothing; who came often spends more often, and more, by a multiple."""
    rows = feature_rows(sundays(12), 300, seed=5)
    draw, often = np.random.default_rng(5), rows["active_days_28d"].to_numpy()
    spent = (draw.random(len(often)) < 0.03 * often) * draw.gamma(2.0, 10.0, len(often)) * np.exp(0.3 * often)
    outcome = np.where(draw.random(len(often)) < 0.01, -5.0, spent)
    train, stop = (Examples(Encoded(rows.slice(at, 1800)), outcome[at : at + 1800]) for at in (0, 1800))
    return Encoders(rows, leave_out=["net_revenue_1_30", "net_revenue_31_90", "active_1_7"]), train, stop


def test_it_ranks_rare_amounts_better_than_squared_errors_do(rare_spenders):
    encoders, train, stop = rare_spenders
    raws = {
        name: LEARNERS[name].fit(encoders, "regression", train, stop)[0].raw(stop.rows)
        for name in ("tweedie", "boosting")
    }
    ginis = {name: figures.gini(stop.outcome, raw) for name, raw in raws.items()}

    assert (stop.outcome <= 0).mean() > 0.6
    assert (raws["tweedie"] > 0).all()
    assert ginis["tweedie"] > ginis["boosting"]
    assert raws["tweedie"].sum() == pytest.approx(stop.outcome.sum(), rel=0.25)


def test_it_is_refitted_with_as_many_trees_and_read_back_to_the_bit(rare_spenders):
    encoders, train, stop = rare_spenders
    (part,) = LEARNERS["tweedie"].fit(encoders, "regression", train, stop)
    (again,) = LEARNERS["tweedie"].fit(encoders, "regression", train, part.predictor.trees)
    stored = Exponential.from_stored(part.predictor.to_json(), part.predictor.to_bytes())

    assert np.array_equal(again.raw(stop.rows), part.raw(stop.rows))
    assert isinstance(stored.logarithm, Boosting)
    assert np.array_equal(stored.raw(stop.rows.by(encoders.of(Dense))), part.raw(stop.rows))
