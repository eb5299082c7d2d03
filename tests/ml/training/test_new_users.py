"""The part of a model that speaks of new users: where it helps, how it falls silent, and where it is left out."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.calibration import Level
from ml.model.encoder import MIN_USERS, Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.part import ACTIVE_DAYS, Handover
from ml.model.scorer import Scorer
from ml.objectives import figures
from ml.training import fitting, new_users, samples
from ml.training.backtest import of_first_target
from rekindle.errors import InputError
from tests.ml.conftest import WORDING, feature_rows, sample_of, sundays

WEEKS, USERS = 22, 400

CHANNELS = {"ads": 2.0, "search": 10.0, "friends": 48.0}
"""What a new user of each is worth on average, where that matters."""

NET = "net_revenue_1_30"


def of_new_and_old(*, matters: bool, seed: int = 0) -> pa.Table:
    """
    Every second user is new, with up to three active days and no order; what the others spend goes with what they spent.

    Where the channel matters they spend ten times that: beside their squared errors those of new users are nothing. Where it
    does not, a new user is worth what anybody is who has spent nothing.
    """
    draw, count = np.random.default_rng(seed), WEEKS * USERS
    channel = np.tile(draw.choice([*CHANNELS], USERS), WEEKS)
    is_new = np.arange(count) % 2 == 0
    often = np.where(is_new, 0, draw.poisson(4.0, count))
    days = np.where(is_new, np.minimum(draw.poisson(0.7, count), 3), 10 + often)
    spent = np.round(often * draw.gamma(2.0, 20.0, count), 2)
    worth, law = (
        (np.array([CHANNELS[one] for one in channel]), 10 * spent) if matters else (20.0, 20 + spent + 20 * often)
    )
    spends = np.where(is_new, 0.5, 0.9)
    comes = (draw.random(count) < spends) * draw.gamma(4.0, 0.25, count) / spends
    rows = feature_rows(
        sundays(WEEKS),
        USERS,
        seed=seed,
        channel=channel.tolist(),
        tenure_days=np.where(is_new, draw.integers(0, 60, count), 400).tolist(),
        active_days_ever=days.tolist(),
        active_days_28d=np.where(is_new, days, often).tolist(),
        orders_28d=often.tolist(),
        sale_amount_28d=[Decimal(f"{x:.2f}") for x in spent],
        sale_amount_90d=[Decimal(f"{2 * x:.2f}") for x in spent],
        recency_days=[7 if n else None for n in days],
    )
    at = rows.column_names.index(NET)
    return rows.set_column(at, NET, pa.array(np.round(comes * np.where(is_new, worth, law), 2)))


@pytest.fixture(scope="module")
def product(ltv):
    return replace(ltv, candidates=("linear", "boosting"))


@pytest.fixture(scope="module")
def sample(ltv, business):
    return of_first_target(sample_of(ltv, of_new_and_old(matters=True), business))


@pytest.fixture(scope="module")
def fitted(product, sample, business):
    return fitting.fit(product, sample, samples.split(sample, business))


def of_new(sample, split) -> pa.Table:
    rows = sample.judged(split.test)
    return rows.filter(pa.array(rows[ACTIVE_DAYS].to_numpy() < 4))


def test_where_the_channel_matters_new_users_are_ranked_better_and_their_level_holds(product, sample, fitted, business):
    split = samples.split(sample, business)
    without = fitting.fit(replace(product, registration=()), sample, split)
    rows = of_new(sample, split)
    outcome = rows[NET].to_numpy()
    begun, plain = (one.scorer.predict(rows).by_label[NET] for one in (fitted, without))
    never = rows[ACTIVE_DAYS].to_numpy() == 0

    assert fitted.contests[0].new_users.days in new_users.HANDOVERS
    assert figures.gini(outcome, begun) > figures.gini(outcome, plain) + 0.05
    assert begun.sum() / outcome.sum() == pytest.approx(1, abs=0.1)
    assert begun[never].sum() / outcome[never].sum() == pytest.approx(1, abs=0.1)


def test_where_it_does_not_they_are_told_as_all_are_and_that_is_said(ltv, business):
    """Trees that learn in proportion are right about new users by themselves."""
    trees = replace(ltv, candidates=("tweedie",))
    rows = of_first_target(sample_of(trees, of_new_and_old(matters=False, seed=1), business))
    found = fitting.fit(trees, rows, samples.split(rows, business))
    told = found.to_json()["candidates"][NET]["new_users"]

    assert told["handover_days"] is None
    assert told["why_not"] == "among new users none is nearer by more than a standard error"
    assert set(told["validation"]) == {"without", "2", "4", "8"}
    assert len(found.scorer.forecasts[0].parts) == 1


def test_each_active_day_moves_the_prediction_by_a_share_of_what_was_known_at_registration(fitted, sample):
    """Visits without money tell a regression of amounts nothing: each step is the part's, and after the last there is none."""
    (forecast,) = fitted.scorer.forecasts
    plain = replace(fitted.scorer, forecasts=(replace(forecast, calibration=Level(1.5)),))
    days, (*_, start) = forecast.handover_days, forecast.parts
    new = of_new_user(sample)
    visits = pa.concat_tables([replaced(new, n) for n in range(days + 3)])
    predicted = plain.predict(visits).by_label[NET]
    said = 1.5 * start.raw(Encoded(new))[0]

    assert said > 0
    np.testing.assert_allclose(np.diff(predicted), [-said / days] * days + [0.0] * 2, atol=1e-9)


def of_new_user(sample) -> pa.Table:
    """A row of a user of the best channel who was never active."""
    rows = sample.rows
    there = (rows[ACTIVE_DAYS].to_numpy() == 0) & (rows["channel"].to_numpy(zero_copy_only=False) == "friends")
    return rows.take(pa.array(np.flatnonzero(there)[:1]))


def replaced(row: pa.Table, active_days: int) -> pa.Table:
    at = row.column_names.index(ACTIVE_DAYS)
    return row.set_column(at, ACTIVE_DAYS, pa.array([active_days], pa.int64()))


@given(days=st.integers(2, 50), active=st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=1))
def test_a_part_of_new_users_fades_from_all_to_nothing_in_equal_steps(days, active):
    rows = pa.table({ACTIVE_DAYS: pa.array(active, pa.int64())})

    expected = [max(0.0, 1 - n / days) if n is not None else 0.0 for n in active]
    np.testing.assert_allclose(Handover(days).weight(rows), expected, atol=1e-12)


def test_reasons_add_up_and_a_model_is_read_back_equal_by_who_knows_the_handover(fitted, sample, business):
    rows = of_new(sample, samples.split(sample, business)).slice(0, 200)
    files = fitted.scorer.to_files()
    again = Scorer.from_files(files)
    scored = again.score(rows, WORDING).to_pylist()

    assert b'"format": 4' in files["model.json"] and again.to_files() == files
    assert again.score(rows, WORDING).equals(fitted.scorer.score(rows, WORDING))
    assert any(reason["feature"] == "channel" for row in scored for reason in row["reasons"])
    for row, raw in zip(scored, again.predict(rows).raw, strict=True):
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert (whole, row["raw_score"]) == (pytest.approx(raw), pytest.approx(raw))
    with pytest.raises(InputError, match=r"signature_mismatch: .*active_days_ever missing"):
        again.score(rows.drop_columns([ACTIVE_DAYS]), WORDING)


def test_a_refit_and_a_champion_s_recipe_begin_alike(product, sample, fitted, business):
    split = samples.split(sample, business)
    again = fitting.fit_recipe(product, sample, split, fitted.scorer)
    refitted = fitting.refit(product, sample, fitted.scorer, samples.refit_days(sample, split, business))
    kinds = {one.forecasts[0].handover_days for one in (fitted.scorer, again, refitted.scorer)}

    assert kinds == {fitted.contests[0].new_users.days}
    assert again.predict(sample.rows).raw == pytest.approx(fitted.scorer.predict(sample.rows).raw)
    (said,) = fitted.to_json()["evaluations"]["1_30"]["made_by"]
    assert said.endswith(f"of new users linear regression on registration data, until {min(kinds)} active days")


def test_what_no_model_may_read_the_part_of_new_users_does_not_read(product, sample, fitted, business):
    kept_out, days = replace(sample, kept_out=("attributes:age",)), samples.split(sample, business).train[NET]
    rows = sample.of(days, sample.targets[0])
    train = Examples(Encoded(rows), rows[NET].to_numpy())
    encoders = fitting.encoders_of(kept_out, samples.split(sample, business))
    part = new_users.part(product, encoders, fitted.scorer.forecasts[0].parts[:1], train, 4)

    assert {*fitted.scorer.forecasts[0].parts[-1].encoder.columns} == {*product.registration[:3], "attributes:age"}
    assert {*part.encoder.columns} == {*product.registration[:3]}


@pytest.mark.parametrize(("users", "named"), [(MIN_USERS - 1, {"Wien"}), (MIN_USERS, {"Wien", "Lech"})])
def test_a_level_of_few_users_is_not_named_however_many_rows_they_have(product, users, named):
    weeks, count = 20, 60
    city = ["Lech" if n % count < users else "Wien" for n in range(weeks * count)]
    attributes = [[("city", name)] for name in city]
    rows = feature_rows(sundays(weeks), count, attributes=attributes, active_days_ever=[0] * len(city))
    encoders = Encoders(rows, leave_out=[name for name in rows.column_names if "_1_" in name])
    train = Examples(Encoded(rows), rows[NET].to_numpy())
    part = new_users.part(product, encoders, LEARNERS["linear"].fit(encoders, "regression", train, 0), train, 4)

    assert {one.level for one in part.encoder.features if one.key == "city" and one.level} == named
    assert dict(part.encoder.inputs).keys() <= {*product.registration}


def test_where_everybody_was_active_nothing_is_tried(product, sample, business):
    at = sample.rows.column_names.index(ACTIVE_DAYS)
    active = pa.array(sample.rows[ACTIVE_DAYS].to_numpy() + 1)
    rows = replace(sample, rows=sample.rows.set_column(at, ACTIVE_DAYS, active))
    linear = replace(product, candidates=("linear",))
    found = fitting.fit(linear, rows, samples.split(sample, business))

    assert found.contests[0].new_users.told == "as all: too few rows of users who were never active"
