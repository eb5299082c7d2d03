"""Hyper-parameters that somebody stored: who is fitted with them, and that nothing is where there are none."""

from dataclasses import replace
from datetime import date

import pytest

from ml.model.learners import LEARNERS
from ml.model.learners.boosting import TREES
from ml.model.scorer import Scorer
from ml.training import fitting, incumbent, samples, tuned
from ml.training.tuned import DECLARED, Found, Tuned
from rekindle.errors import InputError

HYPER = {"num_leaves": 4, "learning_rate": 0.11}

FOUND = Found(day=date(2001, 5, 20), unseen_from=date(2001, 5, 1), trials=20, learners={"boosting": HYPER})


@pytest.fixture
def boosting(recall):
    return replace(recall, candidates=("boosting",))


def test_a_learner_is_fitted_again_with_the_hyper_parameters_that_it_was_judged_with(boosting, recall_sample, business):
    """By a refit, by the gate, and after the model was stored."""
    split = samples.split(recall_sample, business)
    found = fitting.fit(boosting, recall_sample, split, Tuned({"boosting": HYPER}))
    refitted = fitting.refit(
        boosting, recall_sample, found.scorer, samples.refit_days(recall_sample, split, business)
    ).scorer
    stored = Scorer.from_files(found.scorer.to_files())
    by_the_gate = fitting.fit_recipe(boosting, recall_sample, split, stored)

    for scorer in (found.scorer, refitted, stored, by_the_gate):
        assert scorer.forecasts[0].hyper == HYPER
        (text,) = [content for name, content in scorer.to_files().items() if name.endswith(".txt")]
        assert b"[num_leaves: 4]" in text
        assert b"[learning_rate: 0.11]" in text
    assert by_the_gate.to_files() == fitting.fit_recipe(boosting, recall_sample, split, found.scorer).to_files()
    assert found.contests[0].hyper == {"boosting": HYPER}


def test_other_hyper_parameters_are_another_recipe(boosting, recall_sample, business):
    split = samples.split(recall_sample, business)
    one, other = (
        fitting.fit(boosting, recall_sample, split, some).scorer for some in (DECLARED, Tuned({"boosting": HYPER}))
    )

    assert incumbent.recipe_of(one) != incumbent.recipe_of(other)
    assert incumbent.recipe_of(other) == incumbent.recipe_of(Scorer.from_files(other.to_files()))


def test_without_any_a_model_says_nothing_of_them(recall_fitted):
    """Its digest stays what it was."""
    assert b"hyper" not in recall_fitted.scorer.to_files()["model.json"]
    assert recall_fitted.contests[0].hyper == {}


def test_declared_values_are_those_that_lightgbm_is_told():
    for name in ("boosting", "boosted_linear", "tweedie"):
        told = {one: its.default for one, its in LEARNERS[name].hyper.items() if one in TREES}

        assert told == {one: TREES[one] for one in told}
        assert all(its.low <= its.default <= its.high for its in LEARNERS[name].hyper.values())


@pytest.mark.parametrize(("unseen_from", "is_used"), [(0, True), (1, False)], ids=["unseen", "seen"])
def test_days_that_a_search_has_looked_at_do_not_judge_what_it_found(
    boosting, recall_sample, business, unseen_from, is_used
):
    split = samples.split(recall_sample, business)
    some = Tuned({"boosting": HYPER}, list(split.test)[unseen_from])

    assert (fitting.fit(boosting, recall_sample, split, some).scorer.forecasts[0].hyper == HYPER) is is_used


def test_what_is_written_is_read(recall, ltv, tmp_path):
    path = tuned.write(recall, FOUND, tmp_path / "learners" / "recall.yml")

    assert tuned.of_product(recall, path.parent) == Tuned({"boosting": HYPER}, date(2001, 5, 1))
    assert tuned.of_product(ltv, path.parent) == DECLARED
    assert tuned.of_product(recall, tmp_path / "nowhere") == DECLARED


ABOUT = "day: 2001-05-20\nunseen_from: 2001-05-01\ntrials: 20\n"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("recal.yml", ABOUT + "learners: {}", "recal is no product"),
        ("recall.yml", ABOUT + "learners: {tweedie: {}}", "tweedie is no candidate of recall"),
        ("recall.yml", ABOUT + "learners: {boosting: {leaves: 4}}", "boosting has no hyper-parameter leaves"),
        ("recall.yml", ABOUT + "learners: {logistic: {C: 1}}", "logistic has no hyper-parameter C, only none at all"),
        ("recall.yml", ABOUT + "learners: {boosting: {num_leaves: 1}}", "lies between 4 and 64, not at 1"),
        ("recall.yml", ABOUT + "learners: {boosting: {learning_rate: .nan}}", "lies between 0.02 and 0.2"),
        ("recall.yml", ABOUT + "learners: {boosting: {num_leaves: 4.5}}", "is a whole number, not 4.5"),
        ("recall.yml", ABOUT + "learners: {boosting: {num_leaves: many}}", "learners.boosting.num_leaves"),
        ("recall.yml", ABOUT + "learners: {}\nseed: 1", "seed: Extra inputs"),
        ("recall.yml", "learners: {}", "day: Field required"),
        ("recall.yml", "learners: {", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(recall, tmp_path, file, text, told):
    (tmp_path / file).write_text(text)

    with pytest.raises(InputError) as refused:
        tuned.of_product(recall, tmp_path)

    assert refused.value.code == "unusable_hyper_parameters"
    assert told in refused.value.what


def test_a_champion_with_hyper_parameters_that_are_gone_is_not_fitted_again(recall_fitted, recall_sample):
    (forecast,) = recall_fitted.scorer.forecasts
    stored = replace(
        recall_fitted.scorer, forecasts=(replace(forecast, candidate="boosting", hyper={"no_longer_there": 1}),)
    )

    assert "has no hyper-parameter no_longer_there" in incumbent.why_not_again(stored, recall_sample, set())
