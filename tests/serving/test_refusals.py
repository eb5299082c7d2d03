"""What the service refuses, and how: in one form, without a stack trace, and without what was sent."""

from __future__ import annotations

import json
import logging
import re

import pytest

from rekindle.errors import InputError
from rekindle.settings import PROJECT
from serving import keys
from serving.app import CODES
from serving.around import MAX_BODY_BYTES
from serving.limits import Limits
from tests.serving.conftest import eventually, running, sent

SCORES = "/v1/scores/recall"


def refused(status, told):
    assert set(told) == {"error"} and set(told["error"]) == {"code", "what", "todo"}
    return status, told["error"]["code"]


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer nonsense", "Basic dTpw", f"Bearer rk_abcdefgh_{'A' * 43}", "Bearer rk_äöüß_x"],
    ids=["nothing", "no token", "no key of ours", "another kind", "an unknown key", "no ASCII"],
)
def test_who_has_no_key_is_told_so(service, sent):
    headers = {"Authorization": sent.encode().decode("latin-1")}

    assert refused(*service.ask(f"{SCORES}/u03", **headers)) == (401, "no_key")


def test_a_key_is_in_force_until_it_is_revoked(service):
    (listed,) = keys.listed()
    assert (listed.name, listed.scopes, listed.revoked_at) == ("a test", ("rta", "score"), None)

    keys.revoke(listed.key_id)
    service.renew()

    assert refused(*service.ask(f"{SCORES}/u03")) == (401, "no_key")
    assert keys.listed()[0].revoked_at is not None
    with pytest.raises(InputError, match="no key nobodyss"):
        keys.revoke("nobodyss")


def test_the_secret_of_a_key_is_kept_nowhere(service, database):
    kept = json.dumps(database.rows("select * from serving.api_key"), default=str)

    assert service.token.split("_", 2)[2] not in kept


def test_a_key_may_ask_for_what_its_scopes_say(service, database):
    database.execute("update serving.api_key set scopes = '{rta}'")
    service.renew()

    assert refused(*service.ask(f"{SCORES}/u03")) == (403, "not_allowed")
    with pytest.raises(InputError, match="no scope all"):
        keys.add("x", ["all"])


def test_who_asks_too_often_is_told_when_to_ask_again(database):  # noqa: ARG001 - nothing is published there
    token = keys.add("a test", ["score"])
    with running(per_second=3) as service:
        service.token = token
        found = [service.raw(f"{SCORES}/u03") for _ in range(8)]

    assert {status for status, _, _ in found} == {503, 429}
    (after,) = {headers["Retry-After"] for status, _, headers in found if status == 429}
    assert after == "1"


def test_a_key_may_ask_as_often_as_it_says_and_no_other_key_waits_for_it():
    now = 0.0
    limits = Limits(2, clock=lambda: now)

    assert [limits.wait_for("a") for _ in range(4)] == [0, 0, 1, 1]
    assert limits.wait_for("b") == 0
    now = 0.5
    assert [limits.wait_for("a") for _ in range(2)] == [0, 1]
    now = 100.0
    assert [limits.wait_for("a") for _ in range(3)] == [0, 0, 1]


def test_before_a_first_day_it_says_that_nothing_is_published(database):  # noqa: ARG001 - nothing is published there
    token = keys.add("a test", ["score"])
    with running() as service:
        service.token = token
        assert refused(*service.ask(f"{SCORES}/u03")) == (503, "nothing_published")
        assert refused(*service.ask("/ready")) == (503, "nothing_published")
        assert service.ask("/health") == (200, {"status": "ok"})


def test_what_is_not_there_is_not_found(service):
    assert refused(*service.ask("/v1/scores/churn/u03")) == (404, "no_such_product")
    assert refused(*service.ask("/v2")) == (404, "no_such_page")
    assert refused(*service.ask("/v1/models/recall", {})) == (405, "no_such_method")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "send either users or inputs"),
        ({"users": ["u1"], "inputs": {"a": [1]}}, "send either users or inputs"),
        ({"users": []}, "body.users"),
        ({"users": ["u"] * 1001}, "body.users"),
        ({"users": ["x" * 257]}, "body.users"),
        ({"users": [7]}, "body.users"),
        ({"users": ["u1"], "day": "2017-06-05"}, "a day goes with inputs"),
        ({"users": ["u1"], "everything": True}, "body: Extra inputs"),
        ([1], "body"),
    ],
)
def test_a_body_of_another_form_is_unusable(service, body, where):
    status, told = service.ask(SCORES, body)

    assert refused(status, told) == (422, "unusable")
    assert where in told["error"]["what"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recency_days": None}, "inputs lacks recency_days"),
        ({"secret_feature": ["+4915112345678"]}, "1 features that the model does not read"),
        ({"recency_days": ["+4915112345678"]}, "inputs.recency_days is no list of whole numbers"),
        ({"recency_days": [True]}, "inputs.recency_days is no list of whole numbers"),
        ({"active_days_28d": [2**62]}, "inputs.active_days_28d is no list of whole numbers"),
        ({"recency_days": [2**40]}, "inputs.recency_days is no list of whole numbers"),
        ({"recency_days": [1, 2]}, "differ in length"),
        ({"gap_mean_days": [1e999]}, "inputs.gap_mean_days is no list of numbers"),
        ({"attributes": [["+4915112345678"]]}, "inputs.attributes is no list of objects"),
        ({"country": [{"a": "b"}]}, "inputs.country is no list of texts"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_features_that_are_none_are_unusable_and_not_quoted(service, changes, said):
    inputs = {name: [None] for name in service.ask("/v1/models/recall")[1]["inputs"]}
    inputs = {name: values for name, values in (inputs | changes).items() if values is not None}
    status, told = service.ask(SCORES, {"inputs": inputs})

    assert refused(status, told) == (422, "unusable_inputs")
    assert said in told["error"]["what"]
    assert "+49" not in json.dumps(told)


def test_too_much_is_not_read(service):
    # Nothing of it is sent: the answer comes before.
    status, text = sent(service, "POST", SCORES, None, {"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert refused(status, json.loads(text)) == (413, "too_large")

    # Nobody says how much it is.
    chunks = [b"100000\r\n" + b" " * 2**20 + b"\r\n"] * (MAX_BODY_BYTES // 2**20 + 1)
    status, text = sent(service, "POST", SCORES, chunks, {"Transfer-Encoding": "chunked"})
    assert refused(status, json.loads(text)) == (413, "too_large")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"nul", b'{"users": ["\\ud800"]}'])
def test_what_is_no_json_is_unusable(service, body):
    status, text, _ = service.raw(SCORES, body)

    assert refused(status, json.loads(text)) in {(400, "unreadable"), (404, "unknown_user"), (422, "unusable")}


def test_without_a_key_nothing_of_a_body_is_read(service):
    length = {"Content-Length": str(2**40), "Authorization": "Bearer nonsense"}
    status, text = sent(service, "POST", SCORES, None, length)

    assert refused(status, json.loads(text)) == (401, "no_key")


def test_a_body_that_does_not_come_is_not_waited_for(service, monkeypatch):
    monkeypatch.setattr("serving.around.MAX_BODY_SECONDS", 0.2)
    status, text = sent(service, "POST", SCORES, None, {"Content-Length": "10"})

    assert refused(status, json.loads(text)) == (408, "too_slow")


def test_headers_without_an_end_are_not_taken(service):
    status, _ = sent(service, "GET", f"{SCORES}/u03", None, {"X-Long": "x" * 2**20})

    assert status == 400


def test_nobody_is_sent_elsewhere(service):
    assert sent(service, "GET", "/v1/models/recall/", None, {"Host": "evil.example"})[0] == 404


def test_a_line_in_the_log_and_the_figures_name_nobody(service, caplog):
    def told():
        return [json.loads(record.getMessage()) for record in caplog.records if record.name == "serving.requests"]

    with caplog.at_level(logging.INFO, "serving"):
        service.ask(f"{SCORES}/u03")
        service.ask(SCORES, {"users": ["u03"]})
        # A line is written when the answer is on its way.
        eventually(lambda: len(told()) == 2)
    lines = told()

    assert [(line["route"], line["method"], line["status"]) for line in lines] == [
        ("/v1/scores/{product}/{user_id:path}", "GET", 200),
        ("/v1/scores/{product}", "POST", 200),
    ]
    assert {line["key"] for line in lines} == {service.token.split("_")[1]}
    assert not [record for record in caplog.records if "u03" in record.getMessage()]
    page = service.raw("/metrics")[1].decode()
    assert 'rekindle_requests_total{method="POST",route="/v1/scores/{product}",status="200"} 1.0' in page
    assert "u03" not in page and 'rekindle_held_rows{product="ltv"} 25.0' in page


def test_what_fails_within_is_answered_and_told_without_what_was_sent(service, caplog, monkeypatch):
    def broken(*_):
        raise ValueError("u03 broke it")

    monkeypatch.setattr("serving.held.Offer.members", broken)
    status, told = service.ask(f"{SCORES}/u03")

    assert refused(status, told) == (500, "broken")
    assert "A request has failed: ValueError at test_refusals.py" in caplog.text and "u03" not in caplog.text
    assert "Traceback" not in caplog.text


def test_the_page_lists_each_code():
    ours = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "serving").glob("*.py"))
    made = set(re.findall(r'NoAnswerError\(\s*\d+,\s*"(\w+)"', ours)) | set(CODES.values())
    table = (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8").split("## What is refused")[1].split("## ")[0]
    rows = [row.split("|") for row in table.splitlines() if re.match(r"\| \d+ ", row)]
    listed = {code for row in rows for code in re.findall(r"`(\w+)`", row[2])}

    assert listed == made
