"""Drift of features, on a real Spark."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from rekindle.watching import judging
from spark_jobs.watching import counts

DAY = date(2024, 3, 10)
BEFORE = DAY - timedelta(7)


@pytest.fixture
def features(spark):
    """1,000 users on both days; of `spent` each third has none."""

    def make(change: float):
        rows = [
            (day, f"u{n}", n % 50, None if n % 3 == 0 else n * (change if day == DAY else 1.0), "DE")
            for day in (BEFORE, DAY)
            for n in range(1_000)
        ]
        return spark.createDataFrame(rows, "day date, user_id string, visits int, spent double, country string")

    return make


def test_rows_are_counted_by_the_tenths_of_the_day_before_and_who_has_no_value_apart(features):
    found = counts(features(1.0), DAY, BEFORE)

    assert set(found) == {"visits", "spent"}
    assert found["spent"][0] == found["spent"][1]
    assert found["spent"][0][-1] == 334
    assert sum(found["visits"][0]) == 1_000
    assert max(found["visits"][0]) <= 120, "tenths, as far as there are values"


def test_a_feature_that_moved_is_told_by_name(features):
    results = {r.rule: r.outcome for r in judging.drift(counts(features(2.0), DAY, BEFORE), BEFORE)}

    assert results == {"drift of visits": "passed", "drift of spent": "failed"}


def test_a_day_without_rows_has_nothing_to_be_compared(features):
    assert counts(features(1.0).where(f"day = date'{DAY}'"), DAY, BEFORE) == {}
