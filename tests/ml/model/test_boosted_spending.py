"""Trees that begin with what was spent within a year."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ml.model.encoder import Dense, Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.learners.boosted_spending import BoostedSpending
from ml.objectives import figures
from tests.ml.conftest import feature_rows, sundays

LEARNER = LEARNERS["boosted_spending"]
LABELS = ["net_revenue_1_30", "net_revenue_31_90", "active_1_7"]
ROWS = 900


@pytest.fixture(scope="module")
def few_who_spend_most() -> tuple[Encoders, Examples, Examples]:
    """Who has spent goes on spending, without a level that anybody else has; rows to learn from are of poorer days."""
    rows = feature_rows(sundays(6), 300, seed=7)
    draw = np.random.default_rng(7)
    spending = draw.pareto(1.2, len(rows)) * np.repeat([1.0, 30.0], len(rows) // 2)
    sales = pa.array(np.where(draw.random(len(rows)) < 0.3, 0.0, spending))
    rows = rows.set_column(rows.column_names.index("sale_amount_365d"), "sale_amount_365d", sales)
    outcome = sales.to_numpy() / 12 * draw.gamma(0.5, 2.0, len(rows)) - (draw.random(len(rows)) < 0.01)
    train, stop = (Examples(Encoded(rows.slice(at, ROWS)), outcome[at : at + ROWS]) for at in (0, ROWS))
    return Encoders(rows, leave_out=LABELS), train, stop


def test_it_ranks_levels_that_it_has_not_seen(few_who_spend_most):
    encoders, train, stop = few_who_spend_most
    ginis = {
        name: figures.gini(stop.outcome, LEARNERS[name].fit(encoders, "regression", train, 50)[0].raw(stop.rows))
        for name in ("tweedie", "boosted_spending")
    }
    rule = figures.gini(stop.outcome, stop.rows.by(encoders.of(Dense))[:, place_of_sales(encoders)])

    assert ginis["boosted_spending"] > rule - 0.02 > ginis["tweedie"]


def test_what_columns_add_in_money_leaves_no_rest(few_who_spend_most):
    encoders, train, stop = few_who_spend_most
    (part,) = LEARNER.fit(encoders, "regression", train, stop)
    told = part.contributions(stop.rows)

    assert told.raw == pytest.approx(part.raw(stop.rows), rel=1e-9)
    assert np.ptp(told.baseline) == 0
    # Who has spent more than most is worth more because of it.
    most = np.argmax(stop.rows.by(encoders.of(Dense))[:, place_of_sales(encoders)])
    assert told.by_column[most, :-1].argmax() == place_of_sales(encoders)


def test_it_is_refitted_with_as_many_trees_and_read_back_to_the_bit(few_who_spend_most):
    encoders, train, stop = few_who_spend_most
    (part,) = LEARNER.fit(encoders, "regression", train, stop)
    (again,) = LEARNER.fit(encoders, "regression", train, part.predictor.trees)
    plain = json.loads(json.dumps(part.predictor.to_json()))
    stored = BoostedSpending.from_stored(plain, part.predictor.to_bytes())

    assert np.array_equal(again.raw(stop.rows), part.raw(stop.rows))
    assert np.array_equal(stored.raw(stop.rows.by(encoders.of(Dense))), part.raw(stop.rows))


def test_of_a_short_history_it_begins_with_the_longest_window_that_tells_more(few_who_spend_most):
    """Of two columns that are the same the encoder keeps the shorter window."""
    _, train, stop = few_who_spend_most

    def short(some: Examples) -> Examples:
        rows = some.rows.rows
        at = rows.column_names.index("sale_amount_90d")
        return Examples(Encoded(rows.set_column(at, "sale_amount_90d", rows["sale_amount_365d"])), some.outcome)

    train, stop = short(train), short(stop)
    encoders = Encoders(train.rows.rows, leave_out=LABELS)
    (part,) = LEARNER.fit(encoders, "regression", train, stop)
    start = encoders.of(Dense).features[part.predictor.start.sales].column

    assert "sale_amount_365d" not in [feature.column for feature in encoders.of(Dense).features]
    assert start == "sale_amount_90d"


@pytest.mark.parametrize("sales", [0.0, None])
def test_where_nobody_has_spent_all_begin_alike(few_who_spend_most, sales):
    _, train, stop = few_who_spend_most

    def poor(some: Examples) -> Examples:
        rows, nothing = some.rows.rows, pa.array([sales] * ROWS, pa.float64())
        for name in rows.column_names:
            if name.startswith(("sale_amount_", "refund_amount_")):
                rows = rows.set_column(rows.column_names.index(name), name, nothing)
        return Examples(Encoded(rows), some.outcome)

    train, stop = poor(train), poor(stop)
    encoders = Encoders(train.rows.rows, leave_out=LABELS)
    (part,) = LEARNER.fit(encoders, "regression", train, stop)

    assert np.ptp(part.predictor.start.logarithm(stop.rows.by(encoders.of(Dense)))) == 0
    assert np.isfinite(part.raw(stop.rows)).all()
    assert part.contributions(stop.rows).raw == pytest.approx(part.raw(stop.rows), rel=1e-9)


def place_of_sales(encoders: Encoders) -> int:
    return [feature.column for feature in encoders.of(Dense).features].index("sale_amount_365d")
