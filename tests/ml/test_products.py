import subprocess
import sys

import pytest

from ml.products import PRODUCTS, Target, labels_of, outcomes_of, product_named
from rekindle.settings import PROJECT
from tests.traps import trap

FORBIDDEN = {"numpy", "pyarrow", "pandas", "pyspark", "mlflow", "pydantic", "yaml", "lightgbm", "sklearn"}


def test_imports_the_standard_library_only():
    """DAG files import it, and they have a second."""
    code = "import sys; import ml.products; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)

    assert "ml.products" in loaded.stdout.split()
    assert not FORBIDDEN & {name.partition(".")[0] for name in loaded.stdout.split()}


def test_no_code_tests_the_name_of_a_product():
    """A product is declared, not wired: add what differs to ml.products instead."""
    code = [path for folder in ("ml", "rekindle", "spark_jobs", "dags") for path in (PROJECT / folder).rglob("*.py")]
    names = [f"{quote}{product.name}{quote}" for product in PRODUCTS for quote in "'\""]
    asked = [f"{word} {name}" for word in ("==", "!=", "in (", "in {") for name in names]

    assert code
    assert not [(path.name, text) for path in code for text in asked if text in path.read_text()]


def test_each_product_names_an_objective_and_learners_that_are_there_and_can_learn_it():
    from ml.model.learners import LEARNERS
    from ml.objectives import OBJECTIVES

    for product in PRODUCTS:
        learners = [LEARNERS[name] for name in product.candidates]
        assert all(OBJECTIVES[product.objective].loss in learner.losses for learner in learners if learner.losses)


def test_labels_are_named_after_their_windows(business):
    assert labels_of(PRODUCTS, business) == [
        {"name": "active_1_7", "kind": "active", "from_day": 1, "to_day": 7, "messages": True},
        {"name": "net_revenue_1_30", "kind": "net_revenue", "from_day": 1, "to_day": 30},
        {"name": "net_revenue_31_90", "kind": "net_revenue", "from_day": 31, "to_day": 90},
        {"name": "vip_purchase_1_30", "kind": "vip_purchase", "from_day": 1, "to_day": 30},
    ]


def test_each_label_has_what_a_score_predicts_of_it(business):
    """LTV is published by horizon and comes true in increments; a row about another horizon predicts nothing."""
    outcomes = outcomes_of(PRODUCTS, business)
    predicted = {(o["table"], o["label"], o["to_day"]): o["predicted"] for o in outcomes}

    assert {o["table"] for o in outcomes if o["without_messages"]} == {"scores.recall_daily"}
    assert predicted == {
        ("scores.ltv_daily", "net_revenue_1_30", 30): "case when ltv_30_status = 'modelled' then ltv_30 end",
        ("scores.ltv_daily", "net_revenue_31_90", 90): "case when ltv_90_status = 'modelled' then ltv_90 end - ltv_30",
        ("scores.recall_daily", "active_1_7", 7): "case when horizon_days = 7 then return_probability end",
        ("scores.vip_30_daily", "vip_purchase_1_30", 30): (
            "case when horizon_days = 30 then first_purchase_probability end"
        ),
    }


def test_the_horizon_of_recall_is_a_setting(business, recall):
    monthly = business.model_copy(update={"recall_horizon_days": 30})

    assert recall.targets(monthly)[0].label == "active_1_30"
    assert recall.columns(monthly)["horizon_days"].sql == "30"


def test_increments_touch_and_never_overlap(business, ltv):
    windows = [(target.from_day, target.to_day) for target in ltv.targets(business)]

    assert windows == [(1, 30), (31, 90)]


def test_a_horizon_that_no_history_can_label_is_extrapolated_by_an_increment_of_its_own(business, ltv):
    columns = ltv.columns(business)

    increments = ("net_revenue_1_30", "net_revenue_31_90", "net_revenue_91_365")
    assert (
        columns["ltv_365"].sql
        == f"cast({' + '.join(f'cast({i} as decimal(18,2))' for i in increments)} as decimal(18,2))"
    )
    assert columns["ltv_365_status"].sql.endswith("else 'extrapolated' end")
    assert columns["ltv_90_status"].sql == "'modelled'"


def test_a_product_with_horizons_says_besides_what_its_columns_use(business, ltv, recall):
    besides = ltv.besides(business)

    assert besides == (
        *("low_1_30", "high_1_30", "low_1_90", "high_1_90", "low_1_365", "high_1_365"),
        *("net_revenue_91_365", "purchase_probability", "p_alive"),
    )
    assert ltv.columns(business)["ltv_365_high"].sql == "cast(high_1_365 as decimal(18,2))"
    assert recall.besides(business) == ("uplift", "uplift_low", "uplift_high")


@trap("a label's window within that of the features")
@pytest.mark.parametrize("window", [(0, 7), (-89, 30), (8, 7)], ids=["the day itself", "the past", "turned around"])
def test_a_label_begins_after_the_day_of_its_features(window):
    with pytest.raises(ValueError, match="begin with 1 or later"):
        Target("net_revenue", *window, ())


def test_an_unknown_product_is_a_key_error():
    with pytest.raises(KeyError):
        product_named("churn")
