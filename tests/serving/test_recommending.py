"""Recommendations over REST: what is published of a day, and items that are named put in order for a user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pytest

from ml.products import RECOMMENDATION
from ml.recommendation.lists import ITEM
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.publishing import publish, recommended
from rekindle.publishing.recommended import Recommended, Trace
from serving import keys
from tests.rekindle.conftest import database, migrated_database, server_url
from tests.rekindle.publishing.test_publishing import MONDAY, TUESDAY
from tests.serving.conftest import publish_day, running, sent
from tests.serving.test_hostile import EACH, HOSTILE_BODIES, HOSTILE_IDS, asked_as_described, judged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from tests.serving.conftest import Service

__all__ = ["database", "migrated_database", "server_url"]

DIGEST = "a" * 64
USERS = pa.schema(
    {
        "user_id": pa.string(),
        "country": pa.string(),
        "items": pa.list_(pa.string()),
        "scores": pa.list_(pa.float64()),
        "retrievers": pa.list_(pa.string()),
        "is_fallback": pa.list_(pa.bool_()),
    }
)
LISTS = {"u01": ["i2", "i1", "i5"], "u02": ["i1"], "nobody": ["i1", "i2"]}
OF_ITEMS = [
    ("i1", "Tea", "drinks", 9, 1, None, None),
    ("i2", "Cake", "sweets", 8, 2, None, None),
    ("i3", "Coffee", "drinks", 7, 3, None, None),
    ("i4", None, "sweets", 6, 4, "blocked", None),
    ("i5", "Jam", None, 5, 5, None, "GB IE"),
    ("i6", "Soap", "bath", 4, 6, None, None),
    ("i7", "Salt", "bath", 3, 7, None, "US"),
]


class Shown:
    name = RECOMMENDATION.name
    table = RECOMMENDATION.published


def rows_of(day: date) -> pa.Table:
    trace = {"model_name": "rekindle_recommendation", "model_version": "2", "model_digest": DIGEST}
    one = {"day": day, "user_id": "u01", "is_fallback": False, "is_backfilled": False, "run_id": "r", **trace}
    named = {f"{what}_{n}": value for n in (1, 2, 3) for what, value in (("item", f"i{n}"), ("title", f"t{n}"))}
    table = pa.Table.from_pylist([one | named])
    return table.set_column(table.schema.get_field_index("day"), "day", pa.array([day], pa.date32()))


def material() -> Recommended:
    users = pa.Table.from_pylist(
        [
            {
                "user_id": user,
                "country": {"u01": "gb", "u02": "US"}.get(user),
                "items": items,
                "scores": [None if user == "nobody" else 1.0 / (place + 1) for place in range(len(items))],
                "retrievers": ["ease"] * len(items),
                "is_fallback": [user == "nobody"] * len(items),
            }
            for user, items in sorted(LISTS.items())
        ],
        USERS,
    )
    items = pa.Table.from_pylist([dict(zip(ITEM.names, row, strict=True)) for row in OF_ITEMS], ITEM)
    return Recommended(Trace("rekindle_recommendation", "2", DIGEST), users.to_reader(), items.to_reader())


def publish_recommended(day: date = MONDAY) -> None:
    publish({Shown(): rows_of(day)}, day, records.start_run("daily", Days.one(day)), recommended=material())


@pytest.fixture
def service(database: Any) -> Iterator[Service]:  # noqa: ARG001 - what is published is published there
    publish_day()
    publish_recommended()
    token = keys.add("a test", ["recommend"])
    with running() as service:
        service.token = token
        yield service


def ranked(service: Service, user: str, *items: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    named = [{"item_id": one} if isinstance(one, str) else one for one in items]
    status, told = service.ask("/v1/rank", {"user_id": user, "items": named})
    assert status == 200, told
    assert [one["rank"] for one in told["items"]] == list(range(1, len(told["items"]) + 1))
    return (
        [(one["item_id"], one["by"]) for one in told["items"]],
        [(one["item_id"], one["why"]) for one in told["left_out"]],
    )


def test_a_list_is_the_published_one(service):
    status, told = service.ask("/v1/users/u01/recommendations")

    assert (status, told["day"], told["user_id"]) == (200, str(MONDAY), "u01")
    assert told["model"] == {"name": "rekindle_recommendation", "version": "2", "digest": DIGEST}
    assert told["items"][0] == {
        "rank": 1,
        "item_id": "i2",
        "title": "Cake",
        "score": 1.0,
        "retriever": "ease",
        "is_fallback": False,
    }
    assert [one["item_id"] for one in told["items"]] == LISTS["u01"]
    assert len(service.ask("/v1/users/u01/recommendations?limit=2")[1]["items"]) == 2


def test_what_fills_a_list_up_says_so_and_has_no_score(service):
    _, told = service.ask("/v1/users/nobody/recommendations")

    assert {(one["is_fallback"], one["score"]) for one in told["items"]} == {(True, None)}


def test_the_items_of_a_list_keep_its_order_and_scores(service):
    """Batch is REST: what the day has put in order is in that order, however it is named."""
    _, listed = service.ask("/v1/users/u01/recommendations")
    _, told = service.ask("/v1/rank", {"user_id": "u01", "items": [{"item_id": i} for i in sorted(LISTS["u01"])]})

    for one, other in zip(listed["items"], told["items"], strict=True):
        assert (one["item_id"], one["rank"], one["score"]) == (other["item_id"], other["rank"], other["score"])


def test_others_come_by_their_category_then_by_popularity_and_a_new_item_is_the_last_of_its_category(service):
    items, left_out = ranked(
        *(service, "u01", "i6", "unheard", {"item_id": "new", "category": "drinks"}, "i3", "i1"),
        {"item_id": "newer", "category": "sweets"},
    )

    assert items == [
        ("i1", "list"),
        ("newer", "category"),
        ("i3", "category"),
        ("new", "category"),
        ("i6", "popularity"),
        ("unheard", "unknown"),
    ]
    assert left_out == []


def test_what_may_not_be_shown_is_left_out_with_the_rule(service):
    assert ranked(service, "u01", "i4", "i5", "i7") == ([("i5", "list")], [("i4", "blocked"), ("i7", "countries")])
    # Sold in some countries only, and nothing is known of the user's.
    assert ranked(service, "nobody", "i5")[1] == [("i5", "countries")]


def test_an_item_that_is_named_twice_stands_once(service):
    assert ranked(service, "u02", "i1", "i1", "i4", "i4") == ([("i1", "list")], [("i4", "blocked")])


def test_who_is_not_known_is_told_so(service):
    for path, body in (
        ("/v1/users/u99/recommendations", None),
        ("/v1/rank", {"user_id": "u99", "items": [{"item_id": "i1"}]}),
    ):
        status, told = service.ask(path, body)
        assert (status, told["error"]["code"]) == (404, "unknown_user")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": "u01"},
        {"user_id": "u01", "items": []},
        {"user_id": "u01", "items": ["i1"]},
        {"user_id": "u01", "items": [{"item_id": ""}]},
        {"user_id": "u01", "items": [{"item_id": "i1", "weight": 3}]},
        {"user_id": "u01", "items": [{"item_id": "i1"}] * 1001},
        {"user_id": 1, "items": [{"item_id": "i1"}]},
    ],
)
def test_what_is_no_question_is_refused_without_quoting_it(service, body):
    status, told = service.ask("/v1/rank", body)

    assert (status, told["error"]["code"]) == (422, "unusable")
    assert "u01" not in str(told)
    assert "weight" not in str(told)


def test_a_key_of_another_scope_may_not_ask(service):
    service.token = keys.add("scores only", ["score"])
    service.renew()

    assert service.ask("/v1/users/u01/recommendations")[0] == 403
    service.token = keys.add("recommendations only", ["recommend"])
    service.renew()
    assert service.ask("/v1/scores/recall/u01")[0] == 403


def test_before_anything_is_recommended_the_answer_says_what_to_do(database):  # noqa: ARG001 - it is published there
    publish_day()
    token = keys.add("a test", ["recommend"])
    with running() as service:
        service.token = token
        status, told = service.ask("/v1/users/u01/recommendations")

    assert (status, told["error"]["code"]) == (404, "no_recommendations")


def test_a_day_that_recommends_nothing_leaves_what_was_there_and_it_runs_out(service):
    publish_day(TUESDAY)
    service.renew()

    assert service.ask("/v1/users/u01/recommendations")[1]["day"] == str(MONDAY)
    publish_recommended(TUESDAY)
    service.renew()
    assert service.ask("/v1/users/u01/recommendations")[1]["day"] == str(TUESDAY)


def test_an_older_day_changes_nothing(service):
    publish_recommended(TUESDAY)
    publish_recommended(MONDAY)
    service.renew()

    assert service.ask("/v1/users/u01/recommendations")[1]["day"] == str(TUESDAY)


@pytest.mark.usefixtures("service")
def test_who_is_erased_is_in_no_list(database):
    assert postgres.transact(lambda c: recommended.of_users(c, ["u01"]))
    assert postgres.transact(lambda c: recommended.forget(c, ["u01"])) == 1
    assert not postgres.transact(lambda c: recommended.of_users(c, ["u01"]))
    database.execute(
        "insert into rekindle.erasure (user_id, erased_at, forgotten_after) values ('u02', now(), now() + interval '1 day')"
    )
    publish_recommended(TUESDAY)

    assert not postgres.transact(lambda c: recommended.of_users(c, ["u02"]))
    assert postgres.transact(lambda c: recommended.of_users(c, ["u01", "nobody"]))


@pytest.mark.usefixtures("service")
def test_three_items_are_published_for_tools(database):
    (row,) = database.rows("select * from sms.recommendations")

    assert (row["user_id"], row["item_1"], row["title_3"], row["in_population"]) == ("u01", "i1", "t3", True)
    assert row["model_version"] == "2"


@pytest.mark.parametrize("user", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
def test_hostile_ids(service, user):
    written = quote(user, safe="/%?#'|=", errors="surrogatepass")
    judged(*sent(service, "GET", f"/v1/users/{written}/recommendations", None, {}))


def test_hostile_bodies_and_limits(service):
    for body in HOSTILE_BODIES:
        judged(*sent(service, "POST", "/v1/rank", body, {}))
    for item in ("\ud800", "\u0000", "i1\n", "x" * 257):
        told = {"user_id": "u01", "items": [{"item_id": item, "category": item}]}
        judged(*sent(service, "POST", "/v1/rank", json.dumps(told).encode(), {}))
    for limit in ("0", "-1", "101", "x", "1e3", "", "9" * 400, "1&limit=2"):
        judged(*sent(service, "GET", f"/v1/users/u01/recommendations?limit={limit}", None, {}))


def test_what_our_own_description_allows_and_forbids(service):
    found = asked_as_described(service, lambda path: path.endswith(("/recommendations", "/rank")))

    assert len(found) > EACH
