"""Recent days weigh more where validation days say so, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.calibration import Level
from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.scorer import Forecast, Scorer, raw_of
from ml.objectives import figures
from ml.training import evaluation, fitting, samples
from ml.training.memory import ALL, Memory
from tests.ml.conftest import FIRST_SUNDAY, feature_rows, sample_of, sundays


@given(st.lists(st.integers(0, 80), min_size=1, max_size=30), st.sampled_from([None, 26]), st.sampled_from([None, 8]))
def test_a_row_counts_half_after_each_half_life_and_nothing_before_the_history(weeks, history, half_life):
    days = [FIRST_SUNDAY + timedelta(weeks=n) for n in weeks]
    kept = Memory(history, half_life).kept(Examples(Encoded(pa.table({"day": days})), np.arange(len(days))))
    expected = {n: 0.5 ** ((max(weeks) - w) / (half_life or 1)) for n, w in enumerate(weeks)}
    expected = {n: by for n, by in expected.items() if history is None or max(weeks) - weeks[n] < history}

    assert kept.outcome.tolist() == list(expected)
    assert (kept.weight is None) is (half_life is None)
    if kept.weight is not None:
        np.testing.assert_allclose(kept.weight, list(expected.values()))


def test_a_memory_is_said_in_words():
    assert [str(one) for one in (ALL, Memory(52), Memory(None, 8), Memory(104, 26))] == [
        "all weeks",
        "the last 52 weeks",
        "all weeks, half as much every 8",
        "the last 104 weeks, half as much every 26",
    ]


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_row_that_counts_nothing_teaches_nothing(name):
    """Whatever came of it; where it counts, it does."""
    rows = feature_rows(sundays(8), 150)
    loss = (LEARNERS[name].losses or ("binary",))[0]
    outcome = rows["net_revenue_1_30" if loss == "regression" else "active_1_7"].to_numpy()
    old = np.arange(len(outcome)) < len(outcome) / 2
    turned = np.where(old, outcome.max() - outcome, outcome)
    encoders, encoded = Encoders(rows.select([n for n in rows.column_names if "_1_" not in n])), Encoded(rows)

    def learnt(outcome, weight):
        parts = LEARNERS[name].fit(encoders, loss, Examples(encoded, outcome, weight), 20)
        return raw_of(parts, encoded)

    np.testing.assert_array_equal(learnt(outcome, np.where(old, 0.0, 1.0)), learnt(turned, np.where(old, 0.0, 1.0)))
    assert not np.allclose(learnt(outcome, None), learnt(turned, None))


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_feature_that_no_kept_row_has_teaches_nothing(name):
    """Its encoder has seen rows with it: it is gone from the weeks that are kept, or new since a target's last day."""
    rows = feature_rows(sundays(8), 150)
    rows = rows.select([n for n in rows.column_names if n != "current_gap_ratio"])
    loss, half = (LEARNERS[name].losses or ("binary",))[0], rows.num_rows // 2
    outcome = rows["net_revenue_1_30" if loss == "regression" else "active_1_7"].to_numpy()[half:]
    left_out = [n for n in rows.column_names if "_1_" in n]

    def learnt(column: str, leave_out: list[str]) -> np.ndarray:
        there = pa.array(np.arange(len(rows)) < half)
        told = pc.if_else(there, rows[column], pa.scalar(None, rows[column].type))
        table = rows.set_column(rows.column_names.index(column), column, told)
        train = Examples(Encoded(table.slice(half)), outcome)
        parts = LEARNERS[name].fit(Encoders(table, leave_out=leave_out), loss, train, 20)
        assert Scorer("p", (Forecast("l", name, parts, Level(1.0)),)).to_files()
        return raw_of(parts, Encoded(table))[half:]

    for column in ("gap_mean_days", "recency_days", "sale_amount_28d"):
        np.testing.assert_allclose(learnt(column, left_out), learnt(column, [*left_out, column]))


def of_a_business(*, changes: bool, seed: int = 6, weeks: int = 60, users: int = 100) -> pa.Table:
    """Ever less come back because they came often, and ever more because they were here lately; or all as it always was."""
    rows = feature_rows(sundays(weeks), users, seed=seed)
    recency, often = (rows[name].to_numpy().astype(float) for name in ("recency_days", "active_days_28d"))
    time = np.repeat(np.linspace(0, 1, weeks), users) if changes else 0.5
    odds = (0.8 - 0.7 * time) * often - (0.01 + 0.05 * time) * recency - 3 + 4 * time
    came = np.random.default_rng(seed).random(len(odds)) < 1 / (1 + np.exp(-odds))
    at = rows.column_names.index("active_1_7")
    return rows.set_column(at, "active_1_7", pa.array(came.astype(float)))


def minus_log_loss(outcome, chance) -> float:
    return -figures.log_loss(outcome, chance)


@pytest.fixture
def logistic(recall):
    return replace(recall, candidates=("logistic",))


def test_recent_days_weigh_more_where_the_business_changes(logistic, business, monkeypatch):
    """On the test days, too, which chose nothing; whoever fits the recipe again weighs alike."""
    sample = sample_of(logistic, of_a_business(changes=True), business)
    split = samples.split(sample, business)
    found = fitting.fit(logistic, sample, split)
    refitted = fitting.refit(logistic, sample, found.scorer, samples.refit_days(sample, split, business)).scorer
    by_the_gate = fitting.fit_recipe(logistic, sample, split, found.scorer)
    stored = Scorer.from_files(found.scorer.to_files())
    monkeypatch.setattr(fitting, "HALF_LIVES", ())
    without = fitting.fit(logistic, sample, split)
    both = evaluation.Compared(
        found.longest.users, found.longest.outcome, found.longest.prediction, without.longest.prediction
    )

    assert (found.contests[0].half_life_weeks, without.contests[0].half_life_weeks) == (8, None)
    assert evaluation.paired(minus_log_loss, [both]).is_above_zero
    assert {Memory.of(one.forecasts[0]) for one in (found.scorer, refitted, by_the_gate, stored)} == {Memory(26, 8)}
    assert by_the_gate.forecasts == found.scorer.forecasts
    assert without.scorer.forecasts != found.scorer.forecasts


@pytest.mark.parametrize("seed", [6, 7])
def test_all_days_weigh_alike_where_nothing_changes(logistic, business, seed):
    """What is simpler stays: weights leave less to learn from, and must be worth it."""
    sample = sample_of(logistic, of_a_business(changes=False, seed=seed), business)
    found = fitting.fit(logistic, sample, samples.split(sample, business))

    assert Memory.of(found.scorer.forecasts[0]) == ALL
    assert b"half_life_weeks" not in found.scorer.to_files()["model.json"], "its digest stays what it was"


@pytest.mark.slow
def test_over_many_businesses_weights_help_those_that_change_and_are_given_to_few_others(
    logistic, business, monkeypatch, record_property
):
    """Twenty of each kind, simulated: log-loss on test days with the weights that were chosen and without any."""
    gains, weighed = {}, {}
    for changes in (True, False):
        found = []
        for seed in range(100, 120):
            sample = sample_of(logistic, of_a_business(changes=changes, seed=seed), business)
            split = samples.split(sample, business)
            with monkeypatch.context() as off:
                fitted = fitting.fit(logistic, sample, split)
                off.setattr(fitting, "HALF_LIVES", ())
                without = fitting.fit(logistic, sample, split)
            losses = [figures.log_loss(one.longest.outcome, one.longest.prediction) for one in (without, fitted)]
            found.append((losses[0] - losses[1], fitted.contests[0].half_life_weeks is not None))
        of_kind, given_weights = np.array([gain for gain, _ in found]), sum(has for _, has in found)
        error = 1.96 * of_kind.std(ddof=1) / np.sqrt(len(of_kind))
        gains[changes], weighed[changes] = (of_kind.mean() - error, of_kind.mean() + error), given_weights
        record_property(
            "figure",
            f"half-lives, {'changing' if changes else 'steady'} businesses (simulated, 20): chosen in {given_weights}, "
            f"log-loss on test days less by {of_kind.mean():.4f} ± {error:.4f}",
        )

    assert weighed[True] >= 18 and gains[True][0] > 0
    assert weighed[False] <= 2 and gains[False][0] > -0.001
