from datetime import timedelta
from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.training import samples
from ml.training.samples import Sample
from rekindle.errors import CheckFailedError, InputError
from tests.bad_inputs import bad_input
from tests.ml.conftest import feature_rows, sundays
from tests.traps import trap


def known_labels(targets, weeks: int, *, last_known: dict[str, int] | None = None) -> Sample:
    """A sample of one user a day: only which label is known on which day matters."""
    days = sundays(weeks)
    until = {target.label: weeks for target in targets} | (last_known or {})
    values = {name: [1.0 if i < count else None for i in range(weeks)] for name, count in until.items()}
    labels = {name: pa.array(column, pa.float64()) for name, column in values.items()}
    return Sample("p", days[-1], targets, pa.table({"day": days, "user_id": ["u"] * weeks, **labels}), {}, 1.0)


@trap("a random split over users and days")
@settings(max_examples=30)
@given(st.integers(29, 60))
def test_every_label_was_known_when_the_next_part_began(ltv, business, weeks):
    """The gap is the label's whole reach: horizon and lateness. So no window reaches into a later part."""
    targets = ltv.targets(business)
    found = samples.split(known_labels(targets, weeks), business)

    for target in targets:
        reach = timedelta(days=target.to_day + business.lateness_days)
        train, validation = found.train[target.label], found.validation[target.label]
        assert train.last + reach <= validation.first
        assert validation.last + reach <= found.test.first


def test_uses_every_day_that_the_gaps_leave(recall, business):
    """52 weekly days, a reach of 10 days: one day is lost in each of two gaps."""
    found = samples.split(known_labels(recall.targets(business), 52), business)

    sizes = [len(found.train["active_1_7"]), len(found.validation["active_1_7"]), len(found.test)]
    assert sizes == [30, 10, 10]


def test_candidates_are_also_chosen_by_earlier_days_after_a_gap(recall, business):
    """Of a year two blocks of as many days as validation has, each with all that was known before it."""
    found = samples.split(known_labels(recall.targets(business), 52), business)
    (trials,), (train,) = found.earlier.values(), found.train.values()

    assert [len(trial.validation) for trial in trials] == [10, 10]
    assert [*trials[1].validation, *trials[0].validation] == list(train)[-20:]
    for trial in trials:
        assert trial.train.last + timedelta(days=7 + 3) <= trial.validation.first


def test_a_short_history_is_not_cut_further(recall, business):
    (trials,) = samples.split(known_labels(recall.targets(business), 20), business).earlier.values()

    assert trials == ()


def test_a_label_that_is_known_sooner_is_learnt_from_later_days(ltv, business):
    found = samples.split(known_labels(ltv.targets(business), 40), business)

    assert found.train["net_revenue_1_30"].last > found.train["net_revenue_31_90"].last


def test_test_days_are_those_on_which_all_is_known(ltv, business):
    """The last weeks know the first 30 days only; nobody is judged on them."""
    targets = ltv.targets(business)
    found = samples.split(known_labels(targets, 45, last_known={"net_revenue_31_90": 36}), business)

    assert found.test.last == sundays(36)[-1]


@pytest.mark.parametrize(("name", "needed"), [("recall", 5), ("ltv", 29)])
def test_too_short_a_history_is_refused_with_how_much_is_needed(name, needed, business, request):
    targets = request.getfixturevalue(name).targets(business)

    with pytest.raises(CheckFailedError, match=f"not_enough_history: There are {needed - 1} .* {needed} are needed"):
        samples.split(known_labels(targets, needed - 1), business)
    assert len(samples.split(known_labels(targets, needed), business).test) == 1


def test_blocks_follow_each_other_and_each_has_a_split_before_it(recall, business):
    sample = known_labels(recall.targets(business), 40)
    blocks = samples.blocks(sample, business, 5, first=None, last=None)

    assert [len(block) for block in blocks] == [4, 4, 4, 4, 4]
    assert list(chain.from_iterable(blocks)) == sundays(40)[20:]
    for block in blocks:
        assert samples.split_before(sample, block, business).validation["active_1_7"].last < block[0]


def test_blocks_can_be_bounded(recall, business):
    sample, days = known_labels(recall.targets(business), 40), sundays(40)
    blocks = samples.blocks(sample, business, 5, first=days[10], last=days[15])

    assert list(chain.from_iterable(blocks)) == days[10:16]


@pytest.mark.parametrize(("first", "last"), [(40, None), (None, 3), (20, 19)])
def test_bounds_between_which_nobody_can_be_judged_are_named_and_no_longer_history_asked_for(
    recall, business, first, last
):
    sample, days = known_labels(recall.targets(business), 40), sundays(41)
    bounds = {"first": None if first is None else days[first], "last": None if last is None else days[last]}

    with pytest.raises(InputError, match=rf"no_such_days: .* such days are {days[20 if first is None else 4]} to "):
        samples.blocks(sample, business, 5, **bounds)


@bad_input("training with the label among the features", gets="refused")
def test_a_label_that_is_a_column_of_the_features_is_refused(recall, business):
    with pytest.raises(CheckFailedError, match=r"label_among_features: .*active_1_7.*The champion stays"):
        samples.refuse_labels("features.user", ["day", "user_id", "active_1_7"], recall.targets(business))


ACTIVE_LATELY, BUYERS = (lambda row: row["recency_days"] < 28), (lambda row: row["net_revenue_31_90"] > 0)


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(ACTIVE_LATELY, marks=trap("labels joined with who is active by the clock of now")),
        pytest.param(BUYERS, marks=trap("labels of buyers alone")),
    ],
    ids=["active by now", "buyers alone"],
)
def test_labels_of_some_of_the_population_are_refused(ltv, business, kept):
    """All that is left of them is well labelled, ranks better than it should, and would be learnt from."""
    rows = feature_rows(sundays(4), 100).select(["day", "user_id", "recency_days", "net_revenue_31_90"]).to_pylist()
    chosen = [row if kept(row) else {**row, "net_revenue_31_90": None} for row in rows]
    (target,) = (target for target in ltv.targets(business) if target.from_day > 1)

    samples.refuse_unlabelled(pa.Table.from_pylist(rows), [target])
    with pytest.raises(CheckFailedError, match=r"labels_missing: net_revenue_31_90 is known of \d+% of the population"):
        samples.refuse_unlabelled(pa.Table.from_pylist(chosen), [target])


def test_a_day_of_which_a_label_is_not_known_yet_is_no_gap(recall, business):
    targets = recall.targets(business)

    samples.refuse_unlabelled(known_labels(targets, 5, last_known={"active_1_7": 3}).rows, targets)


def test_a_recipe_is_refitted_on_all_that_is_known_and_calibrated_after_the_gap(ltv, business):
    """A label of 30 days is known of later days than one of 90."""
    sample = known_labels(ltv.targets(business), 45, last_known={"net_revenue_31_90": 36})
    split = samples.split(sample, business)
    found = samples.refit_days(sample, split, business)

    assert [days.last for days in found.everything.values()] == [sundays(45)[-1], sundays(36)[-1]]
    for target in sample.targets:
        reach = timedelta(days=target.to_day + business.lateness_days)
        assert found.before[target.label].last + reach <= split.test.first == found.after[target.label].first
        assert set(found.before[target.label]) >= {*split.train[target.label], *split.validation[target.label]}
