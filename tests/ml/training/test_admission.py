"""Who may score of what was fitted on a small world; the champion's files are those of a model that was fitted before."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from ml import registry
from ml.model.learners import LEARNERS
from ml.training import admission, fitting, gate, incumbent, samples, trainer
from ml.training.fitting import Refitted
from rekindle.errors import InputError


@pytest.fixture(scope="module")
def split(recall_sample, business):
    return samples.split(recall_sample, business)


@pytest.fixture
def in_office(monkeypatch):
    """Let a scorer be that of the champion."""

    def one(scorer) -> None:
        champion = SimpleNamespace(version="7", trained_day=date(2001, 4, 1), gate=1)
        monkeypatch.setattr(registry, "find_champion", lambda _product: champion)
        monkeypatch.setattr(registry, "files_of", lambda _version: scorer.to_files())

    return one


@pytest.fixture(scope="module")
def refitted(recall, recall_sample, recall_fitted, split, business):
    days = samples.refit_days(recall_sample, split, business)
    return fitting.refit(recall, recall_sample, recall_fitted.scorer, days)


@pytest.fixture
def found(recall, recall_sample, recall_fitted, split):
    return lambda: incumbent.find(recall, recall_sample, split, recall_fitted)


def named(scorer, name: str):
    """The same model under the name of another recipe: only the names count, the rest is fitted anew."""
    (forecast,) = scorer.forecasts
    return replace(scorer, forecasts=(replace(forecast, candidate=name),))


@pytest.fixture
def admitted(recall, recall_sample, split):
    return lambda fitted, its: admission.judged(recall, recall_sample, split, fitted, its)


def test_without_a_champion_the_first_model_goes_by_the_naive_rule(recall_fitted, admitted):
    fitted, verdict = admitted(recall_fitted, None)

    assert (verdict.passed, verdict.route, fitted) == (True, "first", recall_fitted)


def test_the_champions_recipe_is_fitted_on_the_challengers_days(recall_fitted, in_office, found):
    """Whatever the champion has learnt since: the same recipe on the same days says the same."""
    in_office(recall_fitted.scorer)
    its = found()

    assert incumbent.made_by(its.scorer) == incumbent.made_by(recall_fitted.scorer)
    assert np.array_equal(its.judged.raw, recall_fitted.longest.raw)


def test_the_same_recipe_is_a_refresh(recall_fitted, in_office, found, admitted):
    in_office(recall_fitted.scorer)
    fitted, verdict = admitted(recall_fitted, found())

    assert (verdict.passed, verdict.route, fitted) == (True, "refresh", recall_fitted)
    assert {"non_inferior", "segments", "ranking", "log_loss", "predicted_over_actual"} == {
        c.name for c in verdict.criteria
    }


def test_where_another_recipe_is_not_better_the_champions_goes_on_newer_days(
    recall_fitted, in_office, found, admitted, monkeypatch
):
    in_office(recall_fitted.scorer)
    # Another learner that says nearly the same.
    name = next(name for name in LEARNERS if name not in incumbent.made_by(recall_fitted.scorer))
    (forecast,) = recall_fitted.scorer.forecasts
    nearly = replace(recall_fitted.scorer, forecasts=(replace(forecast, candidate=name),))
    noise = 0.01 * np.random.default_rng(0).normal(size=len(recall_fitted.longest.raw))
    rows = replace(recall_fitted.longest, raw=recall_fitted.longest.raw + noise)
    challenger = replace(recall_fitted, scorer=nearly, judged={"1_7": rows})
    monkeypatch.setattr(admission, "complexity", lambda *_given: (0,))

    fitted, verdict = admitted(challenger, found())

    assert (verdict.passed, verdict.route) == (True, "refresh")
    assert incumbent.made_by(fitted.scorer) == incumbent.made_by(recall_fitted.scorer)
    assert np.array_equal(fitted.longest.raw, recall_fitted.longest.raw)
    assert verdict.why.startswith(f"{name} did not pass: log_loss is not surely better")
    assert "the champion's recipe" in verdict.why


def test_a_naive_rule_in_office_keeps_no_model_out(recall_fitted, in_office, found, admitted):
    """The first model of a small business, that began with a rule."""
    in_office(recall_fitted.rule)
    its = found()
    _, verdict = admitted(recall_fitted, its)

    assert its.is_rule and its.model is None and its.scorer is not None
    assert (verdict.passed, verdict.route) == (True, "first")


def test_a_recipe_that_cannot_be_fitted_is_named_and_keeps_nobody_out(
    recall_fitted, in_office, found, admitted, monkeypatch
):
    in_office(named(recall_fitted.scorer, "oracle"))
    gone = found()
    monkeypatch.setattr(
        registry, "files_of", lambda _v: (_ for _ in ()).throw(InputError("It is gone.", todo="Look.", code="no_gate"))
    )

    assert gone.why_not == "No learner oracle is here any more"
    assert found().why_not == "It is gone." and found().is_unreadable and not gone.is_unreadable
    assert admitted(recall_fitted, gone)[1].route == "first"
    assert (
        "cannot be judged on these rows. No learner oracle"
        in (incumbent.beside("probability", gone, recall_fitted.longest, recall_fitted.primary)["why_not"])
    )


def unreadable(has_verdict: bool) -> incumbent.Incumbent:
    version = SimpleNamespace(version="7", gate=1 if has_verdict else None)
    return incumbent.Incumbent(version, None, None, is_rule=False, why_not="A byte is another.")


@pytest.mark.parametrize("passes", [True, False])
def test_a_champion_that_cannot_be_read_does_not_lower_the_bar(recall_fitted, admitted, monkeypatch, passes):
    """Neither a model nor, in its place, a rule gets into office without a person."""
    bad = replace(recall_fitted.longest, raw=-recall_fitted.longest.raw)
    lost = replace(
        recall_fitted, judged={"1_7": bad}, evaluations={"1_7": fitting.evaluation.evaluate("probability", bad)}
    )
    _, verdict = admitted(recall_fitted if passes else lost, unreadable(has_verdict=True))
    monkeypatch.setattr(registry, "succeed", lambda *_given, **named: named["unless"])
    monkeypatch.setattr(trainer, "settings", lambda: SimpleNamespace(promotion="auto"))
    why_not = trainer.succeeds(SimpleNamespace(name="recall"), SimpleNamespace(version="8"), verdict, "a run")

    assert (verdict.passed, verdict.route, verdict.is_rule) == (True, gate.UNREADABLE, not passes)
    assert verdict.why.startswith("version 7, the champion, cannot be read and is compared with nothing: ")
    assert trainer.waits(why_not) and "where the champion cannot be read" in why_not


def test_an_alias_without_a_verdict_keeps_nobody_from_office(recall_fitted, admitted):
    assert admitted(recall_fitted, unreadable(has_verdict=False))[1].route == "first"


def test_where_no_candidate_beats_the_rule_the_rule_scores_whoever_is_in_office(
    recall_fitted, in_office, found, admitted
):
    in_office(recall_fitted.scorer)
    bad = replace(recall_fitted.longest, raw=-recall_fitted.longest.raw)
    its = replace(found(), scorer=None)
    challenger = replace(
        recall_fitted, judged={"1_7": bad}, evaluations={"1_7": fitting.evaluation.evaluate("probability", bad)}
    )
    fitted, verdict = admitted(challenger, its)

    assert (verdict.passed, verdict.route, fitted.has_model) == (True, "rule", False)


def test_a_recipe_is_simpler_by_its_place_among_the_candidates(recall, recall_fitted):
    def of(*names):
        forecast = recall_fitted.scorer.forecasts[0]
        scorer = replace(recall_fitted.scorer, forecasts=tuple(replace(forecast, candidate=name) for name in names))
        return incumbent.complexity(recall.candidates, scorer)

    assert of("recency", *recall.candidates) == (-1, *range(len(recall.candidates)))
    left_out = next(name for name in LEARNERS if name not in recall.candidates)
    assert of(left_out) == (len(recall.candidates),)


@pytest.fixture
def challenge_of(recall_fitted, in_office, found, admitted, monkeypatch):
    """What the gate is asked of a challenger beside the champion's recipe."""
    in_office(recall_fitted.scorer)
    asked, passed = [], gate.Verdict(passed=True, why="a test")
    monkeypatch.setattr(gate, "judge_challenger", lambda _evaluation, challenge: asked.append(challenge) or passed)

    def one(fitted) -> gate.Challenge:
        admitted(fitted, found())
        (challenge,) = asked
        return challenge

    return one


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        ({"parts": ()}, True),
        ({"history_weeks": 26}, False),
        ({"half_life_weeks": 8}, False),
        ({"hyper": {"num_leaves": 4}}, False),
        ({"candidate": "another"}, False),
    ],
)
def test_another_choice_is_another_recipe_and_another_number_of_trees_is_not(
    recall_fitted, challenge_of, changed, is_same
):
    (forecast,) = recall_fitted.scorer.forecasts
    other = replace(recall_fitted, scorer=replace(recall_fitted.scorer, forecasts=(replace(forecast, **changed),)))

    assert challenge_of(other).is_same_recipe == is_same


@pytest.mark.parametrize(
    ("complexities", "is_simpler"),
    [([(0, 0), (0, 1)], True), ([(0, 1), (1, 0)], False), ([(0, 1), (0, 1)], False), ([(1, 1), (0, 1)], False)],
)
def test_a_recipe_is_simpler_where_it_is_for_a_target_and_more_complex_for_none(
    recall_fitted, challenge_of, monkeypatch, complexities, is_simpler
):
    """The challenger's first, by target, then the champion's."""
    told = iter(complexities)
    monkeypatch.setattr(admission, "complexity", lambda *_given: next(told))

    assert challenge_of(recall_fitted).is_simpler == is_simpler


def test_segments_name_each_row_once():
    rows = pa.table(
        {
            "recency_days": pa.array([8, 15, 90, None], pa.int32()),
            "channel": pa.array(["ads", None, "ads", "shop"]),
        }
    )

    found = {name: values.tolist() for name, values in admission.segments_of(rows).items()}

    assert found == {
        "recency_days": ["from 0", "from 15", "from 31", "unknown"],
        "channel": ["ads", "unknown", "ads", "shop"],
    }


def test_a_refit_that_says_something_else_does_not_score_but_its_days_calibrate_what_does(
    recall, recall_sample, recall_fitted, split, refitted
):
    (forecast,) = refitted.scorer.forecasts
    rule = replace(recall_fitted.rule.forecasts[0], calibration=forecast.calibration)
    strange = replace(refitted, scorer=replace(refitted.scorer, forecasts=(rule,)))
    days = {"active_1_7": split.test}

    instead, criteria = admission.as_judged(recall, recall_sample, split, recall_fitted, strange)

    assert instead.days is None and instead.calibrated_by == split.test
    assert instead.scorer == fitting.recalibrated(recall, recall_sample, recall_fitted.scorer, days)
    assert [f.parts for f in instead.scorer.forecasts] == [f.parts for f in recall_fitted.scorer.forecasts]
    assert "ranks the test days like the judged one to" in instead.why_not
    assert instead.why_not.endswith("what was judged scores, calibrated by the test days")
    assert "served_rank" in {c.name for c in criteria if not c.passed}


def test_a_refit_that_says_about_the_same_scores(recall, recall_sample, recall_fitted, split, refitted):
    same = replace(refitted, scorer=recall_fitted.scorer)
    admitted, criteria = admission.as_judged(recall, recall_sample, split, recall_fitted, same)

    assert admitted == same
    assert [c.name for c in criteria if c.passed] == ["served_rank", "served_mean"]


def test_what_was_not_fitted_again_is_what_was_judged(recall, recall_sample, recall_fitted, split):
    kept = Refitted(recall_fitted.scorer, None, "a reason")

    assert admission.as_judged(recall, recall_sample, split, recall_fitted, kept) == (kept, ())
