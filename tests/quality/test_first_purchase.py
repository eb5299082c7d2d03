"""The check of first purchases on few users: what it says of new users is what the business lived, and no fold knows itself."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.objectives.figures import auc
from quality.checks import first_purchase
from quality.newcomers import Newcomers, newcomers
from rekindle.days import Days

DAYS = Days.between(date(2024, 1, 1), date(2024, 3, 20))


@pytest.fixture(scope="module")
def found() -> Newcomers:
    return newcomers(1_500, DAYS)


def test_new_users_are_new_and_what_is_known_of_them_fits_together(found):
    rows = found.sample.rows.to_pydict()

    assert {day.weekday() for day in rows["day"]} == {6}
    assert max(rows["day"]) <= DAYS.last
    assert min(rows["tenure_days"]) >= 0 and max(rows["tenure_days"]) < 30
    for recency, tenure, active, counts, items in zip(
        *(
            rows[name]
            for name in ("recency_days", "tenure_days", "active_days_28d", "event_counts_28d", "distinct_items_28d")
        ),
        strict=True,
    ):
        events = dict(counts)
        assert recency <= tenure, "who registers is active on that day"
        assert (active > 0) == (recency < 28) == ("visit" in events)
        assert active <= events.get("visit", 0) or not active
        assert items <= events.get("click", 0) <= events.get("impression", 0)


def test_so_many_buy_as_the_truth_says(found):
    """Within four standard errors, also of those with the higher chances."""
    bought = found.sample.rows["vip_purchase_1_30"].to_numpy()
    for some in (slice(None), found.chance > np.median(found.chance)):
        users = found.sample.rows["user_id"].to_numpy()[some]
        # A user's rows tell of nearly the same days: they count as one.
        error = np.sqrt((found.chance[some] * (1 - found.chance[some])).mean() / len(np.unique(users)))

        assert abs(bought[some].mean() - found.chance[some].mean()) < 4 * error


def test_what_folds_tell_of_rows_ranks_them_by_what_is_known_and_by_nothing_else():
    draw = np.random.default_rng(0)
    x, noise = draw.normal(size=(2, 1_200))
    outcome = (draw.random(1_200) < 1 / (1 + np.exp(1.5 - 1.5 * x))).astype(float)
    day = pa.repeat(DAYS.last, len(x))

    told = first_purchase.out_of_fold(pa.table({"x": x, "noise": noise, "day": day}), outcome, folds=3)
    by_noise = first_purchase.out_of_fold(pa.table({"noise": noise, "day": day}), outcome, folds=3)

    assert told.min() > 0 and told.max() == 1
    assert auc(outcome, told) == pytest.approx(auc(outcome, x), abs=0.03)
    assert auc(outcome, by_noise) == pytest.approx(0.5, abs=0.06)
