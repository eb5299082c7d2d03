"""Who was assigned by lot, read from the tables as a training reads them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ml.training import effect
from ml.training.samples import Sample
from rekindle.warehouse import tables

ASSIGNED = date(1996, 4, 7)
KNOWN = ASSIGNED + timedelta(7 + 3)
READ = ("features.user", "marts.recall_population", "marts.labels")


def wrote(spark, table, *rows):
    """Append rows that hold only what the test is about."""
    names = spark.table(table).schema
    filled = [tuple({"event_counts_28d": {}, **row}.get(field.name) for field in names) for row in rows]
    spark.createDataFrame(filled, names).writeTo(table).append()


@pytest.fixture(scope="module")
def campaign(spark):
    """Two of a campaign, one of them of no lapsed user; one of another kind, one of a year ago, one whose week is not over."""

    def one(user, kind="planned", *, day=KNOWN, feature_day=ASSIGNED, control=False):
        return {
            "day": day, "kind": kind, "campaign_id": "c", "user_id": user, "feature_day": feature_day, "arm": "a",
            "is_control": control, "probability": 0.5, "cluster": user, "return_probability": 0.25,
        }  # fmt: skip

    later = {"day": KNOWN + timedelta(1), "feature_day": ASSIGNED + timedelta(1)}
    year_ago = {"day": KNOWN - timedelta(365), "feature_day": ASSIGNED - timedelta(365)}
    wrote(
        spark, effect.ASSIGNMENT,
        one("came"), one("stayed", control=True), one("not_lapsed"), one("held", "holdout"), one("their", "elsewhere"),
        one("later", **later), one("old", **year_ago),
        # The same, on the day on which the revenue of thirty days is known.
        one("came", day=ASSIGNED + timedelta(33)),
    )  # fmt: skip
    users = ("came", "stayed", "not_lapsed", "held", "their")
    wrote(spark, "features.user", *({"day": ASSIGNED, "user_id": u, "recency_days": 9, "country": "AT"} for u in users))
    wrote(
        spark,
        "marts.recall_population",
        *({"day": ASSIGNED, "user_id": u, "lapsed_days": 9} for u in users if u != "not_lapsed"),
    )
    wrote(
        spark,
        "marts.labels",
        *(
            {"day": KNOWN, "feature_day": ASSIGNED, "user_id": u, "label": label, "value": float(u == "came")}
            for u in users
            for label in ("active_1_7", "bought_1_7")
        ),
    )
    yield
    for table in (*READ, effect.ASSIGNMENT):
        spark.sql(f"DELETE FROM {table} WHERE day BETWEEN DATE'1995-01-01' AND DATE'1996-12-31'")


def sample(spark, recall, business, day):
    return Sample("recall", day, recall.targets(business), None, {t: tables.snapshot_id(spark, t) for t in READ}, 1.0)


@pytest.mark.usefixtures("campaign")
def test_who_was_lapsed_when_assigned_is_read_with_what_was_known_then_and_what_came(spark, recall, business):
    found = effect.read(spark, recall, sample(spark, recall, business, KNOWN))

    rows = [(row["campaign"], row["is_control"], row["outcome"]) for row in found.facts.to_pylist()]
    assert found.features["user_id"].to_pylist() == ["their", "came", "stayed"]
    assert rows == [("elsewhere c", False, 0.0), ("planned c", False, 1.0), ("planned c", True, 0.0)]
    assert set(found.features["country"].to_pylist()) == {"AT"}
    assert set(found.features.column_names) == {"day", "user_id"} | set(spark.table("features.user").columns)
    assert found.snapshot == tables.snapshot_id(spark, effect.ASSIGNMENT)


@pytest.mark.usefixtures("campaign")
def test_what_was_not_known_on_the_day_is_not_read(spark, recall, business):
    found = effect.read(spark, recall, sample(spark, recall, business, KNOWN - timedelta(1)))

    assert (found.facts.num_rows, effect.taught(found, None).campaigns) == (0, 0)
