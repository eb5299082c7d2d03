"""An audience on a real Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.rekindle.permission.rows import MONDAY, MORNING
from tests.rekindle.publishing.test_publishing import RECALL, RETURN_VALUE, recall, return_value_rows


class Audience:
    """Publishes days, and reads what tools would."""

    def __init__(self, database):
        self.database = database
        self.run_id = records.start_run("daily", Days.one(MONDAY))

    def publish(self, users, given=None, *, day=MONDAY, at=None, worth=None, backfill=False):
        """Publish scores of users whose return is worth a hundred, on the morning after the day."""
        values = [{"user_id": user, "value_if_returns": (worth or {}).get(user, 100)} for user in users]
        scores = {RECALL: recall(users, day), RETURN_VALUE: return_value_rows(*values, day=day)}
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
