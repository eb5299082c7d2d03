"""An audience on a real Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.rekindle.permission.rows import MONDAY, MORNING
from tests.rekindle.publishing.test_publishing import RECALL, RETURN_VALUE, UPLIFT, recall, return_value_rows


def with_uplifts(scores, uplifts):
    """Put uplifts of users, each with both ends, into their scores."""
    unknown = dict.fromkeys(UPLIFT)
    rows = [
        {**row, **(dict(zip(UPLIFT, uplifts[user], strict=True)) if (user := row["user_id"]) in uplifts else unknown)}
        for row in scores.to_pylist()
    ]
    return pa.Table.from_pylist(rows, scores.schema)


class Audience:
    """Publishes days, and reads what tools would."""

    def __init__(self, database):
        self.database = database
        self.run_id = records.start_run("daily", Days.one(MONDAY))

    def publish(self, users, given=None, *, day=MONDAY, at=None, worth=None, backfill=False, uplifts=None):
        """Publish scores of users whose return is worth a hundred, on the morning after the day; `uplifts` are their own."""
        values = [{"user_id": user, "value_if_returns": (worth or {}).get(user, 100)} for user in users]
        scores = {
            RECALL: with_uplifts(recall(users, day), uplifts or {}),
            RETURN_VALUE: return_value_rows(*values, day=day),
        }
        at = at or MORNING + (day - MONDAY)
        return publish(scores, day, self.run_id, given=given, at=at, backfill=backfill)

    @property
    def rows(self):
        return {row["user_id"]: row for row in self.database.rows("select * from sms.audience")}

    @property
    def codes(self):
        return {user: row["suppression_reason"] for user, row in self.rows.items()}

    def withdraw(self, kind, *, user=None, phone_hmac=None, at=MORNING - timedelta(days=10)):
        self.database.execute(
            "insert into rekindle.withdrawal (kind, user_id, phone_hmac, at, source_id) values (%s, %s, %s, %s, %s)",
            *(kind, user, phone_hmac, at, f"{user} {phone_hmac} {at}"),
        )

    def assign(self, user, campaign, at: datetime):
        """Assign a user to a campaign, without asking anybody."""
        self.database.execute(
            "insert into rekindle.campaign values (%s, %s, %s, '{}', '{}', '') on conflict do nothing",
            *(campaign, MONDAY, at),
        )
        self.database.execute(
            "insert into rekindle.assignment (campaign_id, user_id, assigned_at, arm, is_control, probability, rank,"
            " return_probability) values (%s, %s, %s, 'control', true, .5, 1, .1)",
            *(campaign, user, at),
        )


@pytest.fixture
def audience(database, monkeypatch):
    """An audience of whom nobody is held out, unless a test says otherwise."""
    monkeypatch.setenv("REKINDLE_HOLDOUT_SHARE", "0")
    settings.cache_clear()
    return Audience(database)
