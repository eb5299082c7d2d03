"""Rows that are drawn by a rare outcome count as those that they stand for, and nothing that decides is drawn so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.calibration import Platt, logistic
from ml.model.encoder import Encoded
from ml.model.scorer import raw_of
from ml.objectives import OBJECTIVES
from ml.training import card, fitting, messages, sample_rows, samples, strata, trainer
from ml.training.memory import ALL, Memory
from ml.training.rules import fit_rule
from ml.training.strata import RARE, ROOM
from rekindle.days import Days
from rekindle.settings import settings
from tests.ml.conftest import feature_rows, sample_of, sundays

if TYPE_CHECKING:
    from ml.training.samples import Sample

LABEL = "active_1_7"
WEEKS, USERS, KEPT, RATE = 20, 3000, 0.25, 0.02


@pytest.fixture(scope="module")
def population() -> pa.Table:
    """Of whom one row in fifty comes back, by a law that the features tell."""
    rows = feature_rows(sundays(WEEKS), USERS)
    recency, often = (rows[name].to_numpy().astype(float) for name in ("recency_days", "active_days_28d"))
    odds = 0.25 * often - 0.03 * recency
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if logistic(odds + middle).mean() < RATE else (low, middle)
    came = np.random.default_rng(1).random(len(odds)) < logistic(odds + low)
    return rows.set_column(rows.column_names.index(LABEL), LABEL, pa.array(came.astype(float)))


def drawn(whole: Sample, days: Days, *, seed: int = 0, share: float = KEPT) -> Sample:
    """Draw as Spark does, by a seeded number in the place of a hash: of the days given by kind, of the others plainly."""
    label = whole.targets[0].label
    rows, draw = whole.rows, np.random.default_rng([seed, 17])
    on_days = pc.is_in(rows["day"], value_set=pa.array(list(days), pa.date32())).to_numpy()
    rarer = rows[label].to_numpy() > 0
    planned = strata.planned(
        label, days, rarer=int((on_days & rarer).sum()), others=int((on_days & ~rarer).sum()), user_share=share
    )
    number = draw.random(rows.num_rows)
    plainly = number < np.where(on_days, planned.others_share, planned.later_share)
    beside = on_days & rarer & ~plainly & (number < planned.rarer_share)
    return replace(whole, rows=rows.filter(plainly), strata=planned, beside=rows.filter(beside), user_share=share)


@pytest.fixture(scope="module")
def whole(recall, population, business) -> Sample:
    return sample_of(recall, population, business)


@pytest.fixture(scope="module")
def early(whole, business) -> Days:
    """The days before all that are chosen, calibrated or judged by."""
    first = samples.split(whole, business).validation[LABEL].first
    return Days(tuple(day for day in sundays(WEEKS) if day < first))


@pytest.fixture(scope="module")
def sample(whole, early) -> Sample:
    return drawn(whole, early)


@given(st.integers(1, 10**7), st.floats(1e-4, RARE), st.floats(0.001, 0.999))
def test_as_many_rows_are_kept_as_of_a_plain_sample(rarer, rate, user_share):
    others = round(rarer / rate)
    found = strata.planned(LABEL, Days.one(sundays(1)[0]), rarer=rarer, others=others, user_share=user_share)
    kept = found.rarer_share * rarer + found.others_share * others

    assert kept == pytest.approx(user_share * (rarer + others), abs=1e-6 * (rarer + others))
    assert found.others_share <= found.later_share <= found.rarer_share + 1e-6
    assert found.rarer_share == 1 or found.rarer_share * rarer == pytest.approx(ROOM * kept, rel=0.01, abs=1e-6 * rarer)


@pytest.mark.parametrize(
    ("rarer", "user_share"), [(RARE * 10_000 + 1, 0.1), (0, 0.1), (10, 1.0)], ids=["common", "never", "all are kept"]
)
def test_where_nothing_is_gained_rows_are_not_drawn_by_what_came(rarer, user_share):
    days = Days.one(sundays(1)[0])

    assert strata.planned(LABEL, days, rarer=rarer, others=10_000 - rarer, user_share=user_share) is None


def test_weighted_sums_are_those_of_the_whole_but_for_chance(whole, early):
    """Over 200 draws the mean of each lies within what chance leaves of it; without weights those of what came true do not."""
    (target,), everything = whole.targets, Days(tuple(sundays(WEEKS)))
    whole = replace(whole, rows=whole.rows.select(["day", "user_id", "active_days_28d", LABEL]))

    def sums(rows: pa.Table, weight: np.ndarray) -> list[float]:
        came, often = (rows[name].to_numpy().astype(float) for name in (LABEL, "active_days_28d"))
        return [float((weight * some).sum()) for some in (np.ones(len(came)), came, often, came * often, often**2)]

    found, unweighted = [], []
    for seed in range(200):
        one = drawn(whole, early, seed=seed)
        rows = one.to_learn(everything, target)
        found.append(np.array(sums(rows, one.weight(rows))) / one.strata.others_share)
        unweighted.append(np.array(sums(rows, np.ones(rows.num_rows))) / KEPT)
    expected = np.array(sums(whole.rows, np.ones(whole.rows.num_rows)))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))

    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error + 1e-5 * expected).all()
    assert (np.mean(unweighted, axis=0)[[1, 3]] > 1.5 * expected[[1, 3]]).all()


def test_what_is_chosen_calibrated_and_judged_by_is_the_plain_sample(recall, whole, sample, early, business):
    """On earlier blocks of days, too, of which every row of the rarer kind is there to learn from."""
    (target,), split, days = sample.targets, samples.split(sample, business), list(early)
    block = samples.Trial(Days(tuple(days[:4])), Days(tuple(days[6:8])))
    training, validation = fitting.before_and_after(sample, target, split.train, split.validation)
    ((before, after),) = fitting.earlier(recall, sample, replace(split, earlier={LABEL: (block,)}), target)

    for some, its in ((validation, split.validation[LABEL]), (after, block.validation)):
        assert some.weight is None
        assert some.rows.rows.equals(sample.plain.of(its, target))
    for some, its in ((training, split.train[LABEL]), (before, block.train)):
        came, plainly = (one.of(its, target)[LABEL].to_numpy().sum() for one in (whole, sample))
        assert some.weight is not None
        assert some.outcome.sum() == came > plainly
    assert sample.judged(split.test).equals(sample.plain.judged(split.test))


def level_of(product, one: Sample, split, test: pa.Table, *, weighed: bool = True) -> float:
    """Foretell a share by a regression that no calibration has corrected."""
    train, validation = fitting.before_and_after(one, *one.targets, split.train, split.validation)
    examples = train if weighed else replace(train, weight=None)
    parts = fitting.learnt(product, "logistic", fitting.encoders_of(one, split), examples, validation, {})
    return float(logistic(raw_of(parts, Encoded(test))).mean())


def test_chances_are_those_of_the_whole_before_any_calibration(recall, whole, early, business, record_property):
    """Over eight draws: their mean is that of a regression that has learnt from every row; without weights it is far above."""
    split = samples.split(whole, business)
    test = whole.judged(split.test)
    draws, of_whole = [drawn(whole, early, seed=seed) for seed in range(8)], level_of(recall, whole, split, test)
    ratios = np.array([level_of(recall, one, split, test) for one in draws]) / of_whole
    error = 2.4 * ratios.std(ddof=1) / np.sqrt(len(ratios))
    record_property(
        "figure",
        f"one in fifty, drawn by what came: chances {ratios.mean():.3f} ± {error:.3f} of the whole's (simulated)",
    )

    # Fewer rows are shrunk a little more.
    assert abs(ratios.mean() - 1) < error + 0.02
    assert level_of(recall, draws[0], split, test, weighed=False) > 2 * of_whole


@pytest.mark.parametrize("candidate", ["logistic", "boosting"])
def test_a_rare_outcome_comes_true_as_often_as_is_said(recall, sample, business, candidate, record_property):
    """Within what chance leaves of the rows that calibrate, and of those that judge."""
    split = samples.split(sample, business)
    found = fitting.fit(replace(recall, candidates=(candidate,)), sample, split)
    ratio = found.primary.model["predicted_over_actual"].value
    came = [sample.of(days, *sample.targets)[LABEL].to_numpy().sum() for days in (split.validation[LABEL], split.test)]
    error = 1.96 * np.sqrt((1 / np.array(came)).sum())
    record_property(
        "figure", f"{candidate}, one in fifty: predicted/actual {ratio:.2f}, by chance up to {np.exp(error):.2f}"
    )

    assert abs(np.log(ratio)) < error


def test_amounts_of_rare_spenders_are_those_of_the_whole_in_each_increment(ltv, business):
    """Rows are drawn by the first increment; of the second, which goes with it, they say as much."""
    rows, draw = feature_rows(sundays(34), 1000), np.random.default_rng(2)
    spends = (draw.random(rows.num_rows) < 0.04 * (rows["active_days_28d"].to_numpy() > 4)).astype(float)
    for name in ("net_revenue_1_30", "net_revenue_31_90"):
        amounts = (
            np.where(draw.random(rows.num_rows) < 0.9, spends, 1 - spends) if name == "net_revenue_31_90" else spends
        )
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(np.round(50 * amounts, 2)))
    whole = sample_of(ltv, rows, business)
    split = samples.split(whole, business)
    first = min(days.first for days in split.validation.values())
    early = Days(tuple(day for day in sundays(34) if day < first))
    test = Encoded(whole.judged(split.test))

    def foretold(one: Sample) -> list[float]:
        found = []
        for target in one.targets:
            train, validation = fitting.before_and_after(one, target, split.train, split.validation)
            parts = fitting.learnt(ltv, "linear", fitting.encoders_of(one, split), train, validation, {})
            found.append(raw_of(parts, test).mean())
        return found

    ratios = np.array([foretold(drawn(whole, early, seed=seed)) for seed in range(8)]) / foretold(whole)
    error = 2.4 * ratios.std(axis=0, ddof=1) / np.sqrt(len(ratios))

    assert (np.abs(ratios.mean(axis=0) - 1) < error + 0.02).all()
    assert (error < 0.1).all()


def test_whoever_fits_again_weighs_alike(recall, whole, sample, business):
    """The gate, and the refit on all days, of which the later ones are a plain sample."""
    own, split = replace(recall, candidates=("logistic",)), samples.split(sample, business)
    found, rows = fitting.fit(own, sample, split).scorer, Encoded(sample.judged(split.test))

    def refitted(one: Sample) -> float:
        again = fitting.refit(own, one, found, samples.refit_days(one, split, business)).scorer
        return float(logistic(raw_of(again.forecasts[0].parts, rows)).mean())

    assert fitting.fit_recipe(own, sample, split, found).forecasts == found.forecasts
    assert fitting.fit_recipe(own, sample.plain, split, found).forecasts != found.forecasts
    assert refitted(sample) == pytest.approx(refitted(whole), rel=0.15)
    assert refitted(replace(sample.whole, strata=None)) > 1.5 * refitted(whole)


def test_an_older_row_of_the_rarer_kind_counts_less_by_both(sample, early):
    rows = sample.to_learn(early, *sample.targets)
    examples = fitting.examples_of(rows, *sample.targets, sample.weight(rows))
    plain = replace(examples, weight=None)

    assert ALL.kept(examples) is examples
    for memory in (Memory(6), Memory(None, 8), Memory(6, 8)):
        kept, faded = memory.kept(examples), memory.kept(plain).weight
        by_kind = sample.weight(kept.rows.rows)
        np.testing.assert_allclose(kept.weight, by_kind if faded is None else by_kind * faded)


def test_a_naive_rule_is_worth_what_it_is_of_the_whole(whole, sample, early):
    """What a step is worth in log-odds, and where it begins: with no weights the level would be ten times too high."""
    (target,) = whole.targets
    rule = next(rule for rule in target.rules if rule.name == "frequency_28d")
    of_whole = whole.of(early, target)
    learnt_from = sample.to_learn(early, target)
    by_whole, by_strata, by_none = (
        logistic(fit_rule(rule, OBJECTIVES["probability"], some).raw(Encoded(of_whole))).mean()
        for some in (
            fitting.examples_of(of_whole, target),
            fitting.examples_of(learnt_from, target, sample.weight(learnt_from)),
            fitting.examples_of(learnt_from, target),
        )
    )

    assert by_strata == pytest.approx(by_whole, rel=0.1)
    assert by_none > 3 * by_whole


@pytest.mark.parametrize("objective", ["probability", "amount", "count"])
def test_a_row_that_counts_twice_is_worth_two(objective):
    draw = np.random.default_rng(3)
    raw, outcome = draw.gamma(2.0, 1.0, 400), (draw.random(400) < 0.3).astype(float)
    weight = draw.choice([0.5, 1.0], 400)
    again = np.repeat(np.arange(400), (2 * weight).astype(int))
    worth = OBJECTIVES[objective].rule_worth

    # The prior of a chance's slope weighs as one row does: of twice as many rows it moves less.
    assert worth(raw, outcome, weight) == pytest.approx(worth(raw[again], outcome[again], None), rel=0.02, abs=0.02)
    assert worth(raw, outcome, np.ones(400)) == worth(raw, outcome, None)


def test_a_calibration_without_weights_is_what_it_was(sample):
    rows = sample.rows
    raw, outcome = -rows["recency_days"].to_numpy().astype(float), rows[LABEL].to_numpy()

    assert Platt.fit(raw, outcome) == Platt.fit(raw, outcome, np.ones(len(raw)))


def test_who_would_have_been_sent_a_message_is_told_as_of_the_whole():
    """Rows at risk count by what they stand for: twice half a row is one."""
    draw = np.random.default_rng(5)
    groups, until = draw.integers(0, 3, 500), draw.integers(1, 8, 500)
    message = np.where(draw.random(500) < 0.3, draw.integers(1, 8, 500), np.inf)
    twice = np.tile(np.arange(500), 2)

    np.testing.assert_allclose(
        messages.staying(groups[twice], until[twice], message[twice], 7, np.full(1000, 0.5)),
        np.tile(messages.staying(groups, until, message, 7), 2),
    )


def test_the_card_says_how_many_rows_stand_for_how_many(recall, sample, early, business):
    split = samples.split(sample, business)
    fitted = fitting.fit(replace(recall, candidates=("logistic",)), sample, split)
    tested = card.Tested.of(sample, split, fitted)
    told = card.card(recall, sample, tested, scorer=fitted.scorer, champion=None, settings=settings())
    rows = sample.to_learn(early, *sample.targets)
    rarer = int(rows[LABEL].to_numpy().sum())

    assert sample.about_strata in told["limits"]
    assert sample.about_strata in trainer._learnt(sample, split, fitting.Refitted(fitted.scorer, None, "it was not"))
    assert f"{rarer:,} of the rarer kind stand for {sample.strata.rarer:,}, " in sample.about_strata
    assert f" {rows.num_rows - rarer:,} others for {sample.strata.others:,}." in sample.about_strata
    assert sample.strata.rarer == rarer, "all of the rarer kind are kept"
    assert sample.plain.about_strata == ""


def test_whoever_tries_a_model_of_their_own_is_given_the_weights(recall, sample, business, tmp_path):
    split = samples.split(sample, business)
    done = sample_rows.write(recall, sample, split, tmp_path / "rows")
    rows = pq.read_table(tmp_path / "rows" / sample_rows.ROWS)
    told = json.loads((tmp_path / "rows" / sample_rows.COLUMNS).read_text())
    train = rows.filter(pc.equal(rows[f"split_{LABEL}"], "train"))
    weight, came = train["weight"].to_numpy(), train[LABEL].to_numpy() > 0

    assert done.parts[LABEL]["train"] == sample.to_learn(split.train[LABEL], *sample.targets).num_rows
    assert set(weight[~came]) == {1.0} and set(weight[came]) == {sample.strata.others_share}
    assert [column["name"] for column in told["columns"] if column["role"] == "weight"] == ["weight"]
    assert sample.about_strata in told["limits"]
