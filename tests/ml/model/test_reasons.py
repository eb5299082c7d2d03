from decimal import Decimal

import pytest

from ml.model.reasons import TEXT_LIMIT, words
from rekindle.warehouse import contracts

PHRASES = contracts.load("features.user").phrases


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("recency_days", 23, "last active 23 days ago"),
        ("recency_days", 1, "last active 1 day ago"),
        ("recency_days", None, "not active within 365 days"),
        ("tenure_days", 400, "registered 400 days ago"),
        ("active_days_28d", 3, "3 active days within 28 days"),
        ("active_days_prior_28d", 1, "1 active day in the 28 days before the last 28"),
        ("active_days_change_28d", -2, "2 active days fewer than in the 28 days before"),
        ("orders_1d", 1, "1 order within 1 day"),
        ("orders_28d", 3, "3 orders within 28 days"),
        ("sale_amount_90d", Decimal("120.50"), "spent 120.50 within 90 days"),
        ("sale_amount_change_28d", Decimal("-20.00"), "spent 20.00 less than in the 28 days before"),
        ("refund_amount_7d", Decimal("5.00"), "refunds of 5.00 within 7 days"),
        ("event_counts_28d:page_view", 12.0, "12 page_view events within 28 days"),
        ("event_counts_1d:{value} {key} {w}", 1.0, "1 {value} {key} {w} event within 1 day"),
        ("event_counts_28d", 4.0, "4 other events within 28 days"),
        ("distinct_categories_7d", 1, "1 different category within 7 days"),
        ("distinct_items_7d", 5, "5 different items within 7 days"),
        ("gap_mean_days", 6.25, "usually active every 6.2 days"),
        ("gap_mean_days", None, "too few active days for a usual gap"),
        ("gap_spread_days", 3.0, "gaps between active days vary by 3 days"),
        ("current_gap_ratio", 2.14, "gap is 2.1 times the usual one"),
        ("country", "AT", "country: AT"),
        ("country", None, "country: unknown"),
        ("attributes:age", "45-54", "age: 45-54"),
        ("attributes:home_ownership", None, "home ownership: unknown"),
        ("a_feature_of_tomorrow", 1.5, "a feature of tomorrow: 1.5"),
        ("a_feature_of_tomorrow", float("nan"), "a feature of tomorrow: nan"),
    ],
)
def test_says_a_feature_in_plain_words_with_its_number(feature, value, said):
    assert words(PHRASES, feature, value) == said


def test_every_number_of_the_features_has_words_of_its_own():
    """A column that falls through would be shown by its technical name."""
    plain = {"country", "channel", "attributes", "day", "user_id", "registered_on"}
    names = [c.name for c in contracts.load("features.user").columns if c.name not in plain]

    assert names
    assert not [name for name in names if words(PHRASES, name, 2).startswith(name.replace("_", " "))]


def test_a_long_text_is_cut_and_nothing_is_escaped_twice():
    """Pages escape; a reason is text."""
    assert words(PHRASES, "attributes:note", "x" * 10_000) == f"note: {'x' * (TEXT_LIMIT - 1)}…"
    assert words(PHRASES, "event_counts_7d:a\nb<script>", 2) == "2 a\nb<script> events within 7 days"
