"""What campaigns teach, on simulated assignments whose effects are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.model.protected import NOTHING, Protected
from ml.model.scorer import FORMAT_UPLIFT, Scorer, output_ddl
from ml.training import effect
from ml.training.effect import Assigned
from tests.ml.conftest import WORDING, feature_rows, sundays

USERS = 3_000
CALLED = 0.3
"""A message adds so much to the chance of a return of whoever lives in Austria, and nothing to the others'."""

UPLIFT = ("uplift", "uplift_low", "uplift_high")


def assigned(*, moved: float = CALLED, users: int = USERS, campaigns: int = 1, planned: float | None = 0.5) -> Assigned:
    """Simulate campaigns of other users each, half of whom are controls."""
    lots = np.random.default_rng(5)
    rows = feature_rows(sundays(1), users, seed=4)
    features = rows.select([name for name in rows.column_names if name not in {"active_1_7", "net_revenue_1_30"}])
    features = features.drop_columns(["net_revenue_31_90"])
    in_austria = pc.fill_null(pc.equal(rows["country"], "AT"), fill_value=False).to_numpy()
    is_control = lots.random(users) < 0.5
    came = lots.random(users) < 0.2 + moved * (in_austria & ~is_control)
    facts = {
        "campaign": [f"planned c{n % campaigns}" for n in range(users)],
        "cluster": rows["user_id"],
        "is_control": is_control,
        "probability": pa.array([planned] * users, pa.float64()),
        "return_probability": pa.array([None] * users, pa.float64()),
        "outcome": came.astype(float),
    }
    return Assigned(pa.table(facts), features, 7)


@pytest.fixture(scope="module")
def trial():
    return assigned()


@pytest.fixture(scope="module")
def found(trial):
    return effect.taught(trial, NOTHING)


def told(scorer: Scorer, rows: pa.Table) -> dict[str, np.ndarray]:
    scored = scorer.score(rows, WORDING, besides=UPLIFT)
    return {name: scored[name].to_numpy() for name in UPLIFT}


def test_whom_a_message_moves_is_learnt_and_scored(found, trial, recall_fitted):
    """The mean of Austrians and of the others lies in the intervals that users of each kind have."""
    scores = told(replace(recall_fitted.scorer, uplift=found.uplift), trial.features)
    austria = pc.fill_null(pc.equal(trial.features["country"], "AT"), fill_value=False).to_numpy()

    assert (found.learnt.status, found.campaigns) == ("modelled", 1)
    assert scores["uplift"][austria].mean() == pytest.approx(CALLED, abs=0.08)
    assert scores["uplift"][~austria].mean() == pytest.approx(0, abs=0.05)
    assert (scores["uplift_low"] < scores["uplift"]).all() and (scores["uplift"] < scores["uplift_high"]).all()
    assert "Each user has an uplift of their own, learnt from 3,000 assignments by lot (campaigns: 1)" in found.told


def test_a_model_with_an_uplift_is_read_again_and_says_the_same(found, trial, recall_fitted, recall, business):
    scorer = replace(recall_fitted.scorer, uplift=found.uplift)
    files = scorer.to_files()
    again = Scorer.from_files(files)
    rows = trial.features.slice(0, 50)

    assert json.loads(files["model.json"])["format"] == FORMAT_UPLIFT
    assert again.to_files() == files and again.inputs == scorer.inputs
    besides = recall.besides(business)
    scored = again.score(rows, WORDING, besides=besides)
    assert scored.equals(scorer.score(rows, WORDING, besides=besides))
    names = [part.split()[0] for part in output_ddl(recall.targets(business), besides=besides).split(", ")]
    assert scored.column_names == names
    # What else it says is what it says without.
    plain = recall_fitted.scorer.score(rows, WORDING)
    assert scored.drop_columns(list(UPLIFT)).equals(plain)
    assert again.score(rows.slice(0, 0), WORDING, besides=besides).num_rows == 0


def test_a_model_without_an_uplift_is_written_as_before_and_says_none(trial, recall_fitted):
    files = recall_fitted.scorer.to_files()
    scored = recall_fitted.scorer.score(trial.features.slice(0, 50), WORDING, besides=UPLIFT)

    assert b"uplift" not in files["model.json"]
    assert all(scored[name].null_count == 50 for name in UPLIFT)


def test_nothing_is_read_that_no_model_may_read(trial):
    few = replace(trial, facts=trial.facts.slice(0, 500), features=trial.features.slice(0, 500))
    read, all_read = (
        {name.partition(" ")[0] for name in effect.taught(few, kind).learnt.checks.balance.differences}
        for kind in (Protected(("country",), ()), NOTHING)
    )

    assert all_read - read == {"country"}


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        ({"moved": 0.0}, "not_shown", "Qini|no learner"),
        ({"users": 600}, "average", "are too few to learn from"),
        ({"users": 150}, None, "no campaign tells of it"),
        ({"planned": 0.3}, None, "Not believed, for their controls have not the planned size: 1"),
        ({"planned": None, "users": 600}, "average", "are too few to learn from"),
    ],
)
def test_where_it_cannot_be_told_no_user_has_one_and_it_is_said_why(given, status, says):
    found = effect.taught(assigned(**given), NOTHING)

    assert (found.learnt and found.learnt.status) == status
    assert (found.uplift is None) == (status != "modelled")
    assert pc.match_substring_regex(pa.scalar(found.told), says).as_py()
    assert json.loads(json.dumps(found.to_json()))["says"] == found.told


def test_a_campaign_that_is_not_believed_counts_for_nothing_and_the_others_do():
    both = assigned(campaigns=2)
    first = pc.equal(both.facts["campaign"], "planned c0").to_numpy()
    kept = ~first | both.facts["is_control"].to_numpy() | (np.arange(USERS) % 3 > 0)
    torn = replace(both, facts=both.facts.filter(pa.array(kept)), features=both.features.filter(pa.array(kept)))
    found = effect.taught(torn, NOTHING)

    assert (found.campaigns, found.not_believed) == (1, 1)
    assert sum(found.learnt.users.values()) == USERS / 2
