"""What of a day's scores is published, where a product has none: real tables, and what tools then see."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ml.products import product_named
from ml.registry import why_skipped
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.phones import keyed
from rekindle.warehouse import builds, lineage
from spark_jobs import publish
from tests.rekindle.publishing.test_publishing import recall as recall_scores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ml.products import Product
    from tests.spark_jobs.conftest import Warehouse

pytestmark = pytest.mark.usefixtures("mlflow_ready")

DAY = date(2011, 5, 10)
USERS = ["u1", "u2", "u3"]
RECALL = product_named("recall")


@pytest.fixture
def ltv(monkeypatch: pytest.MonkeyPatch) -> Product:
    """LTV under a name that no other test has trained, beside recall."""
    own = replace(product_named("ltv"), name=f"ltv_{uuid4().hex[:8]}")
    monkeypatch.setattr(publish, "PRODUCTS", (RECALL, own))
    return own


@pytest.fixture
def run_id(warehouse: Warehouse) -> str:  # noqa: ARG001 - it empties what other tests left
    return records.start_run("test", Days.one(DAY))


@pytest.fixture
def recall_is_scored(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """Scores of three users, the record that somebody made them, and nothing published before, of a later day say."""
    forget_what_is_published()
    scores = warehouse.spark.createDataFrame(recall_scores(USERS, day=DAY))
    scores.select(*warehouse.spark.table(RECALL.table).columns).writeTo(RECALL.table).append()
    builds.record(
        builds.Known(lineage.graph(), {}), RECALL.table, Days.one(DAY), {DAY: {}}, run_id=run_id, snapshot=None
    )
    yield
    warehouse.spark.sql(f"DELETE FROM {RECALL.table} WHERE day = DATE'{DAY}'")
    postgres.transact(lambda c: c.execute("delete from rekindle.build where table_name = %s", [RECALL.table]))
    forget_what_is_published()


def forget_what_is_published() -> None:
    def forget(connection: postgres.Connection) -> None:
        connection.execute("truncate sms.recall_scores, sms.recall_scores_history, sms.audience")
        connection.execute("delete from rekindle.freshness where table_name in ('recall_scores', 'audience')")

    postgres.transact(forget)


def delivered(landing: Path, source: str, day: date = DAY) -> None:
    folder = landing / source / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_SUCCESS").touch()


def promote(product: Product, run_id: str) -> None:
    records.append_promotion(product.name, "1", "a" * 64, DAY, "test", run_id)


def test_a_product_waits_for_its_sources_and_for_its_first_champion(landing, ltv, run_id):
    assert why_skipped(ltv, DAY) == "nothing was ever delivered of orders"

    delivered(landing, "orders")
    assert why_skipped(ltv, DAY) == "no model of it has become champion yet"
    assert why_skipped(ltv, DAY, version="3") is None, "A version that is named needs no champion."

    promote(ltv, run_id)
    assert why_skipped(ltv, DAY) is None

    day_before = DAY - timedelta(1)
    delivered(landing, "orders", day_before)
    assert why_skipped(ltv, day_before) is None
    assert "no champion in effect" in why_skipped(ltv, day_before, backfill=True)


@pytest.mark.usefixtures("recall_is_scored", "ltv")
def test_a_product_that_is_not_in_use_yet_holds_no_other_back_and_neither_does_a_model_that_is_gone(
    warehouse, run_id, caplog
):
    done = publish.main(warehouse.spark, Days.one(DAY), run_id)

    assert "The service will score nothing by the model of recall: There is no version 3" in caplog.text
    assert postgres.transact(lambda c: c.execute("select count(*) from serving.model").fetchone()) == (0,)

    current = "select user_id from sms.recall_scores where in_population order by 1"
    assert [row[0] for row in postgres.transact(lambda c: c.execute(current).fetchall())] == USERS
    assert [published.row_count for published in done.products] == [len(USERS)]


@pytest.mark.usefixtures("recall_is_scored")
def test_a_product_that_is_in_use_and_was_not_scored_holds_all_back(warehouse, landing, ltv, run_id):
    delivered(landing, "orders")
    promote(ltv, run_id)

    with pytest.raises(InputError, match=r"scores.ltv_daily was not scored for 2011-05-10"):
        publish.main(warehouse.spark, Days.one(DAY), run_id)
    assert postgres.transact(lambda c: c.execute("select count(*) from sms.recall_scores").fetchone()) == (0,)


def _forget_promotions(connection):
    """The log is only ever added to: without its trigger, as only the table's owner may."""
    connection.execute("alter table rekindle.promotion disable trigger only_ever_added")
    connection.execute("delete from rekindle.promotion where product = %s", [RECALL.name])
    connection.execute("alter table rekindle.promotion enable trigger only_ever_added")


@pytest.mark.usefixtures("ltv")
def test_what_was_not_scored_is_named_and_not_trained_once_more(warehouse, run_id):
    promote(RECALL, run_id)
    try:
        with pytest.raises(InputError, match=r"scores.recall_daily was not scored for 2011-05-10\.") as refused:
            publish.main(warehouse.spark, Days.one(DAY), run_id)
    finally:
        postgres.transact(_forget_promotions)
    assert refused.value.todo == "Score it: rekindle run --day 2011-05-10"


def test_a_day_without_any_score_says_of_each_product_why_and_what_helps(warehouse, landing, ltv, run_id, monkeypatch):
    monkeypatch.setattr(publish, "PRODUCTS", (ltv,))
    undelivered, no_scores = DAY - timedelta(30), rf"No product has scores for [0-9-]+\. {ltv.name}: "

    with pytest.raises(InputError, match=f"{no_scores}nothing was ever delivered of orders") as refused:
        publish.main(warehouse.spark, Days.one(undelivered), run_id)
    assert refused.value.todo == f"{ltv.name} begins when orders are delivered."

    delivered(landing, "orders")
    with pytest.raises(InputError, match=f"{no_scores}no model of it") as refused:
        publish.main(warehouse.spark, Days.one(DAY), run_id)
    assert refused.value.todo == f"{ltv.name} begins with its first model: rekindle train {ltv.name} --day D"

    # Training that was refused is not what is advised.
    monkeypatch.setattr(publish.registry, "versions", lambda _product: ["refused", "refused again"])
    with pytest.raises(InputError, match=no_scores) as refused:
        publish.main(warehouse.spark, Days.one(DAY), run_id)
    assert refused.value.todo.startswith(f"No version of {ltv.name} has become champion, of 2: ")
    assert "rekindle train" not in refused.value.todo


# Permission


def test_phones_leave_the_warehouse_only_of_users_whom_nothing_speaks_against(warehouse):
    """The contact that counts is the latest up to the day; a user without a number is no user to text."""
    spark = warehouse.spark
    columns = "day date, user_id string, code string, phone_hmac string"
    rows = [(DAY, "may", None, "h"), (DAY, "lost", None, "h"), (DAY, "may_not", "consent_stale", "h")]
    contacts = [
        (DAY - timedelta(2), "may", "07400 123451", "GB"),
        (DAY, "may", "07400 123452", "GB"),
        (DAY + timedelta(1), "may", "07400 123453", "GB"),
        (DAY, "may_not", "+447700900009", "GB"),
    ]
    stored = spark.createDataFrame(contacts, "day date, user_id string, phone string, country string")

    found = publish.with_phones(spark.createDataFrame(rows, columns), stored, DAY, "a key").collect()

    by_user = {row.user_id: row for row in found}
    assert {user: (row.code, row.phone_e164) for user, row in by_user.items()} == {
        "may": (None, "+447400123452"),
        "lost": ("invalid_phone", None),
        "may_not": ("consent_stale", None),
    }
    names = ("447400123452", "7400123452", "07400123452")
    assert set(by_user["may"].phone_hmacs) == {keyed(name, "a key") for name in names}
    assert by_user["may_not"].phone_hmacs == []


def test_what_was_not_built_of_permission_is_not_known(warehouse):
    known = publish.known_permission(warehouse.spark, DAY)

    assert (known.permission, known.profile, known.sent_elsewhere) == (None, None, None)
