"""What a model is given, whether it trains or scores."""

from __future__ import annotations

from ml.inputs import with_features, wording
from rekindle.warehouse import contracts
from tests.ml.conftest import COLUMNS, feature_rows, sundays


def test_a_member_without_a_row_of_features_is_one_of_whom_nothing_is_known(spark, recall):
    """It does not vanish: it has nothing of what is counted, and null where there is no nothing."""
    known = feature_rows(sundays(1), 3).select([column.name for column in COLUMNS])
    (day,) = set(known["day"].to_pylist())
    features = spark.createDataFrame(known)
    members = spark.createDataFrame([(day, "u00001"), (day, "unheard of")], "day date, user_id string")

    rows = with_features(recall, members, {"features.user": features}.__getitem__)

    found = {row["user_id"]: row.asDict(recursive=True) for row in rows.collect()}
    stored = {row["user_id"]: row.asDict(recursive=True) for row in features.collect()}
    assert found["u00001"] == stored["u00001"]
    counted = {
        c.name: found["unheard of"][c.name] for c in contracts.load("features.user").columns if c.empty is not None
    }
    assert counted["orders_28d"] == 0 and counted["event_counts_7d"] == {} and counted["sale_amount_90d"] == 0
    assert not any(counted.values()) and None not in counted.values()
    assert found["unheard of"]["recency_days"] is None
    assert set(found) == {"u00001", "unheard of"}


def test_a_product_says_its_features_in_the_words_of_their_contract(recall, ltv, business):
    of_chance, of_money = wording(recall, business), wording(ltv, business)

    assert of_chance.reason("orders_28d", 3, 0.2) == "3 orders within 28 days: raises the chance"
    assert of_money.reason("sale_amount_7d", 12.5, -3) == "spent 12.50 USD within 7 days: lowers the expected amount"
