"""What ads caused, from counts of users: against the truth of many made-up weeks, and nothing of a few people."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from statistics import fmean

import numpy as np
import pytest

from rekindle import groups, postgres, records
from rekindle.bidding.results import of_rows
from rekindle.records import AdResult

DAY = date(2024, 5, 1)


def row(strategy: str, users: int, activated: int, spend: str = "0", requests: int = 1000) -> AdResult:
    return AdResult(DAY, strategy, requests, requests // 2, requests // 100, users, activated, Decimal(spend))


def test_what_is_caused_is_the_difference_to_the_control_group_of_the_same_strategy():
    found = {
        one.name: one
        for one in of_rows(
            [
                row("recall_value", 2000, 500, "300.00"),
                row("recall_value_control", 400, 60),
                row("acquisition_value", 3000, 60, "900.00"),
                row("acquisition_value_control", 300, 6),
            ]
        )
    }
    recall, acquisition = found["recall_value"].caused, found["acquisition_value"].caused
    error = (0.25 * 0.75 / 2000 + 0.15 * 0.85 / 400) ** 0.5

    assert recall and acquisition
    assert (recall.control, recall.per_user, recall.activations) == (
        "recall_value_control",
        pytest.approx(0.1),
        pytest.approx(200),
    )
    assert recall.per_user_interval == pytest.approx((0.1 - 1.964 * error, 0.1 + 1.964 * error), abs=1e-4)
    assert found["recall_value"].per_activation == pytest.approx(1.5)
    assert recall.verdict == "more come back"
    # Whose interval holds 0 has no price.
    assert acquisition.verdict == "cannot be told from none" and found["acquisition_value"].per_activation is None
    assert found["recall_value_control"].caused is None


def test_intervals_hold_what_they_promise():
    """Of 400 draws with an effect of .04, 95 of 100 intervals contain it."""
    draw, held = np.random.default_rng(3), []
    for _ in range(400):
        rows = [row("s", 1500, int(draw.binomial(1500, 0.14))), row("s_control", 400, int(draw.binomial(400, 0.1)))]
        caused = of_rows(rows)[0].caused
        assert caused
        held.append(caused.per_user_interval[0] <= 0.04 <= caused.per_user_interval[1])

    assert fmean(held) == pytest.approx(0.95, abs=0.035)


def test_a_strategy_without_a_control_group_of_its_own_is_held_against_the_common_one():
    common, flat, linear = of_rows([row("flat", 100, 30), row("linear", 100, 20), row("control", 100, 10)])

    assert flat.caused and flat.caused.control == "control"
    assert linear.caused and linear.caused.control == "control"
    assert common.caused is None
    assert of_rows([row("flat", 100, 30)])[0].caused is None


def test_of_a_few_people_nothing_is_said():
    few = groups.SMALLEST - 1
    (alone,) = of_rows([row("flat", few, 3)])
    _, flat = of_rows([row("control", few, 1), row("flat", 100, 30)])

    assert alone.rate is None and alone.caused is None
    assert flat.rate == 0.3 and flat.caused is None


def test_where_nobody_came_back_nothing_is_known_of_the_error():
    _, flat = of_rows([row("control", 100, 0), row("flat", 100, 0, "5")])

    assert flat.caused and flat.caused.verdict == "cannot be told from none" and flat.per_activation is None


@pytest.mark.usefixtures("database")
def test_what_the_mart_keeps_is_read_as_it_was_written():
    """The columns are those of the mart."""
    one = row("flat", 10, 3, "1.500000")
    columns = list(AdResult.__dataclass_fields__)
    postgres.transact(
        lambda c: c.execute(
            f"insert into rekindle.ad_result ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})",
            [getattr(one, column) for column in columns],
        )
    )

    assert records.ad_results(DAY) == [one]
    assert records.last_ad_results() == DAY
    assert records.ad_results(date(2024, 5, 2)) == []
