"""Each value of conf/gate.yml decides something: with another one the verdict is another."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ml.objectives import OBJECTIVES, figures
from ml.training import fitting, gate, leak_screen, samples
from ml.training.evaluation import Judged, evaluate
from ml.training.gate import Challenge, Criteria, Pair, criteria, leaks, recalibrated, served
from ml.training.gate.criteria import FILE, value_for
from rekindle.errors import InputError
from tests.traps import trap

ASKED = criteria().model_copy(update={"resamples": 200})


def with_(**changed) -> Criteria:
    """The criteria of the file, but for some."""
    return Criteria.model_validate({**ASKED.model_dump(), **changed})


def judged(noise: float, *, seed: int = 1, users: int = 1500, times: float = 1.0) -> Judged:
    draw, own = np.random.default_rng(0), np.random.default_rng(seed)
    truth = draw.normal(size=users)
    outcome = (draw.random(users) < 1 / (1 + np.exp(1 - truth))).astype(float)
    raw = truth + noise * own.normal(size=users)
    chance = 1 / (1 + np.exp(1 - raw / (1 + noise**2)))
    return Judged(np.arange(users), outcome, raw, times * chance, draw.normal(size=users), 0.3)


def challenged(
    challenger: Judged,
    champion: Judged,
    asked: Criteria,
    *,
    same: bool = False,
    simpler: bool = False,
    cut: bool = False,
) -> gate.Verdict:
    # By an attribute that has to do with nothing.
    half = np.where(np.arange(len(challenger.users)) % 2, "odd", "even")
    cuts = {"numbers": half.astype(object)} if cut else {}
    challenge = Challenge("probability", Pair(challenger, champion), same, simpler, cuts)
    return gate.judge_challenger(evaluate("probability", challenger), challenge, asked)


def little_better(asked: Criteria) -> bool:
    return challenged(judged(0.5), judged(0.7, seed=2), asked).passed


def little_worse_and_simpler(asked: Criteria) -> bool:
    return challenged(judged(0.6), judged(0.5), asked, simpler=True).passed


def little_worse_and_the_same(asked: Criteria) -> bool:
    """Too few rows to tell, so the value decides."""
    return challenged(judged(0.5, seed=2), judged(0.5), asked, same=True).passed


def worse_for_some(asked: Criteria) -> bool:
    """For half of the users it is much better than the champion's recipe, and for the others much worse."""
    champion, better, noise = judged(1.0), judged(0.05), judged(2.2, seed=3)
    odd = np.arange(len(better.users)) % 2 == 1
    raw = np.where(odd, better.raw, noise.raw)
    return challenged(replace(better, raw=raw), champion, asked, cut=True).passed


def a_season(asked: Criteria) -> bool:
    return gate.judge(evaluate("probability", judged(0.5, times=0.75)), asked).passed


def still_holds(asked: Criteria) -> bool:
    return recalibrated.holds(evaluate("probability", judged(0.5, times=1.25)), "some days", asked).passed


def refit(asked: Criteria, name: str) -> bool:
    before = judged(0.0)
    again = judged(0.15, times=1.05)
    return {c.name: c.passed for c in served.like_judged(again, before, asked)}[name]


def ranks_alike(asked: Criteria) -> bool:
    return refit(asked, "served_rank")


def mean_is_near(asked: Criteria) -> bool:
    return refit(asked, "served_mean")


def a_feature_ranks_alone(asked: Criteria, *, is_champion: bool) -> bool:
    rows = judged(0.5)
    columns = {"known_later": rows.raw}
    reference = figures.auc(rows.outcome, rows.raw) - 0.1
    by = OBJECTIVES["probability"].figures
    return leaks.single_features(by, rows.outcome, columns, reference, asked, is_champion=is_champion).passed


def dealt_anew(asked: Criteria) -> bool:
    found = 0.52 + 0.01 * np.random.default_rng(0).normal(size=20)
    return leaks.shuffled_labels(OBJECTIVES["probability"].figures, found.tolist(), asked).passed


DECIDES = {
    "leak_over_champion": (partial(a_feature_ranks_alone, is_champion=True), {"auc": 0.05}, {"auc": 0.15}),
    "leak_over_rule": (partial(a_feature_ranks_alone, is_champion=False), {"auc": 0.05}, {"auc": 0.15}),
    "shuffle_level": (dealt_anew, 0.05, 1e-15),
    "better_level": (little_better, 1e-3, 0.3),
    "margin": (little_worse_and_simpler, {"auc": 1e-4}, {"auc": 0.1}),
    "wide_times": (little_worse_and_the_same, 1e3, 0.1),
    "segment_positives": (worse_for_some, 50, 5_000),
    "segment_loss": (worse_for_some, {"auc": 0.01}, {"auc": 0.5}),
    "segment_level": (worse_for_some, 0.05, 1e-7),
    "predicted_over_actual": (a_season, (0.95, 1.05), (0.5, 2.0)),
    "announced_over_actual": (still_holds, (0.9, 1.1), (0.5, 2.0)),
    "served_rank": (ranks_alike, 0.999, 0.9),
    "served_mean": (mean_is_near, 1e-4, 0.2),
}
"""By name: what it decides, a value that keeps it out and one that lets it in."""


@trap("criteria that are written and never read")
@pytest.mark.parametrize("name", DECIDES)
def test_a_value_decides(name):
    decided, out, let_in = DECIDES[name]

    assert not decided(with_(**{name: out}))
    assert decided(with_(**{name: let_in}))


def test_the_number_of_draws_is_the_files(monkeypatch):
    """More of them change no verdict but a close one: that they are as many as asked for is seen."""
    asked = []
    monkeypatch.setattr(gate.paired, "counts", lambda _users, rounds: asked.append(rounds) or iter([]))
    challenged(judged(0.5), judged(0.6), with_(resamples=123))

    assert set(asked) == {123}


def test_outcomes_are_dealt_anew_as_often_and_of_so_many_rows_as_the_file_says(
    recall, recall_sample, recall_fitted, business, monkeypatch
):
    seen = []
    fit = fitting.fit_recipe

    def counted(product, sample, split, recipe, encoders):
        seen.append(sample.rows.num_rows)
        return fit(product, sample, split, recipe, encoders)

    monkeypatch.setattr(fitting, "fit_recipe", counted)
    split = samples.split(recall_sample, business)
    asked = with_(shuffles=3, shuffle_rows=1000)
    leak_screen.screen(recall, recall_sample, split, recall_fitted, None, asked=asked, settings=business)

    assert seen == 3 * [1000]


@trap("criteria that are written and never read")
def test_no_value_is_written_and_never_read():
    assert {*DECIDES, "resamples", "shuffles", "shuffle_rows"} == set(Criteria.model_fields)


def test_each_value_stands_in_the_file_with_a_sentence():
    lines = FILE.read_text(encoding="utf-8").splitlines()

    for name in Criteria.model_fields:
        (line,) = (line for line in lines if line.startswith(f"{name}:"))
        assert len(line.partition("#")[2].split()) > 5, f"say in conf/gate.yml what {name} is"


@pytest.mark.parametrize(
    "text",
    ["resamples: many", "nonsense: 1", "[", "predicted_over_actual: [2, 1]"],
    ids=["no number", "unknown", "no YAML", "empty"],
)
def test_a_file_that_cannot_be_used_lets_nobody_in(tmp_path, text):
    file = tmp_path / "gate.yml"
    file.write_text(text)

    with pytest.raises(InputError, match="unreadable_criteria"):
        criteria(file)
    with pytest.raises(InputError, match="unreadable_criteria"):
        criteria(tmp_path / "nowhere.yml")


def test_a_figure_without_a_value_lets_nobody_in():
    with pytest.raises(InputError, match="no margin for the figure cunning"):
        value_for("cunning", ASKED.margin, "margin")


def test_a_criterion_keeps_what_was_asked_and_what_was_found():
    verdict = challenged(judged(0.5), judged(1.5), ASKED)
    kept = {one.name: one.to_json() for one in verdict.criteria}

    assert verdict.route == "better"
    assert {"better", "ranking", "log_loss", "predicted_over_actual", "segments"} == kept.keys()
    assert kept["better"]["threshold"] == 0 < kept["better"]["low"] < kept["better"]["value"] < kept["better"]["high"]
