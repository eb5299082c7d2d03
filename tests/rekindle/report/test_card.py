from copy import deepcopy

import pytest

from rekindle.report import card

HOSTILE = '<script>alert("x")</script>'
POINT = {"value": "3.5", "rows": 400, "mean": -0.4, "low": -0.6, "high": -0.2}
GROUP = {
    "group": "AT", "rows": 900, "positives": 200, "insufficient_data": False, "actual": 0.22, "predicted": 0.31,
    "predicted_over_actual": {"value": 1.4, "low": 1.3, "high": 1.5}, "selected": 0.12, "selected_of_positives": 0.31,
}  # fmt: skip
INPUT = {"missing": 0.25, "missing_before": 0.0, "drift": 0.31, "limit": 0.2, "verdict": "moved"}

TOLD = {
    "product": "recall",
    "title": "Chance that a lapsed user comes back",
    "day": "2001-03-14",
    "use": ["Order users by `expected_gain`."],
    "limits": ["Not a price."],
    "moves": "the chance",
    "counted_in": "log-odds",
    "kept_out": ["attributes:age", "attributes:maritalStatus"],
    "protected_inputs": ["attributes:kids"],
    "explained_rows": 5000,
    "test_days": "2001-01-07 to 2001-02-04",
    "test_rows": 8000,
    "effects": [
        {
            "source": "recency_days", "size": 0.5, "share": 0.6, "is": "Days since.", "is_text": False,
            "points": [POINT, {**POINT, "value": "50", "mean": 0.9, "high": 1.1}], "missing": {**POINT, "value": "not known"},
        },
        {
            "source": f"attributes:{HOSTILE}", "size": 0.1, "share": 0.1, "is": "", "is_text": True,
            "points": [{**POINT, "value": HOSTILE}], "missing": None,
        },
    ],
    "selected": 0.1,
    "groups": [
        {"dimension": "country", "says": "country", "groups": [
            GROUP,
            {"group": HOSTILE, "rows": 12, "positives": 1, "insufficient_data": True},
        ]},
    ],
    "audit": {
        "before": "days before", "now": "days after",
        "inputs": [{"source": "recency_days", **INPUT}, {"source": "channel", **INPUT, "drift": 0.01, "verdict": "steady"}],
        "constant": ["refund_amount_7d"],
    },
    "champion": {"version": "4", "shared": [
        {"first": 1000, "rows": 3000, "insufficient_data": False, "share": 0.91, "by_chance": 0.33},
        {"first": 5000, "rows": 3000, "insufficient_data": True},
    ]},
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return card.render(TOLD, passed=True, why="it ranks better")


def test_says_what_it_is_for_what_it_decides_by_and_what_it_is_not(page):
    for text in (
        "The gate let it pass.",
        "Order users by <code>expected_gain</code>.",
        "Not a price.",
        "recency days",
        "Neither read nor shown, for they are protected attributes: age, maritalStatus.",
        "91.0% of the first 1,000",
        "not so many rows",
        "1 of 2 inputs have moved: recency days.",
        "The same in every row, and so not learnt from: refund amount 7d.",
    ):
        assert text in page


def test_a_protected_input_that_is_switched_on_is_said_aloud(page):
    assert "because conf/rekindle.yml switches them on: kids." in page


def test_what_a_source_delivered_is_text_and_nothing_is_fetched(page):
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_group_that_was_surely_promised_too_much_is_marked_and_a_small_one_is_not_told(page):
    assert '<td class="n warned">1.40</td>' in page
    assert "insufficient data" in page
    assert not card.is_off({"predicted_over_actual": {"value": 1.4, "low": 1.1, "high": 1.7}})


def test_every_picture_is_told_to_those_who_cannot_see_it(page):
    assert 'aria-label="What recency days adds, in log-odds: 3.5: \u22120.40, 50: +0.90, not known: \u22120.40.' in page


def test_a_refused_version_without_a_champion_beside_it_has_a_card_too():
    told = deepcopy(TOLD) | {"champion": {"why_not": "there was none"}, "effects": [], "groups": []}
    page = card.render(told, passed=False, why="it loses")

    assert "The gate refused it." in page
    assert page.count("Nothing to compare with: there was none.") == 1
    assert card.render(told, passed=False, why="it loses") == page


@pytest.mark.parametrize(("value", "said"), [(0.0312, "0.0312"), (12.345, "12.3"), (1040.2, "1,040")])
def test_means_have_as_many_digits_as_anybody_reads(value, said):
    assert card.mean(value) == said
