"""What would be published, held against what is: by a reference in plain Python, and without a trace."""

from __future__ import annotations

from datetime import date, timedelta
from statistics import mean

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.publishing import comparing, publish, take_turn
from tests.rekindle.publishing.test_publishing import MONDAY, RECALL, recall, recall_rows, what_tools_see

TUESDAY = MONDAY + timedelta(1)


@pytest.fixture
def compared(database):
    """Publish scores of a day in a transaction that is undone, and say how tables would change."""
    run_id = records.start_run("daily", Days.one(MONDAY))

    def do(scores, day: date = MONDAY):
        def remember(connection):
            take_turn(connection)
            return comparing.remember(connection, day)

        with postgres.undone():
            kept = postgres.transact(remember)
            publish({RECALL: scores}, day, run_id)
            found = postgres.transact(lambda connection: comparing.changes(connection, kept, day))
        return {change.table: change for change in found}

    do.database, do.run_id = database, run_id
    return do


def chances(values):
    return recall_rows(
        *[
            {"user_id": user, "return_probability": p / 1000, "raw_score": n + p}
            for n, (user, p) in enumerate(values.items())
        ]
    )


def test_a_first_publish_is_all_new_and_is_none(compared):
    changes = compared(recall(["u1", "u2"]))

    (scores, audience) = (changes[table] for table in ("sms.recall_scores", "sms.audience"))
    assert (scores.compared_with, scores.rows_now, scores.rows_then, scores.appear) == (None, 0, 2, 2)
    assert scores.figures == ()
    assert audience.codes == {"no_consent": (0, 2)}
    assert compared.database.rows("select 1 from sms.recall_scores") == []


def test_the_same_scores_change_nothing(compared):
    publish({RECALL: recall(["u1", "u2", "u3"])}, MONDAY, compared.run_id)
    (scores, audience) = (compared(recall(["u1", "u2", "u3"]))[t] for t in ("sms.recall_scores", "sms.audience"))

    assert (scores.compared_with, scores.rows_now, scores.rows_then) == (MONDAY, 3, 3)
    assert (scores.appear, scores.disappear, scores.changed, audience.changed) == (0, 0, 0, 0)
    (figure,) = scores.figures
    assert (figure.users, figure.changed, figure.largest_difference) == (3, 0, 0)


def test_a_day_that_was_never_published_is_held_against_the_current_rows(compared):
    publish({RECALL: recall(["u1", "u2"])}, MONDAY, compared.run_id)
    scores = compared(recall(["u2", "u3"], TUESDAY), TUESDAY)["sms.recall_scores"]

    assert (scores.compared_with, scores.rows_now, scores.rows_then) == (MONDAY, 2, 2)
    assert (scores.appear, scores.disappear) == (1, 1)


SCORES = st.dictionaries(st.sampled_from([f"u{n}" for n in range(9)]), st.integers(1, 8), min_size=2)


@hypothesis_settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(now=SCORES, then=SCORES)
def test_differences_are_those_of_plain_python(compared, now, then):
    compared.database.clear()
    records.start_run("daily", Days.one(MONDAY), run_id=compared.run_id)
    # A constant is refused.
    now, then = ({**scores, "low": 0, "high": 9} for scores in (now, then))
    publish({RECALL: chances(now)}, MONDAY, compared.run_id)
    before = what_tools_see(compared.database)
    log = compared.database.rows("select * from rekindle.publish_log")

    scores = compared(chances(then))["sms.recall_scores"]

    both = sorted(now.keys() & then.keys())
    (figure,) = scores.figures
    differences = [abs(now[user] - then[user]) / 1000 for user in both]
    assert (scores.rows_now, scores.rows_then) == (len(now), len(then))
    assert (scores.appear, scores.disappear) == (len(then.keys() - now.keys()), len(now.keys() - then.keys()))
    assert (figure.users, figure.changed) == (len(both), sum(d > 0 for d in differences))
    assert scores.changed == figure.changed
    assert figure.mean_difference == pytest.approx(mean(differences))
    assert figure.largest_difference == pytest.approx(max(differences))
    expected = spearmanr([now[user] for user in both], [then[user] for user in both]).statistic
    assert figure.rank_correlation == pytest.approx(float(np.asarray(expected)))
    assert what_tools_see(compared.database) == before
    assert compared.database.rows("select * from rekindle.publish_log") == log
