"""The promotion page, from real figures; that its links open was looked at in a browser."""

import json
from dataclasses import replace
from datetime import date

import pytest

from ml.objectives import OBJECTIVES, pictures
from ml.products import product_named
from ml.registry import Trained, page
from ml.training import gate

PLACE = page.Place(product_named("ltv"), "7", "3", "abc")
BESIDE = {
    "version": "6",
    "trained_day": "2001-08-01",
    "this": {"gini": {"value": 0.8, "low": 0.7, "high": 0.9}},
    "champion": {"gini": {"value": 0.75, "low": 0.65, "high": 0.85}},
    "difference": {"gini": {"value": 0.05, "low": -0.01, "high": 0.11}},
}


@pytest.fixture(scope="module")
def trained(ltv_fitted) -> Trained:
    return Trained(
        day=date(2001, 9, 1),
        run_id="a run",
        scorer=ltv_fitted.scorer,
        verdict=gate.Verdict(passed=True, why="it ranks better"),
        params={"day": "2001-09-01", "rows": "8500", "snapshot.features.user": "123", "test_days": "2001-08-05"},
        metrics={},
        figures=json.loads(json.dumps({h: result.to_json() for h, result in ltv_fitted.evaluations.items()})),
        sample_digest="d",
        champion=BESIDE,
        documents={
            f"pictures/{name}": text for name, text in pictures.drawn(OBJECTIVES["amount"], ltv_fitted.longest).items()
        },
        tags={},
    )


def cells(told: str, figure: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in told.splitlines() if line[:1] == "|"]
    return [line for line in lines if line[0] == figure]


def test_the_verdict_comes_first_and_the_gates_horizon_before_the_others(trained):
    told = page.whole(trained, PLACE)

    assert told.startswith("## The gate let this version pass\n\n**Why**: it ranks better.")
    assert told.index("Days 1 to 90") < told.index("Days 1 to 30")


def test_a_naive_rule_in_the_place_of_a_model_is_called_so(trained):
    told = page.whole(replace(trained, verdict=gate.Verdict(passed=True, why="it lost", is_rule=True)), PLACE)

    assert told.startswith("## The gate refused the model; this is the naive rule")


def test_figures_stand_beside_naive_rule_and_champion_with_their_intervals(trained, ltv_fitted):
    told, found = page.whole(trained, PLACE), ltv_fitted.primary.naive["gini"]
    of_model, *_, of_champion = cells(told, "gini")

    assert of_model[2] == f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    assert of_champion == ["gini", "0.800 (0.700 to 0.900)", "0.750 (0.650 to 0.850)", "0.050 (-0.010 to 0.110)"]
    assert cells(told, "predicted / actual")
    assert (
        "That is the recipe of version 6, which was trained as of 2001-08-01, fitted on the same training days" in told
    )


def test_pictures_are_links_within_mlflows_pages(trained):
    told = page.whole(trained, PLACE)

    for name in ("gain", "deciles"):
        assert f"[{name}](#/experiments/3/runs/abc/artifacts/pictures/{name}.svg)" in told


def test_the_page_says_what_to_do_here_and_how_to_go_back(trained):
    told = page.whole(trained, PLACE)

    assert "`rekindle promote ltv 7`" in told
    assert "`rekindle rollback ltv`" in told
    assert "with `promotion: manual` it waits for you" in told
    assert "*Promote model*, above, to `rekindle_ltv_champion`, and there the alias `champion`" in told


def test_a_refused_version_is_not_to_be_promoted(trained):
    told = page.whole(replace(trained, verdict=gate.Verdict(passed=False, why="it loses")), PLACE)

    assert told.startswith("## The gate refused this version\n\n**Why**: it loses.")
    assert "rekindle promote" not in told


@pytest.mark.parametrize("length", [10, 2000, 9000])
def test_the_description_fits_into_mlflows_database(trained, length):
    """The page is whole among the training's files, and the description says where."""
    told = page.description(replace(trained, verdict=gate.Verdict(passed=True, why="w" * length)), PLACE)

    assert len(told) <= page.MAX_CHARACTERS
    assert "[this page, whole](#/experiments/3/runs/abc/artifacts/page.md)" in told
    assert "### How to go back" in told
