"""The face for notebooks and scripts: two functions that return Arrow and load nothing before they are called."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

import rekindle
from ml.products import PRODUCTS, product_named
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.publishing import publish as publish_scores
from rekindle.publishing.history import product_publication
from rekindle.settings import PROJECT
from tests.rekindle.publishing.test_publishing import recall as recall_scores
from tests.rekindle.report.conftest import publish  # noqa: F401 - the fixture

DAY = date(2017, 12, 28)
SNIPPET = re.search(r"```python\n(from rekindle import .*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)


def test_importing_rekindle_loads_nothing_heavy():
    code = """
import sys
import rekindle
from rekindle import features, scores
assert callable(features) and callable(scores)
print(sorted({name.split(".")[0] for name in sys.modules} & {
    "pandas", "pyspark", "pyarrow", "psycopg", "numpy", "pydantic", "mlflow", "great_expectations"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_functions_hide_no_part_of_rekindle():
    assert {path.stem for path in (PROJECT / "rekindle").iterdir()}.isdisjoint(rekindle.__all__)
    assert len(rekindle.__all__) <= 5
    with pytest.raises(AttributeError, match="no attribute 'churn'"):
        _ = rekindle.churn
    with pytest.raises(ImportError):
        exec("from rekindle import churn")  # noqa: S102 - as somebody would write it


@pytest.mark.parametrize(
    ("ask", "code", "told"),
    [
        (lambda: rekindle.scores("churn", DAY), None, "no score product 'churn'"),
        (lambda: rekindle.scores("recall", "31.12.2017"), "usage", "'31.12.2017' is not a day"),
        (lambda: rekindle.scores("recall", DAY, users="ada"), "usage", "letter by letter"),
        (lambda: rekindle.features(DAY, "raw.orders"), None, "no table of features 'raw.orders'"),
        (lambda: rekindle.features(DAY, columns=["orders_9d"]), None, "has no column 'orders_9d'"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_any_server_is_looked_for(ask, code, told):
    with pytest.raises(InputError, match=re.escape(told)) as refused:
        ask()

    assert refused.value.code == code


def test_each_score_product_is_known_by_its_name():
    """The command line looks among the products, this face among what they publish."""
    assert {product_publication(p.name).contract.table for p in PRODUCTS} == {p.table for p in PRODUCTS}


def test_scores_are_what_was_published(publish):  # noqa: F811
    publish(DAY, {"ada": 0.5, "bob": 0.25}, {"ada": Decimal("12.30")})
    publish(date(2017, 12, 30), {"eve": 0.5}, {"eve": Decimal(1)})

    recall, ltv = rekindle.scores("recall", DAY), rekindle.scores("ltv", "2017-12-28")

    assert recall.select(["day", "user_id", "return_probability", "lapsed_days", "is_backfilled"]).to_pylist() == [
        {"day": DAY, "user_id": name, "return_probability": Decimal(p), "lapsed_days": 9, "is_backfilled": False}
        for name, p in (("ada", "0.500"), ("bob", "0.250"))
    ]
    assert ltv["ltv_90"].to_pylist() == [Decimal("12.30")]
    assert (ltv.schema.field("ltv_90").type, ltv["ltv_365"].to_pylist()) == (pa.decimal128(18, 2), [None])
    assert datetime(2020, 1, 1, tzinfo=UTC) < recall["updated_at"][0].as_py()


def test_users_who_were_not_scored_have_no_row_and_a_day_that_was_not_published_is_refused(publish):  # noqa: F811
    publish(DAY, {"ada": 0.5, "bob": 0.25}, {"ada": Decimal(1)})

    assert rekindle.scores("recall", DAY, users=["bob", "eve"])["user_id"].to_pylist() == ["bob"]
    assert rekindle.scores("recall", DAY, users=["eve"]).num_rows == 0
    with pytest.raises(InputError, match="Nothing was published of recall for 2017-12-30") as refused:
        rekindle.scores("recall", "2017-12-30", users=["bob"])
    assert refused.value.code == "not_published"


def test_what_the_readme_shows_runs(spark, capsys):
    run_id = records.start_run("test", Days.one(DAY))
    publish_scores({product_named("recall"): recall_scores(["ada", "bob"], day=DAY)}, DAY, run_id)
    with pytest.raises(InputError, match="it was never built"):
        rekindle.features(DAY)
    records.record_builds([records.Build("features.user", DAY, "built", run_id, None)])
    spark.sql(
        f"INSERT INTO features.user (day, user_id, orders_90d) VALUES (DATE'{DAY}', 'ada', 7), (DATE'{DAY}', 'eve', 1)"
    )
    try:
        exec(SNIPPET[1])  # noqa: S102 - a text of ours
        everything = rekindle.features("2017-12-28", columns=["orders_90d"])
    finally:
        spark.sql(f"DELETE FROM features.user WHERE day = DATE'{DAY}'")
        postgres.transact(lambda c: c.execute("truncate sms.recall_scores, sms.recall_scores_history, sms.audience"))
        postgres.transact(lambda c: c.execute("delete from rekindle.build where run_id = %s", [run_id]))

    (row,) = re.findall(r"^0 +(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert (row.split()[0], row.split()[-1]) == ("ada", "7")
    assert everything.to_pylist() == [
        {"day": DAY, "user_id": "ada", "orders_90d": 7},
        {"day": DAY, "user_id": "eve", "orders_90d": 1},
    ]
