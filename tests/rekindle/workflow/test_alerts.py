"""A failed task tells a webhook, a real listener here; what the webhook does fails nothing."""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from rekindle.errors import CheckFailedError
from rekindle.settings import settings
from rekindle.workflow import alerts, tasks
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from collections.abc import Iterator

ALERT = {
    "dag": "daily_scores",
    "day": "2017-12-31",
    "task": "publish",
    "code": "check_failed",
    "what": "Größer als je.",
}


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A listener on this machine that keeps what it is sent, and answers with `status`."""
    seen = SimpleNamespace(bodies=[], status=200)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(seen.status)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing in the tests' output."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("REKINDLE_ALERT_URL", f"http://127.0.0.1:{server.server_port}/hook?token=secret")
    settings.cache_clear()
    yield seen
    server.shutdown()
    server.server_close()
    monkeypatch.undo()
    settings.cache_clear()


def test_an_alert_reaches_the_webhook_as_it_is(webhook: SimpleNamespace):
    assert alerts.send(ALERT)
    assert webhook.bodies == [ALERT]


def test_a_webhook_that_refuses_fails_nothing_and_its_address_is_not_logged(webhook: SimpleNamespace, caplog):
    webhook.status = 500

    assert not alerts.send(ALERT)
    assert "not sent: HTTPError" in caplog.text
    assert "secret" not in caplog.text


def test_a_webhook_that_is_not_there_fails_nothing(monkeypatch, caplog):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REKINDLE_ALERT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        settings.cache_clear()
        assert not alerts.send(ALERT)
    settings.cache_clear()

    assert "not sent" in caplog.text


@pytest.mark.parametrize("url", ["", "file:///etc/passwd"])
def test_without_an_http_address_nothing_is_sent(url: str, monkeypatch):
    monkeypatch.setenv("REKINDLE_ALERT_URL", url)
    settings.cache_clear()
    assert not alerts.send(ALERT)
    settings.cache_clear()


@bad_input("any of these, told by the webhook", gets="B")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            CheckFailedError("scores broke a rule.", todo="Look.", safe="Yesterday stays.", code="check_failed"),
            {"code": "check_failed", "what": "scores broke a rule.", "todo": "Look.", "safe": "Yesterday stays."},
        ),
        # Whatever it says may be a user's.
        (ValueError("could not convert u-4711"), {"code": None, "what": "ValueError", "todo": None, "safe": None}),
    ],
)
def test_a_failed_task_tells_our_own_sentences_and_of_any_other_error_the_type(error: Exception, told: dict[str, Any]):
    try:
        try:
            raise error
        except CheckFailedError as own:
            raise AirflowFailException(str(own)) from own
    except (AirflowFailException, ValueError) as raised:
        alert = tasks.alert_of("daily_scores", "2017-12-31", "publish", "run-1", raised)

    assert alert == {"dag": "daily_scores", "day": "2017-12-31", "task": "publish", "run": "run-1", **told}


def test_arms_of_other_sizes_than_planned_are_told_by_the_names_of_their_campaigns():
    alert = alerts.of_unbalanced("2024-03-10", "run", ["spring"])

    assert alert["what"] == "Arms are not of the sizes planned: spring."
    assert (alert["code"], alert["task"]) == ("sample_ratio", "report")


@bad_input("an opt-out delivery that is missing, told by the webhook", gets="fine")
def test_a_day_on_which_nobody_is_permitted_anew_is_told_with_the_source_that_is_missing():
    alert = alerts.of_no_new_permission("2024-03-10", "run", "consents of 2024-03-10 are not loaded")

    assert (alert["code"], alert["task"]) == ("no_new_permission", "permission_is_supplied")
    assert alert["what"] == "Nobody is permitted anew: consents of 2024-03-10 are not loaded."
    assert "permission is still taken away" in str(alert["safe"])


def test_a_version_that_waits_for_a_person_is_told_with_what_to_say():
    alert = alerts.of_waiting("2024-03-10", "run", "recall.train", "recall", "3")

    assert (alert["dag"], alert["code"], alert["task"]) == ("weekly_training", "version_waits", "recall.train")
    assert alert["what"] == "Version 3 of recall passed its gate and waits for a person."
    assert "rekindle promote recall 3" in str(alert["todo"])


def test_a_level_that_does_not_hold_is_told_with_its_figures():
    alert = alerts.of_miscalibrated("2024-03-10", "run", "recall.recalibrate", "recall", "predicted/actual 1.40.")

    assert (alert["dag"], alert["code"]) == ("weekly_training", "miscalibrated")
    assert alert["what"] == "The level of recall does not hold: predicted/actual 1.40."


def test_what_has_moved_within_a_week_is_told_and_stops_nothing():
    alert = alerts.of_moved("2024-03-10", "run", ["share of no_consent", "drift of orders_28d"])

    assert alert["what"] == "Moved within a week: share of no_consent, drift of orders_28d."
    assert "nothing is stopped" in str(alert["safe"])
