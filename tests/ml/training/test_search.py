"""A search on samples whose law is known: what it finds, what it leaves, and what it never looks at."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from ml.model.encoder import Dense
from ml.model.learners import LEARNERS, Learner, Range
from ml.model.learners.linear import Column, Linear
from ml.model.part import Part
from ml.training import samples, search
from rekindle.errors import CheckFailedError, InputError
from tests.ml.conftest import feature_rows, sample_of, sundays

TRIALS = 8

WORTH = 0.7
"""Of the planted hyper-parameter: the nearer to it, the less noise there is in what the learner says."""


def planted(*, matters: bool = True) -> Learner:
    """A learner of the days of silence that adds noise, by how far its hyper-parameter is from what it should be."""

    def fit(encoders, _loss, _train, _stop, share: float = 0.1):
        dense = encoders.of(Dense)
        silence, noise = (dense.columns.index(name) for name in ("recency_days", "tenure_days"))
        weights = {silence: -1 / 30, noise: abs(share - WORTH) / 100 if matters else 0.0}
        columns = tuple(Column(i, "plain", -1e9, 1e9, 0.0, weight, 0.0, 0.0) for i, weight in weights.items())
        return (Part(dense, Linear(len(dense.features), 0.0, columns)),)

    return Learner("planted", "a test", fit=fit, predictors=(Linear,), hyper={"share": Range(0.1, 0.0, 1.0)})


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Users return by the days of silence alone."""
    found, draw = feature_rows(sundays(30), 100), np.random.default_rng(0)
    odds = 1 - found["recency_days"].to_numpy() / 30
    came = (draw.random(found.num_rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return with_outcomes(found, came)


def with_outcomes(rows: pa.Table, came: np.ndarray) -> pa.Table:
    return rows.set_column(rows.column_names.index("active_1_7"), "active_1_7", pa.array(came))


@pytest.fixture
def searched(recall, rows, business, monkeypatch):
    """Search for a learner among these rows, by the split of all of them."""
    split = samples.split(sample_of(recall, rows, business), business)

    def of(learner: Learner = LEARNERS["boosting"], some: pa.Table = rows, trials: int = TRIALS) -> search.Searched:
        monkeypatch.setitem(LEARNERS, learner.name, learner)
        product = replace(recall, candidates=("logistic", learner.name))
        return search.search(product, sample_of(recall, some, business), split, trials)

    return of


def test_finds_what_is_better_and_keeps_it(searched):
    found = searched(planted())
    declared, *others = found.tried

    assert (declared.hyper, len(others)) == ({}, TRIALS - 1)
    assert abs(found.best.hyper["share"] - WORTH) < 0.15
    assert found.is_kept
    assert found.found.learners == {"planted": found.best.hyper}


def test_compares_by_users_without_a_message(searched, recall, rows, business):
    """What comes of who was sent one says nothing of the chance without: turned around, the search finds the same."""
    (target,) = recall.targets(business)
    messaged = np.random.default_rng(1).random(rows.num_rows) < 0.3
    came = rows["active_1_7"].to_numpy()
    told, turned = (
        with_outcomes(rows, some).append_column(target.messaged, pa.array(messaged.astype(np.int8)))
        for some in (came, np.where(messaged, 1 - came, came))
    )
    found, same = searched(planted(), told), searched(planted(), turned)

    assert found.ahead is not None
    assert (same.tried, same.ahead) == (found.tried, found.ahead)
    assert found.tried != searched(planted(), with_outcomes(rows, came)).tried


def test_leaves_what_makes_no_difference_as_it_is_declared(searched):
    found = searched(planted(matters=False))

    assert (found.ahead, found.found.learners) == (None, {})


def test_the_best_of_many_trials_is_not_kept_for_having_been_lucky(searched, rows):
    """Outcomes that nothing explains: some trial is always the best on the blocks, and none on later days."""
    luck = with_outcomes(rows, np.random.default_rng(0).permutation(rows["active_1_7"].to_numpy()))
    found = searched(some=luck)

    assert found.best.value > found.tried[0].value
    assert found.found.learners == {}


def test_test_days_are_not_looked_at(searched, rows, recall, business):
    """Whatever came of them, and were they not there at all: the search is the same to the last digit."""
    test = samples.split(sample_of(recall, rows, business), business).test
    tested = np.isin(rows["day"].to_numpy(), np.array(list(test), dtype="datetime64[D]"))
    came = rows["active_1_7"].to_numpy()
    turned = with_outcomes(rows, np.where(tested, 1 - came, came))

    found = searched(trials=3)

    assert tested.any()
    assert found.unseen_from == test.first
    assert searched(some=turned, trials=3) == found
    assert replace(searched(some=rows.filter(~tested), trials=3), day=found.day) == found


def test_what_it_looks_at_changes_what_it_finds(searched, rows, recall, business):
    """Or the test above could not fail."""
    validation = samples.split(sample_of(recall, rows, business), business).validation["active_1_7"]
    seen = np.isin(rows["day"].to_numpy(), np.array(list(validation), dtype="datetime64[D]"))
    came = rows["active_1_7"].to_numpy()

    assert searched(planted(), with_outcomes(rows, np.where(seen, 1 - came, came))).ahead != searched(planted()).ahead


def test_the_same_rows_have_the_same_search(searched):
    assert searched(planted()) == searched(planted())


def test_hyper_parameters_stay_within_their_ends_and_whole_ones_are_whole(searched):
    ranges = LEARNERS["boosting"].hyper
    for one in searched(trials=3).tried:
        for name, value in one.hyper.items():
            assert ranges[name].low <= value <= ranges[name].high
            assert isinstance(value, int) is ranges[name].is_whole


def test_a_product_without_hyper_parameters_and_one_without_blocks_are_refused(recall, rows, business):
    sample = sample_of(recall, rows, business)
    split = samples.split(sample, business)

    with pytest.raises(InputError) as nothing:
        search.search(replace(recall, candidates=("logistic",)), sample, split)
    with pytest.raises(CheckFailedError) as too_short:
        search.search(recall, sample, replace(split, earlier={}))

    assert nothing.value.code == "nothing_to_search"
    assert too_short.value.code == "not_enough_history"
