"""What the service answers: what was published, and scores on request that are those of the daily run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pyarrow as pa
import pytest

from ml.model import artifact
from ml.products.columns import Money, answers
from rekindle import granting, postgres, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.publishing import answers as material
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.ml.model.test_stored import stored_files
from tests.rekindle.publishing.test_publishing import MONDAY, TUESDAY, ltv
from tests.serving.conftest import LAPSED, LTV, RECALL, STORED_AS, predicted, publish_day, rows_of, scorer_of

EXACT = 1e-6


def by_hand(product):
    """What the daily table has of each user, unrounded."""
    told, users = predicted(product.name)
    said = {name: values.tolist() for name, values in told.by_label.items()}
    said |= {name: values.to_pylist() for name, values in told.besides.items()}
    columns = answers(product.columns(settings()), said) | {"raw_score": told.raw.tolist()}
    return {user: {name: values[at] for name, values in columns.items()} for at, user in enumerate(users)}


def plain(told):
    return {name: float(value) if not isinstance(value, str | None) else value for name, value in told.items()}


def test_a_published_score_is_answered_with_its_day_its_model_and_its_reasons(service):
    status, told = service.ask("/v1/scores/recall/u03")

    assert status == 200
    assert (told["product"], told["day"], told["valid_until"]) == ("recall", "2017-06-05", "2017-06-07T12:00:00+00:00")
    row = told["score"]
    assert row["return_probability"] == round(by_hand(RECALL)["u03"]["return_probability"], 3)
    assert (row["user_id"], row["in_population"], row["model_version"], row["reason_1"]) == ("u03", True, "3", None)
    assert datetime.fromisoformat(row["updated_at"]) <= service.holding.held.published_at
    assert set(row) >= {"percentile", "decile", "other_contribution", "model_digest", "updated_at", "day"}


def test_an_old_day_says_that_it_has_expired_and_is_answered(service):
    assert service.ask("/v1/scores/ltv/u03")[1]["status"] == "expired"
    assert service.ask("/ready")[0] == 503


@pytest.mark.parametrize("product", [RECALL, LTV], ids=["recall", "ltv"])
def test_scores_by_id_are_those_of_the_daily_run(service, product):
    users = [f"u{place:02}" for place in range(LAPSED)][::-1]
    status, told = service.ask(f"/v1/scores/{product.name}", {"users": users})

    assert status == 200
    assert [row["user_id"] for row in told["scores"]] == users
    expected = by_hand(product)
    for row in told["scores"]:
        wanted = plain(expected[row["user_id"]])
        found = plain({name: row[name] for name in wanted})
        assert found == {n: pytest.approx(v, abs=EXACT) if isinstance(v, float) else v for n, v in wanted.items()}
    assert {"name", "version", "digest"} == set(told["model"])


def test_scores_of_features_are_those_of_the_users_who_have_them(service):
    rows, signature = rows_of("recall"), scorer_of("recall").inputs
    inputs = {name: _as_json(rows[name]) for name in signature}
    status, told = service.ask("/v1/scores/recall", {"inputs": inputs})

    assert status == 200
    expected = by_hand(RECALL)
    for row, user in zip(told["scores"], rows["user_id"].to_pylist(), strict=True):
        assert row["return_probability"] == pytest.approx(expected[user]["return_probability"], abs=EXACT)


def _as_json(column):
    values = column.to_pylist()
    if pa.types.is_map(column.type):
        return [None if one is None else dict(one) for one in values]
    return [float(one) if pa.types.is_decimal(column.type) and one is not None else one for one in values]


def test_the_percentile_is_the_place_among_the_days_scores(service):
    _, told = service.ask("/v1/scores/recall", {"users": [f"u{place:02}" for place in range(LAPSED)]})
    by_score = sorted(told["scores"], key=lambda row: -row["raw_score"])

    assert [row["percentile"] for row in by_score] == [100 - ahead * 100 // LAPSED for ahead in range(LAPSED)]


def test_what_a_model_reads_is_described(service):
    status, told = service.ask("/v1/models/recall")

    assert (status, told["inputs"]) == (200, scorer_of("recall").inputs)


def test_who_is_in_no_population_is_told_which_product_covers_them(service):
    status, told = service.ask("/v1/scores/recall/u20")
    assert (status, told["error"]["code"]) == (404, "unknown_user")
    assert "Ask for ltv." in told["error"]["todo"]

    status, told = service.ask("/v1/scores/recall", {"users": ["u20", "u01"]})
    assert (status, told["scores"][0]) == (200, {"user_id": "u20", "covered_by": ["ltv"]})
    assert "return_probability" in told["scores"][1]
    assert service.ask("/v1/scores/recall/nobody")[1]["error"]["todo"] == "No product covers this user."


def test_who_has_left_the_population_is_not_covered(service):
    publish_day(TUESDAY, users=10)
    service.renew()

    assert service.ask("/v1/scores/ltv/u09")[0] == 200
    assert service.ask("/v1/scores/ltv/u11")[0] == 404


def test_a_new_day_takes_the_place_of_the_old_one(service):
    before = service.holding.held
    publish_day(TUESDAY)
    service.renew()

    assert service.ask("/v1/scores/recall/u03")[1]["day"] == str(TUESDAY)
    assert service.holding.held is not before


def test_nothing_is_read_again_while_nothing_is_published(service):
    before = service.holding.held
    service.renew()

    assert service.holding.held is before


def test_who_is_erased_is_forgotten_by_the_service_and_in_what_it_reads(service):
    postgres.transact(lambda c: material.forget(c, ["u03"]))
    service.holding.known = replace(service.holding.known, erased=frozenset({"u03"}))

    assert service.ask("/v1/scores/recall/u03")[0] == 404
    assert service.ask("/v1/scores/recall", {"users": ["u03", "u04"]})[1]["scores"][0] == {
        "user_id": "u03",
        "covered_by": [],
    }
    assert not postgres.transact(lambda c: material.of_users(c, ["u03"]))
    (kept,) = postgres.transact(lambda c: material.of_users(c, ["u04"]))
    assert kept["user_id"] == "u04"


def test_who_has_asked_to_be_erased_is_forgotten_before_it_is_done(service, database):
    database.execute(
        "insert into rekindle.withdrawal (kind, user_id, at, source_id) values ('erasure', 'u05', now(), 'r1'),"
        " ('stop', 'u06', now(), 'r2')"
    )
    service.renew()

    assert service.ask("/v1/scores/recall/u05")[0] == 404
    assert service.ask("/v1/scores/recall/u06")[0] == 200


def test_a_role_of_its_own_reads_what_is_answered_and_no_permission(service, database, monkeypatch):
    role = f"answers_{uuid4().hex[:8]}"
    database.execute(f"create role {role} login password '{'x' * 12}'")
    try:
        postgres.transact(lambda c: granting.let_read(c, (replace(granting.ANSWERS, role=role),)))
        database.use(monkeypatch, user=role, password="x" * 12)
        service.holding.held = None
        service.renew()
        assert service.ask("/v1/scores/recall/u03")[0] == 200
        for table in ("sms.audience", "rekindle.permission", "rekindle.withdrawal"):
            with pytest.raises(InputError, match="permission denied"):
                postgres.transact(lambda c, table=table: c.execute(f"select * from {table}"))
    finally:
        postgres.disconnect()
        database.execute(f"drop owned by {role}")
        database.execute(f"drop role {role}")


def test_a_model_whose_bytes_were_changed_is_not_used_and_the_others_are(service, caplog):
    publish_day(TUESDAY)
    postgres.transact(lambda c: c.execute("update serving.model set archive = %s where product = 'ltv'", [b"no zip"]))
    service.renew()

    assert "The model of ltv is not used: BadZipFile" in caplog.text
    assert service.ask("/v1/scores/ltv", {"users": ["u03"]})[1]["error"]["code"] == "no_model"
    assert service.ask("/v1/scores/ltv/u03")[1]["day"] == str(TUESDAY)
    assert service.ask("/v1/scores/recall", {"users": ["u03"]})[0] == 200

    other = stored_files(STORED_AS["recall"])
    packed = artifact.pack(other | {artifact.MODEL_FILE: other[artifact.MODEL_FILE] + b" "})
    postgres.transact(lambda c: c.execute("update serving.model set archive = %s where product = 'recall'", [packed]))
    service.holding.held = None
    service.renew()
    assert "The model of recall is not used: The model's bytes have the digest" in caplog.text


def test_who_was_erased_stays_forgotten_when_nobody_tells_of_it_any_more(service, database):
    database.execute(
        "insert into rekindle.withdrawal (kind, user_id, at, source_id) values ('erasure', 'u05', now(), 'r1')"
    )
    service.renew()
    database.execute("delete from rekindle.withdrawal")
    service.renew()

    assert service.ask("/v1/scores/recall/u05")[0] == 404


def test_an_older_day_of_one_product_takes_no_model_of_a_later_one(service):
    publish_day(TUESDAY)
    with records.own_run("test", Days.one(MONDAY)) as run_id:
        publish({LTV: ltv(["u01"])}, MONDAY, run_id)
    service.renew()

    assert service.ask("/v1/scores/recall", {"users": ["u03"]})[0] == 200


def test_amounts_that_no_table_can_hold_are_unknown():
    said = {"a": [1e15, 1e16, float("inf"), float("nan"), None, -2.675, 0.005]}

    found = Money(("a",)).of(said)

    assert found == [Decimal("1E15"), None, None, None, None, Decimal("-2.68"), Decimal("0.01")]


def test_a_day_that_is_published_without_inputs_is_answered_as_it_was_published(service, database):
    database.execute("delete from serving.model")
    database.execute("delete from serving.features")
    service.holding.held = None
    service.renew()

    assert service.ask("/v1/scores/recall/u03")[0] == 200
    assert service.ask("/v1/scores/recall", {"users": ["u03"]})[1]["error"]["code"] == "no_model"


def test_validity_is_of_the_day(service):
    assert service.holding.held.valid_until.date() == MONDAY + timedelta(days=2)
