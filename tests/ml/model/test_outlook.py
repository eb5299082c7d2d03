import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ml.model import artifact
from ml.model.outlook import Known, Process
from ml.model.purchase_process import PurchaseProcess, Spend
from ml.model.scorer import Scorer, output_ddl
from ml.training import outlooks
from ml.training.samples import split
from tests.ml.conftest import WORDING, feature_rows, sundays

HORIZONS = ("1_30", "1_90")


@pytest.fixture(scope="module")
def scorer(ltv, ltv_sample, ltv_fitted, business) -> Scorer:
    scorer = outlooks.for_test(ltv, ltv_sample, split(ltv_sample, business), ltv_fitted.scorer)
    # Nobody in that world has an active day of the year, so the process is one of another.
    process = Process(PurchaseProcess(0.8, 40.0, 0.9, 2.5), Spend(4.0, 3.0, 60.0), 1.1)
    return replace(scorer, outlook=replace(scorer.outlook, process=process))


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Some users; of the first nothing is known."""
    count = 40
    days, gaps = [0, *np.arange(1, count) % 9 + 1], [None, *np.where(np.arange(1, count) % 9, 12.0, np.nan)]
    given = {"active_days_365d": [int(n) for n in days], "recency_days": [None, *range(1, count)]}
    spent = [None if not n else f"{20 * n}.00" for n in days]
    given["sale_amount_365d"] = [Decimal(s or "0.00") for s in spent]
    return feature_rows(
        sundays(1), count, gap_mean_days=[None if g is None or np.isnan(g) else g for g in gaps], **given
    )


def told(scorer: Scorer, rows: pa.Table, besides: tuple[str, ...]) -> dict[str, np.ndarray]:
    scored = scorer.score(rows, WORDING, besides=besides)
    return {name: scored[name].to_numpy() for name in scored.column_names if name not in {"reasons", "user_id", "day"}}


def test_a_history_is_read_from_the_year_s_active_days(rows):
    known = Known.of(rows)

    assert not known.there[0] and known.there[1:].all()
    assert known.histories.repeats[:3].tolist() == [1, 2, 3]
    assert known.histories.last[:3].tolist() == [12, 24, 36]
    assert known.histories.age[:3].tolist() == [13, 26, 39]
    assert known.mean[:3].tolist() == [20, 20, 20]


def test_increments_are_never_negative_and_ends_are_in_order(scorer, rows, ltv, business):
    found = told(scorer, rows, ltv.besides(business))

    assert (found["net_revenue_91_365"] >= 0).all()
    for horizon in (30, 90, 365):
        assert (found[f"low_1_{horizon}"] <= found[f"high_1_{horizon}"]).all()
    assert ((found["purchase_probability"] > 0) & (found["purchase_probability"] < 1)).all()
    assert np.isnan(found["p_alive"][0]) and ((found["p_alive"][1:] > 0) & (found["p_alive"][1:] <= 1)).all()


def test_a_model_with_an_outlook_is_read_back_equal_and_only_by_who_knows_it(scorer, rows, ltv, business):
    files = scorer.to_files()
    again = Scorer.from_files(files)

    assert json.loads(files[artifact.MODEL_FILE])["format"] >= 3
    assert again.outlook == scorer.outlook and again.to_files() == files
    besides = ltv.besides(business)
    assert again.score(rows, WORDING, besides=besides).equals(scorer.score(rows, WORDING, besides=besides))
    names = [part.split()[0] for part in output_ddl(ltv.targets(business), besides=besides).split(", ")]
    assert scorer.score(rows, WORDING, besides=besides).column_names == names


def test_a_model_of_before_there_were_outlooks_says_nothing_besides(ltv_fitted, rows, ltv, business):
    scored = ltv_fitted.scorer.score(rows, WORDING, besides=ltv.besides(business))

    assert all(scored[name].null_count == rows.num_rows for name in ltv.besides(business))


def test_without_a_process_the_last_increment_goes_on_by_day(scorer, rows):
    plain = replace(scorer.outlook, process=None, chance=None)
    by_label = scorer.predict(rows).by_label

    found = plain.tell(rows, by_label, list(by_label))

    assert found["net_revenue_91_365"] == pytest.approx(by_label["net_revenue_31_90"] * 275 / 60)
    assert "p_alive" not in found and "purchase_probability" not in found


@pytest.mark.parametrize("horizon", HORIZONS)
def test_intervals_hold_on_later_days_what_they_say(ltv_fitted, horizon):
    held = ltv_fitted.to_json()["evaluations"][horizon]["intervals"]

    assert held["within"]["value"] == pytest.approx(0.8, abs=0.08)
    assert held["at_or_below_high"]["value"] == pytest.approx(0.9, abs=0.06)
    assert held["at_or_below_high"]["low"] <= held["at_or_below_high"]["value"] <= held["at_or_below_high"]["high"]
    assert min(held["at_or_below_high_by_decile"]) >= 0.7


def test_a_process_is_fitted_to_those_who_came_back_and_comes_true_on_average():
    draw = np.random.default_rng(0)
    count = 2_000
    repeats = np.minimum(draw.poisson(draw.gamma(0.8, 3, count)), 40)
    age = draw.integers(100, 300, count)
    recency = np.where(repeats > 0, draw.integers(0, 100, count), age)
    gap = np.where(repeats > 0, (age - recency) / np.maximum(repeats, 1), np.nan)
    table = pa.table(
        {
            "active_days_365d": pa.array(repeats + 1),
            "recency_days": pa.array(recency, pa.int32()),
            "gap_mean_days": pa.array(gap, from_pandas=True),
            "sale_amount_365d": pa.array((repeats + 1) * draw.gamma(4.0, 10.0, count)),
            "refund_amount_365d": pa.array(np.zeros(count)),
        }
    )
    known, outcome = Known.of(table), draw.gamma(1.0, 30.0, count)

    found = outlooks.process(known, known, outcome, 90)

    assert found.amount(known, 90).sum() == pytest.approx(outcome.sum())
    assert outlooks.process(known, known, outcome * 1e4, 90) is None
    assert outlooks.process(Known.of(table.slice(0, 20)), known, outcome, 90) is None


def test_equal_predictions_have_one_interval():
    predicted = np.concatenate([np.zeros(500), np.arange(1, 501.0)])
    outcome = np.concatenate([np.zeros(450), np.full(50, 9.0), np.arange(1, 501.0)])

    band = outlooks.band(predicted, outcome)
    low, high = band.ends(predicted).T

    assert len(set(band.middles)) == len(band.middles)
    assert (low[:500] == 0).all() and (high[:500] == high[0]).all() and high[0] <= 9
    assert (outcome <= high + 1e-9).mean() >= 0.85
