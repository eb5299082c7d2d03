"""A simulated business that sends messages: what they change is known, and so is the chance of each user without one."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import product as combined

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.model import artifact
from ml.model.encoder import Encoded
from ml.model.scorer import Scorer
from ml.training import backtest, fitting, messages, recalibration, sample_rows, samples
from ml.training.gate import criteria
from rekindle.errors import InputError
from tests.ml.conftest import WORDING, feature_rows, sample_of, sundays
from tests.reference.outcomes import User, chance_of_none

HORIZON = 7
MESSAGED = "messaged_1_7"
WEEKS, USERS = 20, 600


def lived(odds: np.ndarray, sent: np.ndarray, lift: float, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """
    Live through the horizon day by day: who is still away may be sent one message, which adds to the log-odds from then on.

    `odds` are log-odds of a return on a day, `sent` the chance to be sent a message on it. Returns the days of the first message
    and of the return, infinite without.
    """
    message, active = (np.full(len(odds), np.inf) for _ in range(2))
    for day in range(1, HORIZON + 1):
        away = ~np.isfinite(active)
        message[away & ~np.isfinite(message) & (draw.random(len(odds)) < sent)] = day
        chance = 1 / (1 + np.exp(-(odds + lift * np.isfinite(message))))
        active[away & (draw.random(len(odds)) < chance)] = day
    return message, active


def world(*, lift: float = 0.7, share: float = 0.06, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Rows as a sample reads them, and each chance of a return without a message; the likelier half is sent five times more."""
    draw = np.random.default_rng(seed)
    rows = feature_rows(sundays(WEEKS), USERS, seed=seed)
    odds = -4.0 + 0.15 * np.minimum(rows["orders_28d"].to_numpy(), 12) - 0.012 * rows["recency_days"].to_numpy()
    sent = share * np.where(odds > np.median(odds), 5 / 3, 1 / 3)
    message, active = lived(odds, sent, lift, draw)
    told = {
        "active_1_7": pa.array(np.isfinite(active).astype(float)),
        "messages": pa.array(np.isfinite(message).astype(np.int64)),
        "message_after_days": _days(message),
        "active_after_days": _days(active),
    }
    for name, values in told.items():
        at = rows.column_names.index(name) if name in rows.column_names else rows.num_columns
        rows = rows.set_column(at, name, values) if at < rows.num_columns else rows.append_column(name, values)
    return rows, 1 - (1 - 1 / (1 + np.exp(-odds))) ** HORIZON


def _days(values: np.ndarray) -> pa.Array:
    there = np.isfinite(values)
    return pa.array(np.where(there, values, 0).astype(np.int32), mask=~there)


def told_of(product, rows: pa.Table, business) -> samples.Sample:
    """Make the sample of what marts.labels says."""
    found = sample_of(product, rows, business)
    (target,) = found.targets
    return replace(found, rows=messages.with_messaged(found.rows, target, [target.label]))


@pytest.fixture(scope="module")
def simulated() -> tuple[pa.Table, np.ndarray]:
    return world()


@pytest.fixture(scope="module")
def only_logistic(recall):
    return replace(recall, candidates=("logistic",))


@pytest.fixture(scope="module")
def sample(recall, simulated, business) -> samples.Sample:
    return told_of(recall, simulated[0], business)


@pytest.fixture(scope="module")
def split(sample, business):
    return samples.split(sample, business)


def on(sample: samples.Sample, days, values: np.ndarray) -> np.ndarray:
    """Return the values of all rows of some days."""
    return values[np.isin(sample.rows["day"].to_numpy(), np.array(list(days), "datetime64[D]"))]


def test_who_knows_messages_foretells_returns_without_one_and_who_does_not_foretells_too_many(
    only_logistic, sample, split, simulated
):
    """By the simulation's own chances of all users of the test days, whoever was sent what."""
    truth = on(sample, split.test, simulated[1])
    rows = sample.as_days_were().judged(split.test)
    found = {}
    for name, its in {"knows": sample, "as days were": sample.as_days_were()}.items():
        found[name] = fitting.fit(only_logistic, its, split)
    over = {name: one.scorer.predict(rows).by_label["active_1_7"].sum() / truth.sum() for name, one in found.items()}

    assert over["knows"] == pytest.approx(1, abs=0.07)
    assert over["as days were"] > 1.15
    # What a version shows of itself is about users without a message, and so says the same.
    assert found["knows"].primary.model["predicted_over_actual"].value == pytest.approx(1, abs=0.1)
    assert len(found["knows"].longest.outcome) < rows.num_rows


@pytest.mark.parametrize("lift", [0.0, 0.7], ids=["without effect", "with one"])
def test_who_was_sent_none_is_no_fair_sample_and_who_is_left_is_one(recall, business, lift):
    """The trap: who comes back is sent nothing more, so among those who were sent nothing a fifth more have come back."""
    rows, truth = world(lift=lift, seed=3)
    sample = told_of(recall, rows, business)
    came, sent_none = rows["active_1_7"].to_numpy(), rows["messages"].to_numpy() == 0
    left = sample.rows[MESSAGED].to_numpy() == 0

    assert came[sent_none].sum() / truth[sent_none].sum() > 1.12
    assert came[left].sum() / truth[left].sum() == pytest.approx(1, abs=0.04)
    for half in (truth > np.median(truth), truth <= np.median(truth)):
        assert came[left & half].sum() / truth[left & half].sum() == pytest.approx(1, abs=0.1)


PEOPLE = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 5), st.one_of(st.none(), st.integers(1, 5))), min_size=1, max_size=30
)


@settings(max_examples=100, deadline=None)
@given(PEOPLE)
def test_the_chance_to_be_sent_nothing_more_is_the_product_of_its_days(people):
    """By group, day by day, of those who are still away and without a message; what came true is told by the same reference."""
    groups, until = (np.array(values) for values in list(zip(*people, strict=True))[:2])
    message = np.array([np.inf if day is None else day for _, _, day in people], float)
    found = messages.staying(groups, until, message, 5)

    for at, (group, away_until, _) in enumerate(people):
        alike = [User(0, 0, sent, active=came, lot=Fraction(0)) for of, came, sent in people if of == group]
        came_to, chance = (chance_of_none(alike, days) for days in (range(1, away_until + 1), range(away_until + 1, 6)))
        assert found[at] == pytest.approx(float(chance) if came_to > 0 else 0.0)


def test_of_few_messages_among_many_rows_nobody_says_who_is_likelier_to_be_sent_one(recall, business, monkeypatch):
    """Where the rows that are learnt from hold none of them, too."""
    rows, _ = world(share=0.0)
    stayed = np.flatnonzero(rows["active_1_7"].to_numpy() == 0)
    monkeypatch.setattr(messages, "LEARNT_FROM", len(stayed) // 2 + 1)
    sent = np.full(rows.num_rows, np.inf)
    sent[stayed[1 : 4 * messages.MIN_SENT : 2]] = 2
    told = rows.set_column(rows.column_names.index("message_after_days"), "message_after_days", _days(sent))
    messaged = told_of(recall, told, business).rows[MESSAGED].to_numpy()

    assert np.isfinite(sent).sum() > messages.MIN_SENT
    assert (messaged[np.isfinite(sent)] == 1).all()


def test_without_a_message_sample_and_model_are_what_they_were(only_logistic, business):
    """Also where marts.labels does not say anything of messages: of days that were built before it did."""
    rows, _ = world(share=0.0)
    plain = sample_of(only_logistic, rows.drop_columns(list(messages.COLUMNS)), business)
    nothing = pa.nulls(rows.num_rows, pa.int32())
    unknown = rows
    for name in messages.COLUMNS:
        unknown = unknown.set_column(unknown.column_names.index(name), name, nothing)

    for told in (told_of(only_logistic, some, business) for some in (rows, unknown)):
        assert told.digest == plain.digest
        assert told.messaged is None
        assert fitting.settled(only_logistic, told, samples.split(told, business)) is told


@pytest.mark.parametrize("candidate", ["logistic", "curves", "boosting"])
def test_a_score_never_reads_who_was_sent_a_message(recall, sample, split, candidate):
    """By no way: rows that say it and rows that do not are scored alike, bit for bit, also once stored; nor is it a reason."""
    scorer = fitting.fit(replace(recall, candidates=(candidate,)), sample, split).scorer
    files = scorer.to_files()
    again = Scorer.from_files(artifact.unpack(artifact.pack(files), artifact.digest_of(files)))
    some = sample.rows.slice(0, 400)
    without = some.drop_columns([MESSAGED])
    all_ones = without.append_column(MESSAGED, pa.array(np.ones(400, np.int8)))
    scored = scorer.score(without, WORDING)

    assert scorer.forecasts[0].candidate == candidate
    assert [part.messaged_at is not None for part in scorer.forecasts[0].parts] == [True]
    assert MESSAGED not in scorer.inputs
    assert not {MESSAGED, "active_1_7"} & {source for encoder in scorer.encoders for source in encoder.columns}
    for model, rows in combined((scorer, again), (without, some, all_ones)):
        assert model.score(rows, WORDING).equals(scored)
    assert again.to_files() == files
    assert json.loads(files["model.json"])["format"] == 6
    for row in scored.to_pylist():
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert whole == pytest.approx(row["raw_score"], rel=1e-9, abs=1e-9)
        assert MESSAGED not in {reason["feature"] for reason in row["reasons"]}


def test_the_input_is_learnt_and_worth_what_messages_change(only_logistic, sample, split):
    """Of a linear model: the weight that was learnt in training and that scoring never adds."""
    scorer = fitting.fit(only_logistic, sample, split).scorer
    (part,) = scorer.forecasts[0].parts
    encoded = Encoded(sample.rows.slice(0, 1)).by(part.encoder)
    none, one = (part.predictor.raw(np.insert(encoded, part.messaged_at, sent, axis=1)) for sent in (0.0, 1.0))

    assert one - none > 0.3
    assert part.raw(Encoded(sample.rows.slice(0, 1))) == pytest.approx(none)


def test_a_refit_and_a_champion_of_before_know_messages_alike(only_logistic, sample, split, business):
    """The recipe of a model that has not known messages is fitted with them; as it stands, it goes on to score."""
    earlier = fitting.fit(only_logistic, sample.as_days_were(), split).scorer
    recipe = fitting.fit_recipe(only_logistic, sample, split, earlier)
    refitted = fitting.refit(only_logistic, sample, earlier, samples.refit_days(sample, split, business))

    assert recipe.forecasts == fitting.fit(only_logistic, sample, split).scorer.forecasts
    assert [part.messaged_at is not None for part in refitted.scorer.forecasts[0].parts] == [True]
    assert json.loads(earlier.to_files()["model.json"])["format"] == 1
    assert Scorer.from_files(earlier.to_files()).score(sample.rows, WORDING).equals(earlier.score(sample.rows, WORDING))


def test_messages_that_came_after_the_training_days_alone_are_nothing_to_learn(only_logistic, sample, split):
    rows = sample.rows
    early = np.isin(rows["day"].to_numpy(), np.array(list(split.train["active_1_7"]), "datetime64[D]"))
    sent = np.where(early, 0, rows[MESSAGED].to_numpy()).astype(np.int8)
    late = replace(sample, rows=rows.set_column(rows.column_names.index(MESSAGED), MESSAGED, pa.array(sent)))
    scorer = fitting.fit(only_logistic, late, split).scorer

    assert [part.messaged_at for part in scorer.forecasts[0].parts] == [None]
    assert MESSAGED not in scorer.inputs


def test_where_nearly_all_are_sent_messages_days_are_learnt_from_as_they_were_and_it_is_said(recall, business):
    rows, _ = world(share=0.7)
    sample = told_of(recall, rows, business)
    split = samples.split(sample, business)
    told = fitting.settled(recall, sample, split)

    assert told.messaged is None
    assert told.about_messages.startswith("Learnt from days as they were, with the messages that were sent")
    assert told.judged(split.test).num_rows == len(split.test) * USERS


def test_what_was_made_of_messages_is_said(recall, sample, split):
    told = fitting.settled(recall, sample, split)
    left = sample.judged(split.test).num_rows

    assert told.rows is sample.rows
    assert told.about_messages == (
        f"Chosen, calibrated and judged on users who were sent no message: {left:,} of {len(split.test) * USERS:,} test rows."
    )


def test_several_targets_of_which_one_is_about_unmessaged_users_are_refused(ltv, ltv_sample, business):
    first, second = ltv_sample.targets
    asked = (replace(first, without_messages=True), second)
    rows = ltv_sample.rows.append_column(asked[0].messaged, pa.array(np.zeros(ltv_sample.rows.num_rows, np.int8)))
    sample = replace(ltv_sample, targets=asked, rows=rows)

    with pytest.raises(InputError, match="several_targets"):
        fitting.fit(ltv, sample, samples.split(sample, business))


def test_a_calibration_is_that_of_users_without_a_message(only_logistic, sample, split, simulated):
    """Also weeks later, of a champion that has not known messages: it is told that it foretells too many."""
    champion = fitting.fit(only_logistic, sample.as_days_were(), split).scorer
    trained = split.train["active_1_7"].last
    found = recalibration.recalibrate(only_logistic, sample, champion, trained, lateness_days=3, criteria=criteria())
    (attempt,) = found.attempts
    truth = on(sample, split.test, simulated[1])
    again = attempt.judged or attempt.forecast

    before, after = (
        one.predict(Encoded(sample.as_days_were().judged(split.test))).sum() / truth.sum()
        for one in (champion.forecasts[0], again)
    )
    assert "of users who were sent no message" in attempt.level.told
    assert attempt.level.value > 1.05
    assert before > 1.15
    assert after == pytest.approx(1, abs=0.1)


def test_a_backtest_judges_on_users_without_a_message(only_logistic, sample, business):
    (block,) = backtest.backtest(only_logistic, sample, business, first=sundays(WEEKS)[-1], rounds=2).blocks

    assert set(block.rows[MESSAGED].to_pylist()) == {0}


def test_a_written_sample_says_what_the_column_is_and_leaves_the_messaged_to_training(recall, sample, split, tmp_path):
    done = sample_rows.write(recall, sample, split, tmp_path)
    told = json.loads((tmp_path / sample_rows.COLUMNS).read_text())
    (column,) = [one for one in told["columns"] if one["role"] == "messages"]

    assert column["name"] == MESSAGED
    assert done.parts["active_1_7"]["test"] == sample.judged(split.test).num_rows
    assert any(MESSAGED in limit for limit in told["limits"])
