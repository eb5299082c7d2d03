"""Another calibration of a champion's scores: which days it is fitted and judged on, and how a fading business is followed."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.calibration import Level
from ml.objectives import OBJECTIVES
from ml.training import gate, outlooks, recalibration, recalibrator, samples
from ml.training.evaluation import Judged, evaluate
from ml.training.gate import Pair, paired
from ml.training.recalibration import ripe_days
from ml.training.samples import Sample
from rekindle.days import Days
from rekindle.report import scored_by
from tests.ml.conftest import FIRST_SUNDAY, feature_rows, sundays

ASKED = gate.criteria().model_copy(update={"resamples": 100})

REACH = timedelta(days=10)
"""Seven days of horizon and three of lateness."""

TRAINED = sundays(20)[-1] + REACH
"""The day with which the label of the last of the twenty weeks that the model has learnt from was known."""


@given(weeks=st.integers(1, 30), trained=st.integers(0, 250), reach=st.integers(8, 100))
def test_no_day_is_judged_that_either_calibration_was_fitted_on(weeks, trained, reach):
    """Whatever is known: a whole reach lies between fitting and judging, and of all of it nothing was known before."""
    gap, known, trained_day = timedelta(days=reach), sundays(weeks), FIRST_SUNDAY + timedelta(days=trained)
    found = ripe_days(known, gap, trained_day)

    assert found.new == tuple(day for day in known if day + gap > trained_day)
    assert {*found.fitted, *found.judged, *found.served} <= set(found.new)
    assert len(found.fitted) == len(found.served)
    assert bool(found.fitted) == bool(found.judged)
    if found.fitted:
        assert found.fitted[-1] + gap <= found.judged[0]
        assert found.served[-1] == found.judged[-1] == known[-1]
        assert max(map(len, (found.fitted, found.judged))) <= recalibration.WEEKS
    else:
        assert not found.new or found.new[0] + gap > found.new[-1]


def test_a_champion_of_three_weeks_is_calibrated_by_the_first_and_judged_on_the_last():
    known = sundays(23)
    found = ripe_days(known, REACH, TRAINED)

    assert (found.new, found.fitted, found.judged, found.served) == (
        tuple(known[20:]),
        (known[20],),
        (known[22],),
        (known[22],),
    )
    assert ripe_days(known[:22], REACH, TRAINED).fitted == ()
    assert ripe_days(sundays(26), REACH, TRAINED).judged == tuple(sundays(26)[24:])


class Business:
    """Customers by a known law, whose chance to come back is times a level that a week may have."""

    def __init__(self, recall, settings, level, *, users=400, seed=0):
        self.recall, self.settings, self.level = recall, settings, level
        self.weeks = sundays(40)
        rows = feature_rows(self.weeks, users, seed=seed)
        often, recency = (rows[name].to_numpy().astype(float) for name in ("orders_28d", "recency_days"))
        weeks = np.repeat(np.arange(len(self.weeks)), users)
        self.chance = level(weeks) / (1 + np.exp(-(0.5 * often - 0.03 * recency - 0.5)))
        came = (np.random.default_rng(seed).random(len(weeks)) < self.chance).astype(float)
        at = rows.column_names.index("active_1_7")
        self.rows = rows.set_column(at, "active_1_7", pa.array(came)).drop_columns(
            ["net_revenue_1_30", "net_revenue_31_90"]
        )

    def known_on(self, day) -> Sample:
        """The weeks of whose labels all is delivered by the end of a day."""
        rows = self.rows.filter(pc.less_equal(self.rows["day"], pa.scalar(day - REACH)))
        return Sample("recall", day, self.recall.targets(self.settings), rows, {}, 1.0)

    def ratio(self, scorer, week) -> float:
        """What a model foretells of a week over what is to come of it, without chance."""
        there = pc.equal(self.rows["day"], pa.scalar(self.weeks[week])).to_numpy(zero_copy_only=False)
        predicted = scorer.predict(self.rows.filter(pa.array(there))).by_label["active_1_7"]
        return float(predicted.sum() / self.chance[there].sum())

    def followed(self, scorer, until=31):
        """A champion that is never trained again, looked at each Sunday and calibrated where the gate lets it."""
        trained_day = TRAINED
        for week in range(22, until):
            day = self.weeks[week]
            found = recalibration.recalibrate(
                self.recall, self.known_on(day), scorer, trained_day, lateness_days=3, criteria=ASKED
            )
            if found.verdict.passed:
                scorer, trained_day = found.scorer, day
            yield week, scorer, found


def fading(weeks):
    """Half of the returns are lost within the ten weeks after the champion was trained."""
    return 1 - 0.5 * np.clip((weeks - 20) / 10, 0, 1)


@pytest.mark.parametrize(
    ("seed", "users"), [(0, 400), *(pytest.param(seed, 1500, marks=pytest.mark.slow) for seed in range(1, 4))]
)
def test_a_fading_business_is_followed_or_told_of_within_two_weeks(recall, business, recall_fitted, seed, users):
    """Simulated: from the day on which a label is known of a week that was foretold a tenth too much, two weeks at most."""
    world, champion = Business(recall, business, fading, seed=seed, users=users), recall_fitted.scorer
    first_off = next(week for week in range(20, 40) if world.ratio(champion, week) > 1.1)
    known_on = next(day for day in world.weeks if day >= world.weeks[first_off] + REACH)
    story = list(world.followed(champion))
    acted = next(world.weeks[week] for week, _, found in story if found.is_off or found.verdict.passed)

    assert acted <= known_on + timedelta(weeks=2)
    late = [(week, scorer) for week, scorer, _ in story if week >= 24]
    lag, left_alone = (
        np.mean([abs(np.log(world.ratio(scorer or champion, week))) for week, scorer in some])
        for some in (late, [(week, None) for week, _ in late])
    )
    assert lag < 0.6 * left_alone
    assert any(found.verdict.passed for _, _, found in story)


@pytest.mark.parametrize("users", [400, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_steady_business_keeps_its_champion(recall, business, recall_fitted, users):
    """Simulated: of six weeks in which nothing changes hardly one says otherwise."""
    world = Business(recall, business, lambda weeks: np.ones(len(weeks)), users=users)
    story = list(world.followed(recall_fitted.scorer, until=28))

    assert sum(found.is_off for _, _, found in story) == 0
    assert sum(found.verdict.passed for _, _, found in story) <= 1


def test_a_calibration_that_scores_otherwise_than_the_judged_one_is_refused_and_the_champion_told_of(
    recall, business, recall_fitted
):
    """It is nearer to what came true; but what would score, of the latest days, may be off by nothing here."""
    world = Business(recall, business, lambda weeks: np.full(len(weeks), 0.5))
    asked = ASKED.model_copy(update={"served_mean": 0.0})
    let_in, found = (
        recalibration.recalibrate(
            recall, world.known_on(world.weeks[26]), recall_fitted.scorer, TRAINED, lateness_days=3, criteria=criteria
        )
        for criteria in (ASKED, asked)
    )
    (check,) = recalibrator._checks(recall, SimpleNamespace(version="7"), found)

    assert let_in.verdict.passed and {one.name for one in let_in.verdict.criteria} >= {"served_rank", "served_mean"}
    assert not found.let_in and not found.verdict.passed and found.is_off
    assert found.scorer == recall_fitted.scorer
    assert check.outcome == "failed"
    assert found.verdict.why.startswith("active_1_7: its mean there is")


def judged(times: float, *, seed: int = 0) -> gate.Pair:
    """A champion whose amounts are `times` too high, and a challenger whose are right."""
    draw = np.random.default_rng(seed)
    expected = draw.gamma(1.0, 50.0, 2000)
    outcome = expected * draw.gamma(0.5, 2.0, 2000) * (draw.random(2000) < 0.5) * 2
    one = Judged(np.arange(2000), outcome, expected, expected, expected, 50.0)
    return Pair(one, replace(one, prediction=times * expected))


def test_amounts_are_nearer_by_the_distance_of_their_sums():
    """The order of users is the same, and says nothing of it; too much by a half is as far as too little by a third."""
    figures = OBJECTIVES["amount"].figures
    high, low, same = (paired.calibration(figures, judged(times), 200) for times in (1.5, 1 / 1.5, 1.0))

    off = float(np.log(judged(1.0).champion.prediction.sum() / judged(1.0).champion.outcome.sum()))
    assert high.value == pytest.approx(abs(np.log(1.5) + off) - abs(off))
    assert high.lower(0.025) > 0 and low.lower(0.025) > 0
    assert not same.lower(0.025) > 0


@pytest.mark.parametrize(("times", "passed"), [(1.5, True), (1.0, False)])
def test_a_level_is_let_in_where_it_is_nearer_beyond_chance(times, passed):
    pair = judged(times)
    verdict = gate.judge_recalibration(OBJECTIVES["amount"].figures, evaluate("amount", pair.challenger), pair, ASKED)

    assert (verdict.passed, verdict.route) == (passed, "recalibration")
    assert {one.name for one in verdict.criteria} == {"closer", "same_scores", "predicted_over_actual"}


def test_other_raw_scores_are_no_recalibration():
    pair = judged(1.5)
    other = Pair(replace(pair.challenger, raw=pair.challenger.raw + 1), pair.champion)
    verdict = gate.judge_recalibration(OBJECTIVES["amount"].figures, evaluate("amount", other.challenger), other, ASKED)

    assert not verdict.passed and verdict.why.startswith("the raw scores are others")


def test_of_two_amounts_the_one_that_is_off_is_mended_and_the_other_stays(ltv, ltv_sample, ltv_fitted):
    """A third too much is foretold of days 1 to 30; of days 31 to 90 labels become known nine weeks later."""
    first, second = ltv_fitted.scorer.forecasts
    off = replace(first, calibration=Level(1.5 * first.calibration.factor))
    scorer = replace(ltv_fitted.scorer, forecasts=(off, second))
    found = recalibration.recalibrate(
        ltv, ltv_sample, scorer, ltv_sample.day - timedelta(weeks=12), lateness_days=3, criteria=ASKED
    )
    mended, other = found.attempts

    assert mended.is_let_in and not mended.level.passed and found.is_off
    assert found.scorer.forecasts[0].calibration.factor == pytest.approx(first.calibration.factor, rel=0.1)
    assert (found.scorer.forecasts[1], found.judged.forecasts[1]) == (second, second)
    assert found.scorer.forecasts[0].parts == first.parts
    assert not other.is_let_in
    assert found.verdict.passed and all("net_revenue_1_30: " in one.told for one in found.verdict.criteria)
    figures = recalibration.figures_of(found.let_in)
    told = scored_by.compared(figures)
    assert figures.keys() == {"1_30"}
    assert told and (told.figure, told.naive, told.difference) == ("gini", None, None)
    beside = recalibration.beside(found.let_in, "3", ltv_sample.day)
    assert abs(beside["this"]["predicted_over_actual"]["value"] - 1) < abs(
        beside["champion"]["predicted_over_actual"]["value"] - 1
    )


def test_a_champion_without_new_labels_is_left_as_it_is(ltv, ltv_sample, ltv_fitted):
    found = recalibration.recalibrate(
        ltv, ltv_sample, ltv_fitted.scorer, ltv_sample.day + timedelta(weeks=20), lateness_days=3, criteria=ASKED
    )

    assert not found.verdict.passed and not found.is_off
    assert found.scorer == ltv_fitted.scorer
    assert found.verdict.why.count("no label has become known since the champion was trained") == 2


@pytest.fixture(scope="module")
def with_outlook(ltv, ltv_sample, ltv_fitted, business):
    return outlooks.for_test(ltv, ltv_sample, samples.split(ltv_sample, business), ltv_fitted.scorer)


@pytest.fixture(scope="module")
def mended(ltv, ltv_sample, with_outlook):
    """A third too much is foretold of days 1 to 30, and the intervals of the 30 days are a tenth as wide as they say."""
    first, second = with_outlook.forecasts
    off = replace(first, calibration=Level(1.5 * first.calibration.factor))
    band = with_outlook.outlook.bands[30]
    narrow = replace(
        band, lows=tuple(0.45 + low / 10 for low in band.lows), highs=tuple(0.45 + h / 10 for h in band.highs)
    )
    outlook = replace(with_outlook.outlook, bands={**with_outlook.outlook.bands, 30: narrow})
    scorer = replace(with_outlook, forecasts=(off, second), outlook=outlook)
    return recalibration.recalibrate(
        ltv, ltv_sample, scorer, ltv_sample.day - timedelta(weeks=12), lateness_days=3, criteria=ASKED
    )


def test_intervals_are_learnt_again_from_ripe_days_that_calibrated_nothing(ltv_sample, with_outlook, mended):
    first = ltv_sample.targets[0]
    days = recalibration.interval_days(mended.attempts)[first.label]
    served = mended.attempts[0].days.served
    rows = ltv_sample.of(Days(served), first)
    told = mended.scorer.outlook.tell(
        rows, by_label := mended.scorer.predict(rows).by_label, [target.label for target in ltv_sample.targets]
    )
    outcome = rows[first.label].to_numpy()
    within = (outcome >= told["low_1_30"]) & (outcome <= told["high_1_30"])

    assert "1_30" in mended.intervals and set(by_label) == {target.label for target in ltv_sample.targets}
    assert not {*days} & {*served} and {*days} <= {*mended.attempts[0].days.new}
    assert within.mean() == pytest.approx(0.8, abs=0.1)
    assert mended.scorer.outlook.process == with_outlook.outlook.process


def test_a_horizon_without_new_labels_keeps_its_intervals(ltv_sample, with_outlook):
    """They are ratios to what is predicted, and have moved with it."""
    first, second = (target.label for target in ltv_sample.targets)
    few = {first: Days(tuple(ltv_sample.days_known(ltv_sample.targets[0])[-1:]))}
    kept, none = outlooks.again(ltv_sample, with_outlook, few)
    again, learnt = outlooks.again(ltv_sample, with_outlook, {second: Days(tuple(sundays(12)))})

    assert (kept, none) == (with_outlook, ())
    assert learnt == ("1_90",) and again.outlook.bands[30] == with_outlook.outlook.bands[30]
    assert again.outlook.bands[90] != with_outlook.outlook.bands[90]
    plain = replace(with_outlook, outlook=None)
    assert outlooks.again(ltv_sample, plain, few) == (plain, ())


def test_another_calibration_has_a_card_of_the_days_that_judged_it(ltv, ltv_sample, with_outlook, mended):
    champion = SimpleNamespace(version="3", gate=True, judged=SimpleNamespace(last_label_day=sundays(20)[-1]))
    files = recalibrator.card_of(ltv, ltv_sample, mended, champion, with_outlook)
    told = json.loads(files["card.json"])

    assert set(files) == {"card.html", "card.json"}
    assert told["test_days"] == str(Days(mended.attempts[0].days.judged))
    assert told["test_rows"] == len(mended.attempts[0].tested.judged.outcome)
    assert [one["share"] for one in told["champion"]["shared"] if not one["insufficient_data"]] in ([], [1.0])
    assert all(group["groups"] for group in told["groups"])
