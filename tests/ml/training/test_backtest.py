"""Blocks, contenders and segments of a backtest; figures are held against scikit-learn in test_evaluation."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from ml.products import Rule
from ml.training import backtest, segments
from ml.training.backtest import MODEL, TO_BEAT
from tests.ml.conftest import feature_rows, sample_of, sundays


@pytest.fixture(scope="module")
def found(recall, business):
    """Three blocks of a short history, by the candidate that is fitted at once."""
    product = replace(recall, candidates=("logistic",))
    sample = sample_of(product, feature_rows(sundays(12), 220), business)
    return backtest.backtest(product, sample, business, first=sundays(12)[9], rounds=5)


def test_between_what_is_learnt_and_what_is_judged_lies_a_whole_label(found):
    reach = timedelta(days=7 + 3)
    for block in found.blocks:
        (train,), (validation,) = block.split.train.values(), block.split.validation.values()
        assert train.last + reach <= validation.first
        assert validation.last + reach <= block.split.test.first
    assert all(a.split.test.last < b.split.test.first for a, b in pairwise(found.blocks))


def test_all_contenders_are_judged_on_the_same_rows(found):
    for block in found.blocks:
        assert {"logistic", "recency", "due", "spending_28d", "usual_gap", MODEL, TO_BEAT} >= set(block.judged) - {
            "frequency_28d",
            "frequency_90d",
            "gap_ratio",
            "spending_365d",
        }
        for judged in block.judged.values():
            np.testing.assert_array_equal(judged.users, block.judged[MODEL].users)
            np.testing.assert_array_equal(judged.outcome, block.judged[MODEL].outcome)


def test_each_figure_has_an_interval_in_each_block_and_over_all(found):
    told = json.loads(json.dumps(found.to_json()))

    for of in [told["mean"], *(block["contenders"] for block in told["blocks"])]:
        for figures in of.values():
            assert {"auc", "average_precision", "f1_texted", "lift_1", "capture_40", "brier"} <= set(figures)
            assert all(set(figure) == {"value", "low", "high"} for figure in figures.values())
    assert told["mean_difference"] == told["mean_differences"]["auc"]
    assert told["mean"][MODEL]["auc"]["value"] == pytest.approx(
        np.mean([block["contenders"][MODEL]["auc"]["value"] for block in told["blocks"]])
    )


def test_a_block_with_too_little_is_left_out_by_name(recall, business):
    """In the last weeks all but a handful come back."""
    rows = feature_rows(sundays(12), 220)
    label = rows["active_1_7"].to_numpy().copy()
    label[-2 * 220 :] = 1
    rows = rows.set_column(rows.column_names.index("active_1_7"), "active_1_7", pa.array(label))
    product = replace(recall, candidates=("logistic",))
    told = backtest.backtest(product, sample_of(product, rows, business), business, first=sundays(12)[9], rounds=2)

    assert len(told.blocks) == 1
    assert all("came to the same" in why for why in told.refused.values())


def test_a_product_of_several_horizons_is_judged_by_its_first(ltv_sample):
    first = backtest.of_first_target(ltv_sample)

    assert [target.label for target in first.targets] == ["net_revenue_1_30"]
    assert "net_revenue_31_90" not in first.rows.column_names


def test_a_rule_without_its_feature_is_passed_over(recall, business):
    """As the same weeks a year ago are, where nobody has counted them."""
    (target,) = recall.targets(business)
    rules = (*target.rules, Rule("last_year", "the same weeks a year ago", {"not_a_column": 1.0}))
    product = replace(recall, candidates=("logistic",), targets=lambda _: (replace(target, rules=rules),))
    sample = sample_of(product, feature_rows(sundays(12), 220), business)
    told = backtest.backtest(product, sample, business, first=sundays(12)[11], rounds=2).to_json()

    assert "last_year" in told["blocks"][0]["refused"]
    assert "last_year" not in told["mean"]


def test_a_segment_of_few_users_is_not_named(recall, business):
    """Whoever knows the one user of a country would learn whether they came."""
    rows = feature_rows(sundays(12), 220)
    alone = rows["user_id"][0].as_py()
    country = ["LI" if user == alone else "AT" for user in rows["user_id"].to_pylist()]
    there = rows.set_column(rows.column_names.index("country"), "country", pa.array(country))
    product = replace(recall, candidates=("logistic",))
    told = backtest.backtest(product, sample_of(product, there, business), business, first=sundays(12)[11], rounds=2)

    assert {one["segment"] for one in told.to_json()["segments"] if one["dimension"] == "country"} == {"AT"}


def test_a_small_segment_has_insufficient_data(found):
    told = found.to_json()["segments"]

    assert {one["dimension"] for one in told} == {"recency", "tenure", "channel", "country", "spending"}
    for one in told:
        assert one["insufficient_data"] == (one["rows"] < 200 or one["positives"] < 30)
        assert ("model" in one) != one["insufficient_data"]
    by_dimension = [sum(one["rows"] for one in told if one["dimension"] == name) for name in ("recency", "country")]
    assert by_dimension == [sum(len(block.rows) for block in found.blocks)] * 2


def test_each_row_is_in_the_band_of_its_days():
    recency = next(one for one in segments.DIMENSIONS if one.name == "recency")
    days = [None, *range(365)]
    cut, names = recency.cut(pa.chunked_array([pa.array(days, pa.int32())]))

    assert names == ["0 to 6", "7 to 14", "15 to 30", "31 to 90", "91 to 364", "none within 365"]
    for day, name in zip(days, cut, strict=True):
        low, high = map(int, name.split(" to ")) if day is not None else (None, None)
        assert name == "none within 365" if day is None else low <= day <= high


def test_a_text_that_is_called_as_the_rest_is_one_segment_with_it():
    cut, names = segments.levels(pa.chunked_array([["unknown", "unknown", "other", "ads", None]]))

    assert names == ["unknown", "ads", "other"]
    assert cut.tolist() == ["unknown", "unknown", "other", "ads", "unknown"]


def test_spending_is_cut_into_nothing_and_thirds():
    spending = next(one for one in segments.DIMENSIONS if one.name == "spending")
    cut, names = spending.cut(pa.chunked_array([pa.array([0.0, *np.arange(1.0, 10.0)])]))

    assert [int((cut == name).sum()) for name in names] == [1, 3, 3, 3]
