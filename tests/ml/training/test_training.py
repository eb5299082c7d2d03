"""A training from sample to registry without servers: what is handed over, and that the same sample gives the same bytes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ml import registry
from ml.model import artifact
from ml.registry.versions import Version
from ml.training import effect, fitting, gate, samples, trainer
from rekindle import records
from rekindle.records import Gate
from tests.ml.training.test_effect import assigned


@pytest.fixture
def handed_over(recall_sample, monkeypatch):
    """What a registry that holds nothing is given."""
    given = []

    def register(product, trained):
        digest = artifact.digest_of(trained.scorer.to_files())
        said = Gate(product.name, "1", digest, trained.verdict.passed, trained.verdict.why, {}, "s", trained.day)
        given.append(trained)
        return Version(product.name, product.model_name, "1", "models:/m-1", said)

    for place, name, instead in (
        (samples, "sample", lambda *_given: recall_sample),
        (samples, "refuse_undelivered", lambda *_given: None),
        (effect, "read", lambda *_given: effect.Assigned.nobody(None)),
        (records, "record_snapshots", lambda *_given: None),
        (registry, "same", lambda *_given: None),
        (registry, "register", register),
        (registry, "find_champion", lambda _product: None),
        (registry, "succeed", lambda *_given, **named: named["unless"]),
    ):
        monkeypatch.setattr(place, name, instead)
    kept = gate.criteria().model_copy(update={"shuffles": 3})
    monkeypatch.setattr(gate, "criteria", lambda: kept)
    return given


def test_a_training_hands_over_its_route_its_criteria_and_what_was_judged(
    recall, recall_sample, handed_over, monkeypatch
):
    """And what campaigns have taught, which is no part of what was judged: they judge it themselves."""
    monkeypatch.setattr(effect, "read", lambda *_given: assigned())
    done = trainer.train(SimpleNamespace(), recall, recall_sample.day, "a run")
    (trained,) = handed_over
    told = done.to_json()

    assert (done.promoted, told["route"], trained.verdict.route) == (True, "first", "first")
    assert {"ranking", "log_loss", "predicted_over_actual", "served_rank", "served_mean"} | {
        "label_days",
        "single_features",
        "shuffled_labels",
    } == {criterion["name"] for criterion in told["criteria"]}
    assert trained.judged == done.fitted.scorer and trained.judged.uplift is None
    assert trained.scorer.uplift == done.taught.uplift is not None
    assert trained.params["uplift"] == told["uplift"]["says"] == done.taught.told
    assert trained.learnt.endswith(done.taught.told) and '"qini"' in trained.documents["uplift.json"]
    assert trained.last_label_day == done.last_label_day
    assert told["last_label_age_days"] == (recall_sample.day - done.last_label_day).days
    assert trained.params["last_label_day"].startswith(str(done.last_label_day))


def test_the_same_sample_gives_the_same_bytes_and_scores(recall, recall_sample, handed_over):
    """With the same seeds, and one thread in each learner, a training can be repeated bit for bit."""
    for _ in range(2):
        trainer.train(SimpleNamespace(), recall, recall_sample.day, "a run")
    one, other = (trained.scorer for trained in handed_over)

    assert one.to_files() == other.to_files()
    assert np.array_equal(one.predict(recall_sample.rows).raw, other.predict(recall_sample.rows).raw)


@pytest.mark.parametrize("by_test_days", [True, False])
def test_the_last_label_day_is_that_of_the_calibration_where_what_was_judged_scores(
    recall_sample, recall_fitted, business, by_test_days
):
    split = samples.split(recall_sample, business)
    kept = fitting.Refitted(recall_fitted.scorer, None, "a reason", split.test if by_test_days else None)
    done = trainer.Training("recall", recall_sample.day, None, None, False, recall_fitted, split, kept, None, None)

    assert done.last_label_day == (split.test if by_test_days else split.validation["active_1_7"]).last


def test_each_candidate_is_fitted_the_same_again(recall, recall_sample, business):
    split = samples.split(recall_sample, business)

    for name in recall.candidates:
        only = replace(recall, candidates=(name,))
        one, other = (fitting.fit(only, recall_sample, split).scorer.to_files() for _ in range(2))
        assert one == other


def test_where_promotion_is_manual_what_passed_waits(recall, recall_sample, handed_over, monkeypatch):
    kept = trainer.settings().model_copy(update={"promotion": "manual"})
    monkeypatch.setattr(trainer, "settings", lambda: kept)
    done = trainer.train(SimpleNamespace(), recall, recall_sample.day, "a run")

    assert done.verdict.passed and not done.promoted and done.waits
    assert done.why_not_promoted == "promotion is manual: it waits for `rekindle promote recall 1`"
    assert len(handed_over) == 1
