from decimal import Decimal

import pytest

from ml.model.reasons import TEXT_LIMIT, Wording
from rekindle.warehouse import contracts
from tests.ml.conftest import WORDING


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("recency_days", 23, "last active 23 days ago"),
        ("recency_days", 1, "last active 1 day ago"),
        ("recency_days", None, "never active"),
        ("tenure_days", 400, "registered 400 days ago"),
        ("active_days_28d", 3, "3 active days within 28 days"),
        ("active_days_prior_28d", 1, "1 active day in the 28 days before the last 28"),
        ("active_days_change_28d", -2, "2 active days fewer than in the 28 days before"),
        ("orders_1d", 1, "1 order within 1 day"),
        ("orders_28d", 3, "3 orders within 28 days"),
        ("sale_amount_90d", Decimal("120.50"), "spent 120.50 EUR within 90 days"),
        ("sale_amount_change_28d", Decimal("-20.00"), "spent 20.00 EUR less than in the 28 days before"),
        ("refund_amount_7d", Decimal("5.00"), "refunds of 5.00 EUR within 7 days"),
        ("sessions_28d", 1, "1 session within 28 days"),
        ("stay_seconds_28d", 1, "stayed for 1 second in all within 28 days"),
        ("stay_seconds_28d", 90, "stayed for 1.5 minutes in all within 28 days"),
        ("stay_seconds_90d", 7200.0, "stayed for 2 hours in all within 90 days"),
        ("activities_night_90d", 2, "2 activities from 0 to 6 o'clock within 90 days"),
        ("active_weekend_days_90d", 3, "3 active days at weekends within 90 days"),
        ("event_counts_28d:page_view", 12.0, "12 page view events within 28 days"),
        ("event_counts_1d:{value} {key} {w}", 1.0, "1 {value} {key} {w} event within 1 day"),
        ("event_counts_28d", 4.0, "4 other events within 28 days"),
        ("distinct_categories_7d", 1, "1 different category within 7 days"),
        ("distinct_items_7d", 5, "5 different items within 7 days"),
        ("gap_mean_days", 6.25, "usually active every 6.2 days"),
        ("gap_mean_days", None, "too few active days for a usual gap"),
        ("gap_spread_days", 3.0, "gaps between active days vary by 3 days"),
        ("current_gap_ratio", 2.14, "away 2.1 times as long as usual"),
        ("country", "AT", "country is AT"),
        ("country", None, "country is not known"),
        ("channel", "referral", "came by referral"),
        ("attributes:{w}", "{value} {key}", "{w} is {value} {key}"),
        ("attributes:age", "45-54", "age is 45-54"),
        ("attributes:home_ownership", None, "home ownership is not known"),
        ("a_feature_of_tomorrow", 1.5, "a feature of tomorrow is 1.5"),
        ("a_feature_of_tomorrow", float("nan"), "a feature of tomorrow is nan"),
    ],
)
def test_says_a_feature_in_plain_words_with_its_number(feature, value, said):
    assert WORDING.words(feature, value) == said


def test_every_feature_has_words_of_its_own():
    """A column that falls through would be shown by its technical name."""
    plain = {"day", "user_id"}
    columns = [c for c in contracts.load("features.user").columns if not c.type.startswith(("array", "date"))]
    names = [c.name for c in columns if c.name not in plain]

    assert names
    assert not set(names) - WORDING.phrases.keys()


def test_a_long_text_is_cut_and_nothing_is_escaped_twice():
    """Pages escape; a reason is text."""
    assert WORDING.words("attributes:note", "x" * 10_000) == f"note is {'x' * (TEXT_LIMIT - 1)}…"
    assert WORDING.words("event_counts_7d:a\nb<script>", 2) == "2 a\nb<script> events within 7 days"


@pytest.mark.parametrize(
    ("value", "contribution", "usual", "said"),
    [
        (12, -0.42, 4.0, "last active 12 days ago, usually every 4 days: lowers the chance"),
        (12, 0.42, 30.5, "last active 12 days ago, usually every 30.5 days: raises the chance"),
        (12, -0.42, None, "last active 12 days ago: lowers the chance"),
        (None, -0.42, 4.0, "never active: lowers the chance"),
    ],
)
def test_a_reason_says_what_is_usual_and_in_which_direction_it_counts(value, contribution, usual, said):
    assert WORDING.reason("recency_days", value, contribution, usual) == said


def test_what_stands_beside_a_value_is_a_column_that_has_words():
    for table in contracts.tables():
        phrases = contracts.load(table).phrases
        assert {words.beside[0] for words in phrases.values() if words.beside} <= phrases.keys()


def test_without_a_currency_an_amount_stands_alone():
    assert Wording(WORDING.phrases).reason("sale_amount_7d", 1, 1) == "spent 1.00 within 7 days: raises the score"
