"""The bench over businesses, on made-up rows: what is joined, what is held against what, and what its page says."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from ml.products import product_named
from ml.training import backtest
from ml.training.backtest import MODEL
from ml.training.samples import Sample
from ml.training.tuned import DECLARED, Found, Tuned
from quality.businesses import built, digest, others, page, searches
from quality.businesses.contest import Contest
from quality.businesses.declared import BUSINESSES
from quality.businesses.others import beside
from quality.checks import businesses as check
from rekindle.landing.filling.samples import SAMPLES
from rekindle.settings import Settings
from tests.ml.conftest import feature_rows, sample_of, sundays

WEEKLY = next(business for business in BUSINESSES if business.name == "weekly")


@pytest.fixture(scope="module")
def found():
    settings = Settings(lapse_days=7, recall_horizon_days=7, lateness_days=3)
    product = replace(product_named("recall"), candidates=("logistic",))
    sample = sample_of(product, feature_rows(sundays(12), 220), settings)
    return backtest.backtest(product, sample, settings, first=sundays(12)[9], rounds=20)


def foretold(block, score, *, leave_out: int = 0) -> pa.Table:
    """What somebody else says of a block's rows: by a recipe that is chosen, and by one that is not."""
    judged = block.judged[MODEL]
    rows = block.rows.select(["day", "user_id"]).append_column("outcome", pa.array(judged.outcome)).slice(leave_out)
    recipes = {"chosen": (score(judged)[leave_out:], True), "other": (np.zeros(rows.num_rows), False)}
    return pa.concat_tables(
        rows.append_column("recipe", pa.array([name] * rows.num_rows))
        .append_column("score", pa.array(values))
        .append_column("is_chosen", pa.array([chosen] * rows.num_rows))
        for name, (values, chosen) in recipes.items()
    )


def test_the_same_scores_differ_by_nothing_and_no_row_is_left_over(found):
    same = beside(found, [foretold(block, lambda judged: judged.raw) for block in found.blocks])

    assert (same.difference.value, same.difference.low, same.difference.high) == (0.0, 0.0, 0.0)
    assert same.unmatched == 0
    assert same.by_recipe["other"] == 0.5
    assert same.by_recipe["chosen"] == pytest.approx(found.measured.of(MODEL)["auc"].value)


def test_rows_that_only_one_of_both_has_are_counted_and_not_compared(found):
    fewer = beside(found, [foretold(block, lambda judged: -judged.raw, leave_out=3) for block in found.blocks])

    assert fewer.unmatched == 3 * len(found.blocks)
    assert fewer.difference.value > 0.1


@pytest.mark.parametrize(("user_share", "left"), [(1.0, ["ours", "nobody's"]), (0.5, ["ours"])])
def test_users_whom_our_sample_has_not_drawn_are_not_compared(found, user_share, left):
    rows = pa.table({"user_id": ["ours", "ours"], "day": [1, 2]})
    sample = Sample("recall", found.day, (), rows, {}, user_share)

    assert others.of_drawn(pa.table({"user_id": ["ours", "nobody's"]}), sample)["user_id"].to_pylist() == left
    assert others.of_drawn(None, sample) is None


def test_what_loses_fails_and_the_page_says_lost(found):
    told = found.to_json()
    losing = {**told, "mean_difference": {"value": -0.02, "low": -0.03, "high": -0.01}}
    theirs = beside(found, [foretold(block, lambda judged: judged.raw) for block in found.blocks])
    contest = Contest(WEEKLY, "recall", losing, theirs)
    failing = [figure.name for figure in check.told(contest) if not figure.holds]
    written = page.text([contest], ["thin, ltv: its history is too short for a sample"], "a1b2c3d of 2026-11-29")

    assert "weekly, recall: auc minus that of the best naive rule, lower end" in failing
    assert not any("others" in name or "only one of both" in name for name in failing)
    assert "*-0.020 (-0.030 to -0.010), lost*" in written and "+0.000 (+0.000 to +0.000)" in written
    assert "weekly**: simulated: most come every week" in written and "too short for a sample" in written
    assert {line.count("|") for line in written.splitlines() if line.startswith("|")} == {11}


def test_rows_are_kept_apart_for_each_declaration():
    more = replace(WEEKLY, made_of={**WEEKLY.made_of, "users": 3})

    assert built.folder_of(WEEKLY) == built.folder_of(replace(WEEKLY))
    assert built.folder_of(WEEKLY) != built.folder_of(more)


def test_a_search_is_made_once_before_all_blocks_and_not_where_there_is_too_little(tmp_path, monkeypatch):
    settings = Settings(lapse_days=7, recall_horizon_days=7, lateness_days=3)
    product = replace(product_named("recall"), candidates=("boosting",))
    sample = sample_of(product, feature_rows(sundays(40), 60), settings)
    asked = []

    def search(_product, _sample, split, trials):
        asked.append(split)
        return SimpleNamespace(
            found=Found(day=sample.day, unseen_from=split.test.first, trials=trials, learners={"boosting": {}})
        )

    monkeypatch.setattr(built, "KEPT", tmp_path)
    monkeypatch.setattr(searches.searching, "search", search)
    blocks = [sundays(40)[n : n + 4] for n in (28, 32, 36)]
    first, again = (searches.of(WEEKLY, product, sample, blocks) for _ in range(2))

    assert first == again == Tuned({"boosting": {}}, blocks[0][0])
    assert [split.test.first for split in asked] == [blocks[0][0]]
    assert searches.of(WEEKLY, replace(product, name="ltv"), sample, [sundays(40)[:4]]) is None


def test_the_page_says_what_was_found(found):
    contest = Contest(WEEKLY, "recall", found.to_json(), None)
    tuned = (None, DECLARED, Tuned({"boosting": {"num_leaves": 8}}))
    written = [page.text([replace(contest, tuned=one)], [], "a1b2c3d of 2026-11-29") for one in tuned]

    assert "no search: too few days" in written[0]
    assert "nothing better than what is declared" in written[1]
    assert "found: boosting with num_leaves 8" in written[2]


def test_every_declared_change_of_the_simulation_is_one_of_its_parameters():
    from rekindle.landing.filling.simulation.parameters import parameters

    conf = parameters()
    for business in BUSINESSES:
        for group, changes in business.made_of.items():
            if isinstance(changes, dict):
                assert set(changes) <= set(type(getattr(conf, group)).model_fields)


def test_a_business_that_is_not_simulated_is_a_sample_in_its_currency():
    public = {business.name: business.currency for business in BUSINESSES if "sample" in business.made_of}

    assert public == {name: sample.currency for name, sample in SAMPLES.items()}


def test_words_about_code_build_nothing_anew_and_code_does():
    assert (
        digest.python('"""One."""\nx = 1  # why\n')
        == digest.python('"""Another."""\nx = 1\n')
        != digest.python("x = 2\n")
    )
    assert digest.sql("-- why\nselect 1\n") == digest.sql("select 1\n") != digest.sql("select 2\n")
    assert (
        digest.yml("a: {is: one, type: text}") == digest.yml("a: {type: text}  # why") != digest.yml("a: {type: date}")
    )


THEIRS = """
import sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
asked = Path(__file__).with_name("asked.txt")
asked.write_text(asked.read_text() + "|" if asked.exists() else "once")
tasks = ["recall", "ltv"] if given["--ltv"] else ["recall"]
rows = {"task": tasks, "horizon": [int(given["--horizons"]), int(given["--ltv"] or 0)][: len(tasks)]}
pq.write_table(pa.table(rows), given["--predictions"])
"""


def test_others_are_asked_once_and_only_what_was_asked_is_told(tmp_path, monkeypatch):
    script = tmp_path / "theirs.py"
    script.write_text(THEIRS)
    monkeypatch.setattr(others, "SCRIPT", script)
    monkeypatch.setattr(built, "KEPT", tmp_path)

    told = [
        others.foretold(WEEKLY, product, horizon, sundays(2)) for product, horizon in [("recall", 7), ("ltv", 30)] * 2
    ]

    assert [one.to_pydict() for one in told] == [
        {"task": ["recall"], "horizon": [7]},
        {"task": ["ltv"], "horizon": [30]},
    ] * 2
    assert (tmp_path / "asked.txt").read_text() == "once|"


def test_others_who_fail_are_no_others_who_found_too_little(tmp_path, monkeypatch, found):
    script = tmp_path / "theirs.py"
    script.write_text("raise SystemExit('no such column')")
    monkeypatch.setattr(others, "SCRIPT", script)
    monkeypatch.setattr(built, "KEPT", tmp_path)

    with pytest.raises(others.FailedError, match="no such column"):
        others.foretold(WEEKLY, "recall", 7, sundays(2))
    failed = Contest(WEEKLY, "recall", found.to_json(), None, "theirs.py ended with 1")
    assert [figure.name for figure in check.told(failed) if "failed" in figure.name and not figure.holds]
