"""Traps that products fell into, planted in a small world: each is caught."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.objectives import OBJECTIVES
from ml.training import fitting, gate, incumbent, leak_screen, samples
from ml.training.gate import leaks
from ml.training.samples import Split
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from tests.traps import trap

ASKED = gate.criteria().model_copy(update={"shuffles": 8, "shuffle_rows": 1500})


@pytest.fixture(scope="module")
def split(recall_sample, business):
    return samples.split(recall_sample, business)


@pytest.fixture
def screened(recall, business):
    """Screen a sample beside a champion, or without one; the criteria by name."""

    def one(sample, split, fitted, champion=None) -> dict[str, gate.Criterion]:
        found = None
        if champion is not None:
            version = SimpleNamespace(version="7")
            found = incumbent.Incumbent(version, champion, fitted.longest, is_rule=False, stored=champion)
        told = leak_screen.screen(recall, sample, split, fitted, found, asked=ASKED, settings=business)
        return {criterion.name: criterion for criterion in told}

    return one


def with_column(sample, name: str, values: np.ndarray):
    """The same sample with other values of a feature that was the same for all."""
    at = sample.rows.column_names.index(name)
    column = pa.array(values).cast(sample.rows.schema.field(name).type)
    return replace(sample, rows=sample.rows.set_column(at, name, column))


def test_an_honest_training_passes(recall_sample, recall_fitted, split, screened):
    for champion in (None, recall_fitted.scorer):
        assert all(c.passed for c in screened(recall_sample, split, recall_fitted, champion).values())


@trap("a label's window within that of the features")
def test_a_feature_from_the_labels_window_is_named(recall_sample, recall_fitted, split, screened):
    """The trap: the label's window within that of a feature. The champion, trained before, does not know it."""
    known = recall_sample.rows["active_1_7"].to_numpy()
    days = np.where(np.random.default_rng(0).random(len(known)) < 0.95, known, 1 - known) * 3
    leaking = with_column(recall_sample, "active_days_7d", days.astype(np.int64))

    told = screened(leaking, split, recall_fitted, recall_fitted.scorer)[leaks.FEATURES]

    assert not told.passed
    assert told.told.startswith("active_days_7d alone rank better than the champion by more than is honest")
    assert told.value > told.threshold


def test_the_limit_is_that_of_the_champions_recipe_on_the_training_days(
    recall, recall_sample, recall_fitted, split, business
):
    """What is in office was fitted again on all days, the test days among them, and ranks these better than is honest."""
    stored = fitting.refit(
        recall, recall_sample, recall_fitted.scorer, samples.refit_days(recall_sample, split, business)
    ).scorer
    known = recall_sample.rows["active_1_7"].to_numpy().astype(np.int64) * 3
    leaking = with_column(recall_sample, "active_days_7d", known)
    area = ASKED.leak_over_champion["auc"]

    for sample in (recall_sample, leaking):
        recipe = fitting.fit_recipe(recall, sample, split, stored)
        its = incumbent.Incumbent(SimpleNamespace(version="7"), recipe, None, is_rule=False, stored=stored)
        asked = ASKED.model_copy(update={"shuffles": 0})
        found = leak_screen.screen(recall, sample, split, recall_fitted, its, asked=asked, settings=business)
        told = {criterion.name: criterion for criterion in found}[leaks.FEATURES]
        assert told.threshold == pytest.approx(recall_fitted.primary.model["auc"].value + area, abs=1e-9)
        assert told.passed == (sample is recall_sample)


def test_a_type_of_event_that_the_champion_has_never_seen_is_left_out_once(
    recall, business, recall_sample, recall_fitted, split
):
    """As of what a business begins to count, or of what has become frequent: the recipe is not fitted again and again."""
    visits, rows = recall_sample.rows["event_counts_28d"].to_pylist(), recall_sample.rows
    wishes = [[*of_visits, ("wish", 1 + n % 3)] if n % 4 else of_visits for n, of_visits in enumerate(visits)]
    column = pa.array(wishes, rows.schema.field("event_counts_28d").type)
    told = replace(
        recall_sample, rows=rows.set_column(rows.column_names.index("event_counts_28d"), "event_counts_28d", column)
    )
    fits = [fitting.fit_recipe(recall, told, split, recall_fitted.scorer)]
    again = fitting.fit_recipe

    def counted(*of, **more):
        assert len(fits) < 3
        fits.append(again(*of, **more))
        return fits[-1]

    found = incumbent.Incumbent(None, fits[0], None, is_rule=False, stored=recall_fitted.scorer)
    asked = ASKED.model_copy(update={"shuffles": 0})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fitting, "fit_recipe", counted)
        _, alone, _ = leak_screen.screen(recall, told, split, recall_fitted, found, asked=asked, settings=business)
    read = [{source for encoder in one.encoders for source in encoder.columns} for one in fits]

    assert read == [read[1] | {"event_counts_28d:wish"}, read[1]]
    assert "event_counts_28d:visit" in read[1]
    standing = recall_fitted.primary.model["auc"].value
    assert alone.threshold == pytest.approx(standing + ASKED.leak_over_champion["auc"], abs=0.02)


def test_a_champion_whose_rows_were_others_is_no_reference(recall_sample, recall_fitted, split, screened):
    gone = replace(recall_sample, rows=recall_sample.rows.drop_columns(["orders_28d"]))

    assert (
        "no feature alone ranks above"
        in screened(gone, split, recall_fitted, recall_fitted.scorer)[leaks.FEATURES].told
    )


def test_a_training_that_knows_outcomes_dealt_anew_is_caught(
    recall_sample, recall_fitted, split, screened, monkeypatch
):
    """Whatever way they take: here the recipe sees the test days' labels."""
    judge = fitting.judge

    def knowing(scorer, sample, split, to_beat):
        return {
            horizon: replace(its, raw=its.raw + 0.5 * its.outcome)
            for horizon, its in judge(scorer, sample, split, to_beat).items()
        }

    monkeypatch.setattr(fitting, "judge", knowing)
    told = screened(recall_sample, split, recall_fitted)[leaks.SHUFFLED]

    assert not told.passed
    assert told.low > 0.5


def test_with_few_positives_outcomes_are_not_dealt_anew(recall_sample, recall_fitted, split, screened):
    rare = np.where(np.arange(recall_sample.rows.num_rows) % 100, 0.0, 1.0)
    told = screened(with_column(recall_sample, "active_1_7", rare), split, recall_fitted)[leaks.SHUFFLED]

    assert told.passed and "too few rows" in told.told


def test_where_positives_are_rare_more_rows_are_dealt_anew(recall_sample, recall_fitted, split, screened):
    """One of fifty: among the 1,500 rows that are asked for there would be too few."""
    rare = np.where(np.random.default_rng(0).random(recall_sample.rows.num_rows) < 0.025, 1.0, 0.0)
    told = screened(with_column(recall_sample, "active_1_7", rare), split, recall_fitted)[leaks.SHUFFLED]

    assert told.passed and "8 trainings" in told.told


def test_of_fewer_than_two_trainings_it_says_that_it_was_not_asked():
    asked = ASKED.model_copy(update={"shuffles": 1})

    assert leaks.shuffled_labels(OBJECTIVES["probability"].figures, [0.5], asked).told.startswith("not asked")


@trap("a random split over users and days")
def test_training_labels_that_reach_into_the_test_days_are_caught(recall_sample, split):
    """The trap: a random split over users and days, or one without a gap."""
    days = recall_sample.days_known(recall_sample.targets[0])
    reach = {"active_1_7": timedelta(days=10)}
    without_gap = Split(
        {"active_1_7": Days(tuple(days[:10]))}, {"active_1_7": Days(tuple(days[10:15]))}, Days(tuple(days[15:]))
    )
    # Only of the validation days, the last of which the test days follow at once.
    before_test = Split(
        {"active_1_7": Days(tuple(days[:8]))}, {"active_1_7": Days(tuple(days[10:15]))}, Days(tuple(days[15:]))
    )
    at_random = Split(
        {"active_1_7": Days(tuple(days[::2]))}, {"active_1_7": Days(tuple(days[1::4]))}, Days(tuple(days[3::4]))
    )

    assert leaks.label_days(split, reach).passed
    for wrong in (without_gap, before_test, at_random):
        told = leaks.label_days(wrong, reach)
        assert not told.passed and told.told == "labels of active_1_7 reach into later days"


def test_a_leak_keeps_out_what_passed_all_else(recall_fitted):
    passed = gate.judge(recall_fitted.primary)
    lost = gate.Criterion(leaks.FEATURES, passed=False, told="it knows")

    assert passed.unless(replace(lost, passed=True)).passed
    assert not passed.unless(lost).passed
    assert passed.unless(lost).why.startswith("it knows; ")
    assert passed.unless(lost).criteria[0] == lost


@trap("labels joined with who is active by the clock of now")
def test_labels_of_those_alone_who_came_are_refused(recall, recall_sample, split):
    """The trap: labels joined with who is active by now; all of the few that are left came back."""
    came = recall_sample.rows.filter(pc.equal(recall_sample.rows["active_1_7"], 1.0))

    with pytest.raises(CheckFailedError, match="one_class"):
        fitting.fit(recall, replace(recall_sample, rows=came), split)
