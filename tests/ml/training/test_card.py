"""A version's card, held against what can be counted by hand."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.protected import Protected
from ml.training import card, fitting, samples
from ml.training.backtest import MIN_POSITIVES
from ml.training.card import audit, effects, groups, shared
from ml.training.card.audit import drift
from ml.training.card.effects import BINS, by_number, by_text
from ml.training.evaluation import Judged
from ml.training.incumbent import Incumbent
from rekindle.settings import settings
from tests.ml.conftest import feature_rows, sample_of, sundays

TEN = 10
"""Pages show no group under ten users: docs/privacy.md."""

NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=80)


@pytest.fixture(scope="module")
def split(recall_sample, business):
    return samples.split(recall_sample, business)


@pytest.fixture(scope="module")
def tested(recall_sample, split) -> pa.Table:
    return recall_sample.judged(split.test)


@pytest.fixture(scope="module")
def told(recall, recall_sample, recall_fitted, split):
    kept_out = replace(recall_sample, kept_out=Protected.of(settings()).kept_out_of(recall_sample.rows))
    tested = card.Tested.of(kept_out, split, recall_fitted)
    return card.card(recall, kept_out, tested, scorer=recall_fitted.scorer, champion=None, settings=settings())


def in_office(scorer, learnt_until=None) -> Incumbent:
    version = SimpleNamespace(version="3", gate=True, judged=SimpleNamespace(last_label_day=learnt_until))
    return Incumbent(version, None, None, is_rule=False, why_not="Its file is gone.", stored=scorer)


def test_a_card_is_plain_values_that_hold_no_id(told):
    text = json.dumps(told, allow_nan=False)

    assert "u000" not in text
    assert told["kept_out"] == ["attributes:age"]
    assert told["champion"] == {"why_not": "there was none"}
    assert told["use"] and any("without a message of ours" in limit for limit in told["limits"])


def test_what_counts_most_is_the_mean_size_of_what_is_added(recall_fitted, tested):
    found = effects.of_features(recall_fitted.scorer, tested)
    by_source = recall_fitted.scorer.made_of(tested).by_source

    assert [one.size for one in found] == sorted((one.size for one in found), reverse=True)
    assert found[0].size == pytest.approx(max(np.abs(amounts).mean() for amounts in by_source.values()))
    assert sum(one.share for one in found) <= 1 + 1e-9


def test_an_effect_is_the_mean_of_the_reasons_of_those_who_have_the_value(recall_fitted, tested):
    """The points of a feature, weighed by their rows, are the mean of all it adds."""
    by_source = recall_fitted.scorer.made_of(tested).by_source

    for one in effects.of_features(recall_fitted.scorer, tested):
        points = [*one.points, *([one.missing] if one.missing else [])]
        if sum(point.rows for point in points) == tested.num_rows:
            mean = sum(point.mean * point.rows for point in points) / tested.num_rows
            assert mean == pytest.approx(by_source[one.source].mean(), abs=1e-9)
    recency = next(one for one in effects.of_features(recall_fitted.scorer, tested) if one.source == "recency_days")
    assert recency.points[0].mean > recency.points[-1].mean, "who was active lately comes back"


@given(NUMBERS)
def test_every_number_is_in_one_part_and_parts_are_in_order(values):
    codes, names = by_number(pa.array(values, pa.float64()))
    there = np.array([value is not None for value in values])
    numbers = np.array([np.nan if value is None else value for value in values])

    assert (codes[~there] == -1).all() and (codes[there] >= 0).all()
    assert set(codes[there].tolist()) == names.keys() and len(names) <= BINS
    order = np.argsort(numbers[there], kind="stable")
    assert (np.diff(codes[there][order]) >= 0).all()


@given(st.lists(st.none() | st.sampled_from("abcdefghij"), min_size=1, max_size=60))
def test_every_text_has_a_level_and_the_rare_ones_share_one(values):
    codes, names = by_text(pa.array(values, pa.string()), 3)

    for value, code in zip(values, codes.tolist(), strict=True):
        assert (code == -1) == (value is None)
        assert value is None or names[code] in {value, "other"}


def test_what_a_group_was_promised_stands_beside_what_it_did(recall_fitted, tested, monkeypatch):
    monkeypatch.setattr("ml.training.card.groups.MIN_ROWS", 100)
    judged = recall_fitted.longest
    found = {one["dimension"]: one["groups"] for one in groups.of_rows(tested, judged, ["attributes:age"])}
    ages = [dict(row).get("age", "unknown") for row in tested["attributes"].to_pylist()]
    best = np.argsort(-judged.raw, kind="stable")[: round(0.1 * len(ages))]

    assert {group["group"] for group in found["attributes:age"]} == {"18-24", "45-54", "unknown"}
    for group in found["attributes:age"]:
        inside = np.array([age == group["group"] for age in ages])
        assert group["rows"] == inside.sum()
        assert group["actual"] == pytest.approx(judged.outcome[inside].mean())
        ratio = group["predicted_over_actual"]
        assert ratio["value"] == pytest.approx(judged.prediction[inside].sum() / judged.outcome[inside].sum())
        assert ratio["low"] < ratio["value"] < ratio["high"]
        assert group["selected"] == pytest.approx(inside[best].sum() / inside.sum())
    for dimension in found.values():
        assert sum(group["rows"] for group in dimension) == tested.num_rows


def test_groups_that_are_too_small_are_one_that_is_not_named(recall_fitted, tested):
    """Not even counted by name: a group may be one person's."""
    few = tested.slice(0, 150)
    judged = recall_fitted.longest.take(np.arange(150))

    assert groups.of_rows(few, judged, ["attributes:age"]) == []


def judged_of(users: np.ndarray, positive: np.ndarray) -> Judged:
    chance = np.full(len(users), 0.3)
    return Judged(users, positive.astype(float), np.arange(len(users)) / len(users), chance, chance, 0.3)


def born_in(years: np.ndarray) -> pa.Table:
    maps = [[("birth_date", str(year))] for year in years.tolist()]
    return pa.table({"attributes": pa.array(maps, pa.map_(pa.string(), pa.string()))})


def test_of_a_group_with_few_positives_not_even_their_number_is_told():
    """Of 200 rows with one that came back, who knows of 199 that they did not would know of the last."""
    years = np.repeat([1980, 1990], 400)
    some = np.tile(np.arange(400) % 4 == 0, 2)
    few = some & ((years == 1980) | (np.arange(800) < 400 + 4 * (MIN_POSITIVES - 1)))
    (many, one), (as_many, enough) = (
        groups.of_rows(born_in(years), judged_of(np.arange(800), positive), ["attributes:birth_date"])[0]["groups"]
        for positive in (few, some)
    )

    assert one == {"group": "1990", "rows": 400, "insufficient_data": True}
    assert many == as_many and many["positives"] == 100
    assert enough["actual"] == 0.25


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 14)), min_size=1, max_size=200))
def test_each_group_that_is_named_has_rows_and_users_enough_and_so_has_the_rest(drawn):
    cut, users = np.array([name for name, _ in drawn], object), np.array([user for _, user in drawn])
    names = sorted(set(cut.tolist()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "MIN_ROWS", 5)
        told, shown = groups.folded(users, cut, names)

    assert set(told.tolist()) == set(shown)
    for name in shown:
        inside = told == name
        assert shown == ["other"] or len(set(users[inside].tolist())) >= TEN
        assert name == "other" or (inside.sum() >= 5 and (inside == (cut == name)).all())
    big = [n for n in names if (cut == n).sum() >= 5 and len(set(users[cut == n].tolist())) >= TEN]
    others = set(users[~np.isin(cut, big)].tolist())
    assert set(big) - set(shown) == set() or len(others) < TEN


def test_a_value_that_few_users_have_is_no_point_of_an_effect(recall_fitted, tested):
    """Rows do not count: one user has a row of each week."""
    scorer, size = recall_fitted.scorer, tested.num_rows
    at = tested.column_names.index("country")

    def points(users: int, of_one: list[str]) -> list[str]:
        ids = pa.array([f"u{i % users}" for i in range(len(of_one))] + [f"v{i}" for i in range(size - len(of_one))])
        countries = pa.array(of_one + ["DE"] * (size - len(of_one)))
        rows = tested.set_column(at, "country", countries)
        rows = rows.set_column(tested.column_names.index("user_id"), "user_id", ids)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(effects, "FEATURES", 1000)
            found = effects.of_features(scorer, rows)
        return [point.value for one in found if one.source == "country" for point in one.points]

    assert points(TEN, ["AT"] * 40) == ["DE", "AT"]
    assert points(TEN - 1, ["AT"] * 40) == ["DE"]
    assert points(40, ["somebody@example.org"] * 40) == ["DE", "other"], "of what has no flag no name is told"
    assert points(TEN - 1, ["a", "b"] * 20) == ["DE"]


def test_no_birthday_and_no_address_that_is_delivered_as_an_attribute_is_on_a_card(recall, business):
    """Even where users are so few that each address has a flag, and a row of each of many weeks."""
    rows = feature_rows(sundays(60), 40)
    users = [int(user[1:]) for user in rows["user_id"].to_pylist()]
    maps = [
        [("birthday", f"1950-03-{user % 28 + 1:02d}-{user}")] + [("mail", f"{user}@example.org")] * (user % 3 > 0)
        for user in users
    ]
    at = rows.column_names.index("attributes")
    rows = rows.set_column(at, "attributes", pa.array(maps, pa.map_(pa.string(), pa.string())))
    sample = sample_of(recall, rows, business)
    sample = replace(sample, kept_out=Protected.of(settings()).kept_out_of(rows))
    cut = samples.split(sample, business)
    fitted = fitting.fit(replace(recall, candidates=("logistic",)), sample, cut)
    tested = card.Tested.of(sample, cut, fitted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects, "FEATURES", 1000)
        found = card.card(recall, sample, tested, scorer=fitted.scorer, champion=None, settings=settings())

    text = json.dumps(found)
    assert "attributes:mail" in {one["source"] for one in found["effects"]}
    assert "1950-03" not in text and "example.org" not in text


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_inputs_that_move_are_told_from_those_that_do_not(missing):
    draw = np.random.default_rng(0)

    def numbers(centre: float) -> pa.Array:
        return pa.array(draw.normal(centre, 1, 3000), mask=draw.random(3000) < missing)

    assert drift(numbers(0), numbers(0)).verdict == "steady"
    assert drift(numbers(1), numbers(0)).verdict == "moved"
    assert drift(pa.array([None] * 3000, pa.float64()), numbers(0)).verdict == "moved"


def test_a_text_moves_where_its_levels_do():
    draw = np.random.default_rng(0)
    before, same, other = (
        pa.array(draw.choice(["a", "b", "c"], 2000, p=p)) for p in ([0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6])
    )

    assert drift(same, before).verdict == "steady"
    assert drift(other, before).verdict == "moved"


def test_inputs_are_compared_with_those_that_the_champion_has_learnt_from(recall_fitted, recall_sample, split):
    weeks = sundays(20)
    since = audit.of_inputs(recall_fitted.scorer, recall_sample, split.test, weeks[9])
    nothing_newer = audit.of_inputs(recall_fitted.scorer, recall_sample, split.test, weeks[-1])
    gap = {one["source"]: one for one in since["inputs"]}["gap_mean_days"]
    newer = pc.greater(recall_sample.rows["day"], pa.scalar(weeks[9]))

    assert str(weeks[9]) in since["before"]
    assert "test days" in nothing_newer["now"]
    rows = recall_sample.rows.filter(newer)
    assert gap["missing"] == pytest.approx(rows["gap_mean_days"].null_count / rows.num_rows)
    assert "channel" in since["constant"]


@given(st.integers(0, 1000))
def test_two_that_rank_alike_share_the_first_and_two_that_know_nothing_do_by_chance(seed):
    draw = np.random.default_rng(seed)
    ours, theirs = draw.normal(size=2000), draw.normal(size=2000)

    assert shared(ours, 3 * ours - 1, 1000)["share"] == 1
    assert shared(ours, -ours, 1000)["share"] == 0
    assert shared(ours, theirs, 1000)["share"] == pytest.approx(shared(ours, theirs, 1000)["by_chance"], abs=0.08)
    assert shared(ours, theirs, 5000) == {"first": 5000, "rows": 2000, "insufficient_data": True}


def test_a_champion_that_cannot_be_read_or_cannot_score_is_nothing_to_compare_with(recall_fitted):
    rows, scorer = feature_rows(sundays(1), 50), recall_fitted.scorer

    assert "cannot be read. Its file is gone." in card.champion_beside(scorer, in_office(None), rows)["why_not"]
    told = card.champion_beside(scorer, in_office(scorer), rows.drop_columns(["recency_days"]))
    assert "cannot score these rows" in told["why_not"]
    assert card.champion_beside(scorer, in_office(scorer), rows)["version"] == "3"


def test_a_product_of_several_targets_has_one_card(ltv, ltv_sample, ltv_fitted, business):
    cut = samples.split(ltv_sample, business)
    champion = in_office(ltv_fitted.scorer, cut.test.first - timedelta(days=1))
    tested = card.Tested.of(ltv_sample, cut, ltv_fitted)
    told = card.card(ltv, ltv_sample, tested, scorer=ltv_fitted.scorer, champion=champion, settings=settings())

    assert told["counted_in"] == "USD"
    assert told["effects"][0]["source"].startswith("sale_amount")
    assert told["champion"]["shared"][0].get("share", 1) == 1
