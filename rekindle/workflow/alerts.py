"""
Alerts: one message per failed task, posted as JSON to the webhook that `REKINDLE_ALERT_URL` names.

A message holds a code and the sentences of our own errors, of which none has personal data; of any other error its type.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import Request, urlopen

from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS = 5
"""Whoever waits for the webhook is a task that has failed already."""


TRAINING = "weekly_training"

NOTHING_STOPPED = "Scores and permissions are published as usual: nothing is stopped by it."


def of_moved(day: str, airflow_run: str, moved: Sequence[str]) -> dict[str, str | None]:
    """Tell which watched figures have moved within a week."""
    return _news(
        *(day, airflow_run, "watch", "moved"),
        what=f"Moved within a week: {', '.join(moved)}.",
        todo="Look at the page of what is watched; a source that stopped or changed comes first.",
    )


def of_unbalanced(day: str, airflow_run: str, campaigns: Sequence[str]) -> dict[str, str | None]:
    """Tell of campaigns whose arms have other sizes than chance would give them."""
    return _news(
        *(day, airflow_run, "report", "sample_ratio"),
        what=f"Arms are not of the sizes planned: {', '.join(campaigns)}.",
        todo="Trust no figure of them before it is known why: see whom the assignment or the messages leave out.",
    )


def of_no_new_permission(day: str, airflow_run: str, why: str) -> dict[str, str | None]:
    """Tell of a day on which nobody is permitted anew."""
    return _news(
        *(day, airflow_run, "permission_is_supplied", "no_new_permission"),
        what=f"Nobody is permitted anew: {why}.",
        todo="Deliver what is missing, and run the day again.",
        safe="Scores are published; permission is still taken away, and who had it keeps it until it runs out.",
    )


def of_waiting(day: str, airflow_run: str, task: str, product: str, version: str) -> dict[str, str | None]:
    """Tell of a version that passed its gate and waits for a person."""
    return _news(
        *(day, airflow_run, task, "version_waits"),
        dag=TRAINING,
        what=f"Version {version} of {product} passed its gate and waits for a person.",
        todo=f"Look at its page in MLflow, then `rekindle promote {product} {version}`, or leave it.",
        safe="The champion goes on scoring.",
    )


def of_miscalibrated(day: str, airflow_run: str, task: str, product: str, told: str) -> dict[str, str | None]:
    """Tell of a champion whose level does not hold, and that no other calibration was let in."""
    return _news(
        *(day, airflow_run, task, "miscalibrated"),
        dag=TRAINING,
        what=f"The level of {product} does not hold: {told}",
        todo="The training that follows learns from these days. Where its version is not let in, look at what has changed.",
        safe="Scores are published as usual; their order is not touched by it.",
    )


def _news(
    day: str,
    airflow_run: str,
    task: str,
    code: str,
    *,
    what: str,
    todo: str,
    safe: str = NOTHING_STOPPED,
    dag: str = "daily_scores",
) -> dict[str, str | None]:
    """Say what has failed nothing, and in which task of a DAG it was found."""
    where = {"dag": dag, "day": day, "task": task, "run": airflow_run}
    return {**where, "code": code, "what": what, "todo": todo, "safe": safe}


def send(alert: Mapping[str, str | None]) -> bool:
    """Post an alert, and say whether it was taken. That it could not be sent fails nothing; the log says so."""
    url = settings().alert_url
    if not url:
        return False
    if not url.startswith(("http://", "https://")):
        logging.getLogger(__name__).warning("REKINDLE_ALERT_URL is no http address: the alert was not sent.")
        return False
    body = json.dumps(alert, ensure_ascii=False).encode()
    request = Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - http, as asked above
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - http, as asked above
            return True
    except (URLError, OSError, ValueError) as error:
        # Not the address: it may hold a token.
        logging.getLogger(__name__).warning("The alert was not sent: %s.", type(error).__name__)
        return False
