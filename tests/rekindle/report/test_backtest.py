from copy import deepcopy

import pytest

from rekindle.report import backtest


def figure(value: float, spread: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread}


BLOCK = {
    "days": {"train": {"active": ["2001-01-07"]}, "validation": {"active": ["2001-02-04"]}, "test": ["2001-03-04"]},
    "rows": 300,
    "rate": 0.25,
    "model": "logistic",
    "to_beat": "recency",
    "contenders": {
        name: {"auc": figure(0.8), "ece": figure(0.03), "lift_10": figure(2)} for name in ("logistic", "model", "to_beat")
    },
    "difference": {"auc": figure(0.05)},
    "noise": {"model": {"ece_floor": 0.02}},
}  # fmt: skip

TOLD = {
    "product": "recall",
    "title": "Chance that a <lapsed> user comes back",
    "day": "2001-03-14",
    "horizon_days": 7,
    "figure": "auc",
    "share_texted": 0.1,
    "candidates": ["logistic"],
    "blocks": [BLOCK],
    "refused_blocks": {"2001-04-01 to 2001-04-08": "There are 12 rows."},
    "blocks_better": 1,
    "mean": BLOCK["contenders"],
    "mean_noise": {"ece_floor": 0.02},
    "mean_differences": BLOCK["difference"],
    "mean_difference": figure(0.05),
    "segments": [
        {"says": "country", "segment": "<b>", "rows": 12, "positives": 3, "insufficient_data": True},
        {
            "says": "country", "segment": "AT", "rows": 288, "positives": 72, "insufficient_data": False, "rate": 0.25,
            "model": {"auc": figure(0.8), "predicted_over_actual": figure(1)}, "naive": {"auc": figure(0.7)},
            "difference": {"auc": figure(0.1)},
        },
    ],
    "segment_needs": {"rows": 200, "positives": 30},
}  # fmt: skip

PICTURE = """<?xml version="1.0"?><!DOCTYPE svg>
<svg height="288pt" viewBox="0 0 360 288" width="360pt"><metadata>of a file</metadata>
<defs><style type="text/css">*{stroke-linejoin: round}</style></defs><g id="axes_1"><path style="fill: #ffffff"/>
<path clip-path="url(#abc)" style="stroke: #1f4e79"/></g><clipPath id="abc"/></svg>"""


def test_says_what_was_tested_what_came_of_it_and_what_was_left_out():
    page = backtest.render(TOLD, {"roc.svg": PICTURE})

    assert "Better than the naive rule: AUC +0.050 on average, 95 % interval +0.040 to +0.060" in page
    assert "2001-04-01 to 2001-04-08 is left out: There are 12 rows." in page
    assert "lift at 10 %" in page
    assert "insufficient data" in page
    assert "&lt;lapsed&gt;" in page and "&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("value", "begins"),
    [(0.05, "Better than"), (0.0, "Cannot be told from"), (-0.05, "Loses to")],
)
def test_an_interval_that_holds_zero_is_no_victory(value: float, begins: str):
    assert backtest.finding({**TOLD, "mean_difference": figure(value)}).text.startswith(f"{begins} the naive rule: AUC")


def test_a_contender_without_a_mean_has_empty_cells():
    """One that could not be fitted in some block."""
    told = deepcopy(TOLD)
    told["mean"]["logistic"] = {}

    assert "All blocks, mean" in backtest.render(told, {})


def test_a_picture_stands_within_the_page_in_its_colours():
    drawn = backtest.inlined(PICTURE, "ROC")

    assert drawn.startswith('<svg class="chart"')
    assert all(gone not in drawn for gone in ("<style", "<metadata", "#ffffff", "#1f4e79", "<?xml"))
    assert 'id="roc-abc"' in drawn and "url(#roc-abc)" in drawn


def test_the_page_is_written_whole_where_it_is_asked_for(tmp_path):
    path = backtest.write(TOLD, {}, tmp_path / "new" / "page.html")

    assert path.read_text().startswith("<!doctype html>")
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]
