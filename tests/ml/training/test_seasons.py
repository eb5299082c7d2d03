"""Levels follow the year where days that were not seen say so, and nowhere else; who ranks before whom on a day stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.model.encoder import Encoded
from ml.model.scorer import FORMAT_SEASON, Scorer
from ml.objectives import OBJECTIVES, figures
from ml.products.declaration import Target
from ml.training import card, evaluation, fitting, samples, seasons
from ml.training.samples import Sample
from tests.ml.conftest import FIRST_SUNDAY, WORDING, feature_rows, sample_of, sundays

YEAR = 364
TARGET = Target("active", 1, 7, (), total="1")
EMPTY = Sample("p", FIRST_SUNDAY, (TARGET,), pa.table({}), {}, 1.0)


def totals_of(values, target: Target = TARGET) -> pa.Table:
    """A total for each date from the first Sunday on; of None there is no row."""
    told = [(FIRST_SUNDAY + timedelta(days=n), float(v)) for n, v in enumerate(values) if v is not None]
    dates, numbers = zip(*told, strict=True)
    return pa.table({seasons.DATE: pa.array(dates, pa.date32()), target.label: numbers})


def logs_of(values, target: Target = TARGET) -> dict[date, float]:
    """What is known of each day, by day."""
    season = seasons.of_totals(replace(EMPTY, totals=totals_of(values, target)), target, 1.0, multiplies=False)
    if season is None:
        return {}
    first = date.fromisoformat(season.first)
    return {first + timedelta(days=n): log for n, log in enumerate(season.logs) if log is not None}


def drawn(day_count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(50, 150, day_count)


@settings(max_examples=20, deadline=None)
@given(st.integers(380, 800), st.integers(1, 60), st.integers(0, 40))
def test_a_day_is_compared_with_the_year_that_is_told_of_by_then(day_count, from_day, length):
    target = replace(TARGET, from_day=from_day, to_day=from_day + length)
    values = drawn(day_count)
    found = logs_of(values, target)

    days = range(YEAR - 1 + seasons.TOLD_DAYS, day_count + YEAR - target.to_day)
    assert list(found) == [FIRST_SUNDAY + timedelta(days=n) for n in days]
    for n in (days[0], days[len(days) // 2], days[-1]):
        last = min(n - seasons.TOLD_DAYS, day_count - 1)
        coming = values[n - YEAR + from_day : n - YEAR + target.to_day + 1]
        expected = np.log(coming.mean() / values[last - YEAR + 1 : last + 1].mean())
        assert found[FIRST_SUNDAY + timedelta(days=n)] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(371, 790))
def test_nothing_that_was_not_told_of_by_a_day_moves_it(n):
    """Whatever came after it, and in its last week, of which not all had been delivered."""
    values = drawn(800)
    changed = np.where(np.arange(800) > n - seasons.TOLD_DAYS, 1e6, values)
    day = FIRST_SUNDAY + timedelta(days=n)

    assert logs_of(values)[day] == logs_of(changed)[day]
    assert logs_of(values)[day] != logs_of(changed).get(day + timedelta(days=30))


def test_before_a_business_has_a_year_nothing_is_known():
    began = [None] * 300 + list(drawn(500))
    first = min(logs_of(began))

    assert logs_of(drawn(YEAR - 1)) == {} or min(logs_of(drawn(YEAR - 1))) > FIRST_SUNDAY + timedelta(days=YEAR)
    assert first >= FIRST_SUNDAY + timedelta(days=300 + YEAR // 2)
    assert seasons.of_totals(EMPTY, TARGET, 1.0, multiplies=False) is None
    assert (
        seasons.of_totals(
            replace(EMPTY, totals=totals_of(drawn(800))), replace(TARGET, to_day=360), 1.0, multiplies=False
        )
        is None
    )


@pytest.mark.parametrize("day_count", [0, 1, 30, 140, 200, 300, YEAR - 1])
def test_of_a_history_of_less_than_a_year_nothing_is_known_and_nothing_breaks(day_count):
    """Neither days before the first total nor those of its end stand for last year's."""
    none = totals_of(drawn(1)).slice(1)
    totals = totals_of(drawn(day_count)) if day_count else none

    assert seasons.of_totals(replace(EMPTY, totals=totals), TARGET, 1.0, multiplies=False) is None


def test_a_day_without_a_single_order_is_told_with_bounds():
    values = drawn(800)
    values[10:17] = 0.001
    bound = round(seasons.BOUND, seasons.DIGITS)

    assert logs_of(values)[FIRST_SUNDAY + timedelta(days=9 + YEAR)] == -bound


def swing_of(days: np.ndarray, swing: float) -> np.ndarray:
    return swing * np.cos(2 * np.pi * (days - 330) / 365.25)


def of_a_business(product, business, *, swing: float, seed: int = 3, weeks: int = 112, users: int = 60) -> Sample:
    """
    A business whose level is that of the time of the year, but for shocks that last some weeks, or of these alone.

    Features say nothing of the day; totals by date are of the whole business, of which the rows are a few users.
    """
    rows, draw = feature_rows(sundays(weeks), users, seed=seed), np.random.default_rng(seed)
    dates = np.arange(7 * weeks + 10)
    shocks = np.zeros(len(dates))
    for before, now in pairwise(dates):
        shocks[now] = 0.9 * shocks[before] + draw.normal(0, 0.04)
    level = swing_of(dates, swing) + shocks
    at = 7 * np.repeat(np.arange(weeks), users)
    for name in ("active_1_7", "net_revenue_1_30", "net_revenue_31_90"):
        first, last = (int(part) for part in name.rsplit("_", 2)[1:])
        coming = np.array(
            [level[a + first : a + last + 1].mean() if a + first < len(level) else 0.0 for a in 7 * np.arange(weeks)]
        )
        by_row = np.repeat(coming, users)
        if name == "active_1_7":
            recency, often = (rows[column].to_numpy().astype(float) for column in ("recency_days", "active_days_28d"))
            odds = 0.5 * often - 0.03 * recency - 1.5 + by_row
            values = (draw.random(len(at)) < 1 / (1 + np.exp(-odds))).astype(float)
        else:
            values = np.round(rows[name].to_numpy() * np.exp(by_row), 2)
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    sample = sample_of(product, rows, business)
    told = dates[: len(dates) - seasons.TOLD_DAYS]
    by_date = 200 * np.exp(level[: len(told)]) * draw.gamma(100, 0.01, len(told))
    columns = {target.label: by_date for target in sample.targets}
    return replace(
        sample, totals=pa.table({seasons.DATE: [FIRST_SUNDAY + timedelta(days=int(n)) for n in told], **columns})
    )


@pytest.fixture
def logistic(recall):
    return replace(recall, candidates=("logistic",))


@pytest.fixture
def linear(ltv):
    return replace(ltv, candidates=("linear",), registration=())


@pytest.fixture
def in_season(logistic, business):
    return of_a_business(logistic, business, swing=1.0)


def within_days(rows: pa.Table, raw: np.ndarray) -> list[list[int]]:
    """The order of the rows of each day."""
    days = rows["day"].to_numpy()
    return [np.argsort(-raw[days == day], kind="stable").tolist() for day in np.unique(days)]


def test_levels_follow_the_year_where_they_have_done_so(logistic, in_season, business):
    """On the test days, too, which chose nothing; the order of a day stays, and whoever fits the recipe again follows alike."""
    split = samples.split(in_season, business)
    found = fitting.fit(logistic, in_season, split)
    without = fitting.fit(logistic, replace(in_season, totals=None), split)
    refitted = fitting.refit(logistic, in_season, found.scorer, samples.refit_days(in_season, split, business)).scorer
    by_the_gate = fitting.fit_recipe(logistic, in_season, split, found.scorer)
    season, rows = found.scorer.forecasts[0].season, in_season.judged(split.test)
    both = evaluation.Compared(
        found.longest.users, found.longest.outcome, found.longest.prediction, without.longest.prediction
    )

    assert 0.5 < season.coefficient < 1.5
    assert found.contests[0].season.low > 0 and without.contests[0].season.season is None
    assert evaluation.paired(minus_log_loss, [both]).is_above_zero
    assert within_days(rows, found.longest.raw) == within_days(rows, without.longest.raw)
    assert within_days(rows, found.longest.prediction) == within_days(rows, without.longest.prediction)
    assert {one.forecasts[0].season for one in (refitted, by_the_gate)} == {season}
    assert by_the_gate.forecasts == found.scorer.forecasts


def minus_log_loss(outcome, chance) -> float:
    return -figures.log_loss(outcome, chance)


def test_a_stored_model_follows_the_year_and_says_so_in_its_format(logistic, in_season, business):
    split = samples.split(in_season, business)
    scorer = fitting.fit(logistic, in_season, split).scorer
    files = scorer.to_files()
    stored, rows = Scorer.from_files(files), in_season.judged(split.test)

    assert f'"format": {FORMAT_SEASON}'.encode() in files["model.json"]
    assert stored.forecasts[0].season == scorer.forecasts[0].season
    assert stored.to_files() == files
    np.testing.assert_array_equal(stored.predict(rows).raw, scorer.predict(rows).raw)
    (batch, *_) = rows.combine_chunks().to_batches()
    assert stored.score(batch, WORDING).equals(scorer.score(rows, WORDING)), "as a worker is given them"


@pytest.mark.parametrize("made", ["logistic", "linear"])
def test_what_a_score_is_made_of_adds_up_in_season(made, request, business):
    """The day is no reason: of chances it stands in the baseline, amounts are multiplied with all that makes them."""
    product = request.getfixturevalue(made)
    sample = of_a_business(product, business, swing=1.0, weeks=160)
    split = samples.split(sample, business)
    scorer = fitting.fit(product, sample, split).scorer
    rows = sample.judged(split.test)
    told, scored = scorer.made_of(rows), scorer.score(rows, WORDING)

    assert all(forecast.season for forecast in scorer.forecasts)
    np.testing.assert_allclose(told.raw, told.baseline + sum(told.by_source.values()), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(told.raw, scorer.predict(rows).raw, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scored["raw_score"].to_numpy(), told.raw)
    assert not any("season" in source for source in told.by_source)


def test_a_day_of_which_no_year_ago_is_known_has_the_level_without_a_season(logistic, in_season, business):
    forecast = fitting.fit(logistic, in_season, samples.split(in_season, business)).scorer.forecasts[0]
    rows = in_season.rows.slice(0, 50)
    later = rows.set_column(0, "day", pa.array([forecast.season.last + timedelta(days=1)] * 50, pa.date32()))
    plain = replace(forecast, season=None)

    assert rows.column_names[0] == "day"
    np.testing.assert_array_equal(forecast.predict(Encoded(later)), plain.predict(Encoded(later)))
    on_the_last = later.set_column(0, "day", pa.array([forecast.season.last] * 50, pa.date32()))
    assert not np.allclose(forecast.predict(Encoded(on_the_last)), plain.predict(Encoded(on_the_last)))


def test_amounts_are_multiplied_and_keep_their_order(linear, business):
    sample = of_a_business(linear, business, swing=1.0, weeks=160)
    split = samples.split(sample, business)
    found, without = (fitting.fit(linear, one, split) for one in (sample, replace(sample, totals=None)))
    rows = sample.judged(split.test)
    both = [Scorer("p", (one.scorer.forecasts[0],)).predict(rows).raw for one in (found, without)]

    assert all(0.5 < forecast.season.coefficient < 1.5 for forecast in found.scorer.forecasts)
    assert within_days(rows, both[0]) == within_days(rows, both[1])
    assert OBJECTIVES["amount"].calibrate_by(found.longest.outcome, found.longest.prediction) > OBJECTIVES[
        "amount"
    ].calibrate_by(without.longest.outcome, without.longest.prediction)


def test_a_business_without_a_season_has_the_model_that_it_had(logistic, business):
    """To the byte: what is not taken leaves no trace, and its digest stays what it was."""
    sample = of_a_business(logistic, business, swing=0.0)
    split = samples.split(sample, business)
    found, without = (fitting.fit(logistic, one, split) for one in (sample, replace(sample, totals=None)))

    assert found.contests[0].season.why_not
    assert found.scorer.to_files() == without.scorer.to_files()


def test_the_same_sample_has_the_same_season(logistic, in_season, business):
    split = samples.split(in_season, business)
    once, again = (fitting.fit(logistic, in_season, split).scorer.to_files() for _ in range(2))
    moved = replace(in_season, totals=in_season.totals.slice(1))

    assert once == again
    assert in_season.digest == replace(in_season).digest
    assert len({in_season.digest, moved.digest, replace(in_season, totals=None).digest}) == 3


def test_totals_that_came_later_do_not_change_what_was_learnt_before(logistic, in_season, business):
    """A sample of a quarter later, whose split is the same, learns the same of the same days."""
    split = samples.split(in_season, business)
    last = split.validation["active_1_7"].last
    until = pc.less_equal(in_season.totals[seasons.DATE], pa.scalar(last, pa.date32()))
    earlier = replace(in_season, totals=in_season.totals.filter(until))
    found, before = (fitting.fit(logistic, one, split).contests[0].season for one in (in_season, earlier))

    assert found.season.coefficient == before.season.coefficient
    days = in_season.judged(split.validation["active_1_7"])["day"].to_numpy()
    np.testing.assert_array_equal(found.season.log_of(days), before.season.log_of(days))


def test_a_card_says_whether_the_level_follows_the_year(logistic, in_season, business):
    split = samples.split(in_season, business)
    found, without = (fitting.fit(logistic, one, split) for one in (in_season, replace(in_season, totals=None)))

    def limits(fitted) -> str:
        tested = card.Tested.of(in_season, split, fitted)
        told = card.card(logistic, in_season, tested, scorer=fitted.scorer, champion=None, settings=business)
        return " ".join(told["limits"])

    season = found.scorer.forecasts[0].season
    assert f"follows the year: {season.coefficient:.2f} of" in limits(found)
    assert f"to {season.last}" in limits(found)
    assert "The level of active_1_7 does not follow the time of the year." in limits(without)


@pytest.mark.slow
def test_over_many_businesses_levels_follow_the_year_where_there_is_one(logistic, business, record_property):
    """Twenty of each kind, simulated: log-loss on test days, and how often a season was taken."""
    gains, taken = {}, {}
    for swing in (1.0, 0.0):
        found = []
        for seed in range(200, 220):
            sample = of_a_business(logistic, business, swing=swing, seed=seed)
            split = samples.split(sample, business)
            fitted, without = (fitting.fit(logistic, one, split) for one in (sample, replace(sample, totals=None)))
            losses = [figures.log_loss(one.longest.outcome, one.longest.prediction) for one in (without, fitted)]
            found.append((losses[0] - losses[1], fitted.scorer.forecasts[0].season is not None))
        of_kind, count = np.array([gain for gain, _ in found]), sum(has for _, has in found)
        error = 1.96 * of_kind.std(ddof=1) / np.sqrt(len(of_kind))
        gains[swing], taken[swing] = (of_kind.mean() - error, of_kind.mean() + error), count
        record_property(
            "figure",
            f"seasons, {'yearly' if swing else 'steady'} businesses (simulated, 20): taken in {count}, "
            f"log-loss on test days less by {of_kind.mean():.4f} ± {error:.4f}",
        )

    assert taken[1.0] >= 18 and gains[1.0][0] > 0
    assert taken[0.0] <= 1 and gains[0.0][0] > -0.001
