"""Through the real thing: Iceberg tables read by Spark Connect, a champion in MLflow, scores made by workers."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from pyspark.sql import functions as F
from typer.testing import CliRunner

from ml import inputs, products, registry
from ml.model import artifact
from ml.model.encoder import Dense
from ml.model.learners import LEARNERS, Learner
from ml.model.learners.linear import Column, Linear
from ml.model.part import Part
from ml.model.scorer import Scorer, archive_name, output_ddl, scoring_function
from ml.objectives import figures
from ml.training import backtest, effect, evaluation, fitting, gate, messages, recalibrator, samples, trainer
from ml.training.tuned import Found
from rekindle import records, yml
from rekindle.cli import app
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.report.card import CARD
from rekindle.settings import settings
from rekindle.warehouse import tables, tags
from spark_jobs import scores
from tests.ml.conftest import COLUMNS, feature_rows, sundays

pytestmark = pytest.mark.usefixtures("mlflow_ready", "world")

WEEKS = sundays(20)
LAST = WEEKS[-1]
KNOWN_AFTER = timedelta(days=7 + 3)
DAY = LAST + KNOWN_AFTER
"""With this delivery the label of the last week is known; all days lie long before those of other tests."""


@pytest.fixture(scope="module")
def world(spark) -> pa.Table:
    """Features, population and labels of twenty Sundays, and one Monday that training passes over."""
    # What a training reads is recorded of its run.
    for run_id in ("a run", "one run", "another"):
        records.start_run("train", Days.one(DAY), run_id=run_id)
    rows = pa.concat_tables([feature_rows(WEEKS, 150), feature_rows([LAST + timedelta(days=1)], 150, seed=1)])
    features = rows.select([column.name for column in COLUMNS])
    population = rows.select(["day", "user_id"]).append_column("lapsed_days", rows["recency_days"])
    labels = pa.table(
        {
            "day": [day + KNOWN_AFTER for day in rows["day"].to_pylist()],
            "feature_day": rows["day"],
            "user_id": rows["user_id"],
            "label": ["active_1_7"] * rows.num_rows,
            "value": rows["active_1_7"],
            **{name: pa.nulls(rows.num_rows, pa.int32()) for name in messages.COLUMNS},
        }
    )
    for table, content in (
        ("features.user", features),
        ("marts.recall_population", population),
        ("marts.labels", labels),
    ):
        written = spark.createDataFrame(content)
        names = spark.table(table).columns
        written.select(*names).writeTo(table).append()
    yield rows
    for table in ("features.user", "marts.recall_population", "marts.labels"):
        spark.sql(f"DELETE FROM {table} WHERE day <= DATE '{DAY + timedelta(days=30)}'")


@pytest.fixture(autouse=True)
def few_fits(monkeypatch):
    """Two trainings on outcomes dealt anew, each time: tests/ml/training/test_leak_screen.py has more of them."""
    kept = gate.criteria().model_copy(update={"shuffles": 2})
    monkeypatch.setattr(gate, "criteria", lambda: kept)


@pytest.fixture
def product(recall, monkeypatch):
    own = replace(recall, name=f"recall_{uuid4().hex[:8]}")
    monkeypatch.setattr(products, "PRODUCTS", (own,))
    monkeypatch.setattr(products, "REGISTERED", (own,))
    return own


@pytest.fixture
def scored(spark, product):
    """Score a day before there was any champion by whoever is; what is not the same of two runs is left out."""
    day = WEEKS[0]

    def work() -> pa.Table:
        run_id = records.start_run("daily", Days.one(day))
        scores.main(spark, Days.one(day), run_id, product=product)
        rows = tables.read_days(spark, product.table, Days.one(day)).drop("run_id", "model_version", "model_digest")
        return rows.toArrow().sort_by("user_id")

    yield work
    spark.sql(f"DELETE FROM {product.table} WHERE day = DATE '{day}'")


def test_a_sample_is_what_was_known_at_the_end_of_the_day(spark, recall, business):
    """The label of the last week is delivered on DAY; a day earlier nobody knew it."""
    now = samples.sample(spark, recall, DAY, business)
    before = samples.sample(spark, recall, DAY - timedelta(days=1), business)

    assert now.days_known(now.targets[0]) == WEEKS
    assert before.days_known(before.targets[0]) == WEEKS[:-1]


def test_a_sample_is_the_stored_features_with_their_labels(spark, world, recall, business):
    found = samples.sample(spark, recall, DAY, business).rows
    on_sundays = world.filter(pc.is_in(world["day"], value_set=pa.array(WEEKS)))
    expected = on_sundays.sort_by([("day", "ascending"), ("user_id", "ascending")]).select(found.column_names)

    assert found.to_pylist() == expected.to_pylist()


def test_a_sample_says_who_was_sent_a_message_by_what_the_label_says(spark, world, recall, business):
    """Of a label of its own, so that no other test sees them: who was sent one first, who came back first, and who neither."""
    (target,) = recall.targets(business)
    own = replace(recall, targets=lambda _: (replace(target, to_day=6),))
    days, users = (world[name].to_pylist() for name in ("day", "user_id"))
    sent = [user.endswith("1") for user in users]
    labels = pa.table(
        {
            "day": [day + KNOWN_AFTER for day in days],
            "feature_day": days,
            "user_id": users,
            "label": ["active_1_6"] * len(days),
            "value": [1.0] * len(days),
            "messages": [int(one) for one in sent],
            "message_after_days": pa.array([2 if one else None for one in sent], pa.int32()),
            "active_after_days": pa.array([2 if one else None for one in sent], pa.int32()),
        }
    )
    names = spark.table("marts.labels").columns
    spark.createDataFrame(labels).select(*names).writeTo("marts.labels").append()
    found = samples.sample(spark, own, DAY, business)

    assert found.messaged == "messaged_1_6"
    assert not {*messages.COLUMNS} & {*found.rows.column_names}
    assert found.rows["messaged_1_6"].to_pylist() == [
        int(user.endswith("1")) for user in found.rows["user_id"].to_pylist()
    ]


def test_a_sample_names_the_snapshots_it_read(spark, recall, business):
    found = samples.sample(spark, recall, DAY, business).snapshots

    assert found == {name: tables.snapshot_id(spark, name) for name in found}
    assert set(found) == {"features.user", "features.user_day", "marts.recall_population", "marts.labels"}


def test_totals_are_of_whoever_was_active_as_it_was_told_of_within_a_week(spark, recall, business):
    """Also of who is in no population; of dates that not all is told of yet there are none."""
    first, late, after = DAY - timedelta(days=20), timedelta(days=8), DAY - timedelta(days=6)
    told = [
        ("u1", first, first, True),
        ("u2", first, first + timedelta(days=7), True),
        ("u3", first, first + late, True),
        ("u1", first, first + timedelta(days=1), False),
        ("u1", after - timedelta(days=1), after, True),
        ("u1", after, after, True),
    ]
    schema = spark.table("features.user_day").schema
    nothing = dict.fromkeys(schema.names, 0) | {"sale_amount": Decimal(0), "refund_amount": Decimal(0)}
    tiles = [
        nothing | {"day": day, "user_id": user, "activity_on": on, "is_first": is_first, "event_counts": {}}
        for user, on, day, is_first in told
    ]
    rows = [tuple(tile[name] for name in schema.names) for tile in tiles]
    spark.createDataFrame(rows, schema).writeTo("features.user_day").append()
    try:
        found = samples.sample(spark, recall, DAY, business).totals
    finally:
        spark.sql(f"DELETE FROM features.user_day WHERE day <= DATE '{DAY}'")

    assert found.to_pydict() == {"activity_on": [first, after - timedelta(days=1)], "active_1_7": [2.0, 1.0]}
    assert samples.sample(spark, recall, DAY, business).totals is None


def test_a_large_population_is_sampled_by_user(spark, recall, business, monkeypatch):
    """A user is in the sample on all days or on none."""
    monkeypatch.setattr(samples, "MAX_ROWS", 1000)
    found = samples.sample(spark, recall, DAY, business)
    days_of = pa.TableGroupBy(found.rows, "user_id").aggregate([("day", "count")])["day_count"].to_pylist()

    assert 600 < found.rows.num_rows < 1400
    assert set(days_of) == {len(WEEKS)}


@pytest.fixture(scope="module")
def rarely(spark, world, recall, business):
    """A product of a label of its own, which comes true of one row in fifty."""
    (target,) = recall.targets(business)
    own = replace(recall, targets=lambda _: (replace(target, to_day=5, without_messages=False),))
    on_sundays = world.filter(pc.is_in(world["day"], value_set=pa.array(WEEKS))).select(["day", "user_id"])
    rare = np.random.default_rng(0).random(on_sundays.num_rows) < 0.02
    labels = pa.table(
        {
            "day": [day + KNOWN_AFTER for day in on_sundays["day"].to_pylist()],
            "feature_day": on_sundays["day"],
            "user_id": on_sundays["user_id"],
            "label": ["active_1_5"] * on_sundays.num_rows,
            "value": rare.astype(float),
            **{name: pa.nulls(on_sundays.num_rows, pa.int32()) for name in messages.COLUMNS},
        }
    )
    spark.createDataFrame(labels).select(*spark.table("marts.labels").columns).writeTo("marts.labels").append()
    return own, on_sundays.append_column("active_1_5", labels["value"])


def keys(rows: pa.Table) -> set[tuple]:
    return set(zip(rows["day"].to_pylist(), rows["user_id"].to_pylist(), strict=True))


def test_of_a_rare_outcome_every_row_that_came_true_is_learnt_from_and_no_more_rows_are_kept(
    spark, rarely, business, monkeypatch
):
    product, rows = rarely
    monkeypatch.setattr(samples, "MAX_ROWS", 1000)
    found, plain = (samples.sample(spark, product, DAY, business, to_learn=one) for one in (True, False))
    (target,), strata = found.targets, found.strata
    came = rows.filter(pc.equal(rows["active_1_5"], 1))
    learnt = found.to_learn(strata.days, target)

    assert strata.days.last < samples.split(plain, business).validation["active_1_5"].first
    assert (strata.rarer_share, strata.rarer + strata.others) == (1.0, 150 * len(strata.days))
    assert keys(learnt.filter(pc.equal(learnt["active_1_5"], 1))) == {
        key for key in keys(came) if key[0] in set(strata.days)
    }
    assert not keys(found.rows) & keys(found.beside) and found.beside.schema == found.rows.schema
    assert learnt.num_rows == pytest.approx(strata.later_share * 150 * len(strata.days), rel=0.2)
    assert found.weight(learnt).sum() / strata.others_share == pytest.approx(strata.rarer + strata.others, rel=0.2)


def test_all_that_chooses_calibrates_or_judges_is_a_plain_sample_still(spark, rarely, business, monkeypatch):
    product, _ = rarely
    monkeypatch.setattr(samples, "MAX_ROWS", 1000)
    found, plain = (samples.sample(spark, product, DAY, business, to_learn=one) for one in (True, False))
    (target,), split = found.targets, samples.split(found, business)

    assert split == samples.split(plain, business)
    for days in (split.validation["active_1_5"], split.test):
        assert found.unmessaged(days, target).equals(plain.unmessaged(days, target))
        assert found.to_learn(days, target).equals(found.of(days, target))
    assert found.judged(split.test).equals(plain.judged(split.test))


def test_a_draw_by_what_came_true_is_the_same_each_time_and_its_digest_covers_it(spark, rarely, business, monkeypatch):
    product, _ = rarely
    monkeypatch.setattr(samples, "MAX_ROWS", 1000)
    once, twice = (samples.sample(spark, product, DAY, business) for _ in range(2))
    strata = replace(once.strata, others_share=once.strata.others_share / 2)

    assert once.digest == twice.digest
    assert len({one.digest for one in (once, once.plain, once.whole, replace(once, strata=strata))}) == 4


@pytest.mark.parametrize(("max_rows", "rare"), [(1000, False), (1_000_000, True)], ids=["common", "all are kept"])
def test_where_nothing_is_gained_a_sample_is_as_it_was_to_the_bit(
    spark, recall, rarely, business, monkeypatch, *, max_rows, rare
):
    monkeypatch.setattr(samples, "MAX_ROWS", max_rows)
    product = rarely[0] if rare else recall
    found, plain = (samples.sample(spark, product, DAY, business, to_learn=one) for one in (True, False))

    assert (found.strata, found.beside) == (None, None)
    assert found.digest == plain.digest


def test_only_the_latest_weeks_are_learnt_from(spark, recall, business):
    found = samples.sample(spark, recall, DAY, business.model_copy(update={"training_weeks": 6}))

    assert found.days_known(found.targets[0]) == WEEKS[-6:]


def test_training_makes_a_champion_that_workers_score_with(spark, product, business, tmp_path):
    done = trainer.train(spark, product, DAY, "a run")
    champion = registry.champion(product)
    files = registry.files_of(champion)
    archive = tmp_path / archive_name(champion.digest)
    archive.write_bytes(artifact.pack(files))
    spark.addArtifacts(str(archive), file=True)

    rows = tables.read_days(spark, "features.user", Days.one(LAST))
    wording = inputs.wording(product, business)
    function = scoring_function(champion.digest, wording)
    scored = rows.mapInArrow(function, output_ddl(product.targets(business))).toArrow()

    here = Scorer.from_files(files).score(rows.toArrow(), wording)
    assert done.promoted
    assert (done.version, done.verdict.passed) == (champion, True)
    assert scored.sort_by("user_id").to_pylist() == here.sort_by("user_id").to_pylist()


def test_training_twice_is_training_once(spark, product):
    first, second = (trainer.train(spark, product, DAY, run_id) for run_id in ("one run", "another"))

    assert first.version == second.version == second.same_as
    assert first.same_as is None
    assert second.promoted
    assert len(records.promotions(product.name)) == 1


def test_an_earlier_day_does_not_depose_the_champion(spark, product):
    champion = trainer.train(spark, product, DAY, "a run")
    earlier = trainer.train(spark, product, DAY - timedelta(weeks=2), "another")

    assert earlier.verdict.passed
    assert not earlier.promoted
    assert f"was trained as of {DAY}, a later day" in earlier.why_not_promoted
    assert registry.champion(product) == champion.version


def test_the_same_rows_are_named_and_registered_once_whatever_day_they_are_asked_for(spark, product):
    """The days after it bring no new label of a Sunday."""
    champion = trainer.train(spark, product, DAY - timedelta(days=6), "a run")
    again = trainer.train(spark, product, DAY - timedelta(days=1), "another")

    assert again.same_as == again.version == champion.version
    assert again.to_json()["same_as"] == champion.version.version
    assert registry.champion(product).trained_day == DAY - timedelta(days=6)
    assert len(records.promotions(product.name)) == 1


def test_a_day_that_nobody_has_delivered_is_refused_by_name(spark, product):
    """It would learn from the same rows and then hold the office against every earlier day."""
    with pytest.raises(
        InputError, match=r"day_not_delivered: Nothing of 2222-02-02 has been delivered: .*the champion stays"
    ):
        trainer.train(spark, product, date(2222, 2, 2), "a run")
    assert registry.versions(product) == []


def without_a_clue(encoders, *_rows):
    """A learner that has found the weakest of signals, and believes in it."""
    dense = encoders.of(Dense)
    at = dense.columns.index("recency_days")
    found = Linear(len(dense.columns), 0.0, (Column(at, "log", 7.0, 120.0, 3.9, -0.5, 0.0, 0.0),))
    return (Part(dense, found),)


def test_where_the_model_loses_the_best_naive_rule_is_champion_and_the_answer_says_so(product, monkeypatch):
    """Somebody is scored, so the exit code is 0; the verdict tells that the model lost."""
    for name in product.candidates:
        monkeypatch.setitem(LEARNERS, name, Learner(name, "without a clue", without_a_clue, predictors=(Linear,)))
    done = CliRunner().invoke(app, ["train", product.name, "--day", str(DAY), "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)
    version = registry.champion(product)
    tags = MlflowClient().get_model_version(product.model_name, version.version)
    scorer = Scorer.from_files(registry.files_of(version))

    assert (done.exit_code, told["gate"], told["published"], told["promoted"]) == (0, "passed", "naive rule", True)
    assert re.match(r"the model did not pass: \w+ for active_1_7: .* the naive rule \w+ is ahead of it", told["why"])
    assert scorer.forecasts[0].candidate in {"frequency_28d", "frequency_90d", "usual_gap"}
    assert tags.tags["scores_by"] == "naive rule"
    assert tags.description.startswith(
        "## The gate refused the model; this is the naive rule, calibrated, in its place"
    )


def test_the_page_of_a_version_says_what_judged_it_and_what_it_learnt_from(spark, product):
    done = trainer.train(spark, product, DAY, "a run")
    page = MlflowClient().get_model_version(product.model_name, done.version.version).description

    assert page.startswith("## The gate let this version pass\n\n**Why**: auc")
    assert f"Judged on the days {done.split.test}" in page
    assert f"active_1_7: {WEEKS[0]} to {LAST} (20 days)" in page or "calibrated by the test days" in page
    assert "| last_label_day" in page
    assert f"rekindle rollback {product.name}" in page
    assert f"/{CARD})" in page
    run_id = MlflowClient().get_model_version(product.model_name, done.version.version).run_id
    written = Path(download_artifacts(run_id=run_id, artifact_path=CARD)).read_text(encoding="utf-8")
    assert "Intended use" in written and "u000" not in written


def test_a_champion_that_nobody_judged_keeps_nobody_from_office(spark, product):
    """The alias can be set in MLflow on whatever is there."""
    trainer.train(spark, product, DAY - timedelta(weeks=1), "a run")
    client = MlflowClient()
    by_hand = client.create_model_version(product.model_name, "file:///nowhere")
    copy = client.copy_model_version(f"models:/{product.model_name}/{by_hand.version}", product.champion_name)
    client.set_registered_model_alias(product.champion_name, registry.CHAMPION, copy.version)

    done = trainer.train(spark, product, DAY, "another")

    assert done.promoted
    assert registry.champion(product) == done.version


def test_a_version_stands_beside_the_champion_on_the_same_rows(spark, product):
    """The first had none; the second is judged beside the first's recipe, and its row says by which criteria."""
    first, second = (trainer.train(spark, product, day, "a run") for day in (DAY - timedelta(weeks=1), DAY))
    client = MlflowClient()
    pages = [client.get_model_version(product.model_name, done.version.version).description for done in (first, second)]
    champion = Scorer.from_files(registry.files_of(first.version))
    sample = samples.sample(spark, product, DAY, settings())
    recipe = fitting.fit_recipe(product, sample, second.split, champion)
    tested = sample.rows.filter(pc.is_in(sample.rows["day"], value_set=pa.array(list(second.split.test))))
    area = figures.auc(tested["active_1_7"].to_numpy(), recipe.predict(tested).raw)

    assert "Nothing to compare with: there was none." in pages[0]
    assert f"That is the recipe of version 1, which was trained as of {DAY - timedelta(weeks=1)}" in pages[1]
    assert f"| {area:.3f} (" in next(line for line in pages[1].splitlines()[::-1] if line.startswith("| auc"))
    assert second.verdict.route in {"refresh", "better", "simpler"}
    assert {c["name"] for c in second.version.judged.criteria} >= {"ranking", "segments", "served_rank"}
    assert second.version.judged.judged_digest == artifact.digest_of(second.fitted.scorer.to_files())
    assert second.version.judged.last_label_day == second.last_label_day <= LAST


@pytest.fixture
def promises_too_much(spark, product) -> registry.Version:
    """A champion of five weeks ago whose chances are all too high."""
    early = DAY - timedelta(weeks=5)
    sample = samples.sample(spark, product, early, settings())
    fitted = fitting.fit(product, sample, samples.split(sample, settings()))
    (forecast,) = fitted.scorer.forecasts
    off = replace(forecast.calibration, intercept=forecast.calibration.intercept + 1.0)
    trained = registry.Trained(
        day=early,
        run_id="a run",
        scorer=replace(fitted.scorer, forecasts=(replace(forecast, calibration=off),)),
        verdict=gate.Verdict(passed=True, why="a test", route="first"),
        params={},
        metrics={},
        figures={},
        sample_digest="s",
        documents={},
        tags={},
        last_label_day=LAST - timedelta(weeks=5),
    )
    version = registry.register(product, trained)
    return registry.promote(product, version.version, run_id="a run", reason="a test")


@pytest.mark.slow
def test_a_level_that_is_off_is_mended_without_training_and_a_step_back_scores_as_before(
    spark, product, promises_too_much, scored
):
    """Route *recalibration*: raw scores stay, and so does the order; the version before scores the same day the same again."""
    before = scored()
    asked = CliRunner().invoke(app, ["recalibrate", product.name, "--day", str(DAY), "--json"], catch_exceptions=False)
    told, version = json.loads(asked.stdout), registry.champion(product)
    after = scored()
    again = recalibrator.recalibrate(spark, product, DAY, "another")

    assert (asked.exit_code, told["route"], told["promoted"], told["level_holds"]) == (0, "recalibration", True, False)
    assert {c["name"] for c in told["targets"]["active_1_7"]["criteria"]} >= {"closer", "same_scores", "served_rank"}
    assert (version.version, version.judged.recalibrates, version.judged.route) == ("2", "1", "recalibration")
    assert version.judged.last_label_day == LAST
    old, new = (Scorer.from_files(registry.files_of(one)).forecasts[0] for one in (promises_too_much, version))
    assert old.parts == new.parts
    assert before["user_id"] == after["user_id"] and before["percentile"] == after["percentile"]
    assert sum(map(float, after["return_probability"].to_pylist())) < 0.9 * sum(
        map(float, before["return_probability"].to_pylist())
    )
    assert (again.version, again.is_off) == (None, False)
    assert "no label has become known since" in again.told
    page = MlflowClient().get_model_version(product.model_name, "2").description
    assert "The same raw scores as version 1's, calibrated by labels that have become known since" in page

    registry.rollback(product, run_id="a run")

    assert scored().equals(before)


@pytest.mark.slow
def test_an_alias_on_what_no_gate_let_pass_or_on_changed_bytes_stops_scoring_and_the_last_good_day_stays(
    spark, product, promises_too_much, scored
):
    """Whoever may edit in MLflow may move the alias, and whoever reaches the store may change a byte."""
    good, client = scored(), MlflowClient()
    folder = Path(url2pathname(urlparse(registry.model_location(promises_too_much)).path)) / "native"
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(InputError, match=r"digest_mismatch: .*the last good scores stay"):
            scored()
        file.write_bytes(content)

    failed = registry.register(
        product,
        registry.Trained(
            day=DAY,
            run_id="a run",
            scorer=replace(Scorer.from_files(registry.files_of(promises_too_much))),
            verdict=gate.Verdict(passed=False, why="a test"),
            params={},
            metrics={},
            figures={},
            sample_digest="other rows",
            documents={},
            tags={"gate": "passed"},
        ),
    )
    by_hand = client.create_model_version(product.model_name, "file:///nowhere")
    for number, code in ((failed.version, "gate_not_passed"), (by_hand.version, "no_gate")):
        copy = client.copy_model_version(f"models:/{product.model_name}/{number}", product.champion_name)
        client.set_registered_model_alias(product.champion_name, registry.CHAMPION, copy.version)
        with pytest.raises(InputError, match=rf"{code}: .*the last good scores"):
            scored()

    stays = tables.read_days(spark, product.table, Days.one(WEEKS[0])).select(*good.column_names).toArrow()
    assert stays.sort_by("user_id").equals(good)


@pytest.fixture
def campaign(spark, world):
    """
    Assignments by lot, of every Sunday, after which a message has moved whoever likes to come.

    Outcomes are the world's, so the lots fit to them: of a chance p both arms get half, and the treated returned with p (2 - p),
    the controls with p p.
    """
    rows = world.filter(pc.is_in(world["day"], value_set=pa.array(WEEKS)))
    often, recency = (rows[name].to_numpy() for name in ("orders_28d", "recency_days"))
    chance = 1 / (1 + np.exp(-(0.5 * often - 0.03 * recency - 0.5)))
    lot = np.random.default_rng(8).random(rows.num_rows)
    is_treated = lot < 0.5 + 0.5 * (rows["active_1_7"].to_numpy() - chance)
    count = rows.num_rows
    facts = {
        "day": [day + KNOWN_AFTER for day in rows["day"].to_pylist()],
        "kind": ["planned"] * count,
        "campaign_id": ["by lot"] * count,
        "user_id": rows["user_id"],
        "feature_day": rows["day"],
        "arm": np.where(is_treated, "sent", "control"),
        "is_control": ~is_treated,
        "probability": [0.5] * count,
        "cluster": rows["user_id"],
    }
    table = spark.table(effect.ASSIGNMENT)
    nothing = {f.name: F.lit(None).cast(f.dataType).alias(f.name) for f in table.schema if f.name not in facts}
    written = spark.createDataFrame(pa.table(facts)).withColumns(nothing)
    written.select(*table.columns).writeTo(effect.ASSIGNMENT).append()
    yield chance
    spark.sql(f"DELETE FROM {effect.ASSIGNMENT} WHERE day <= DATE '{DAY}'")


@pytest.mark.slow
@pytest.mark.usefixtures("campaign")
def test_what_campaigns_have_taught_is_scored_with_the_champion(spark, product, scored):
    """Simulated. Whom the model sees come by halves is moved most."""
    done = trainer.train(spark, product, DAY, "a run")
    rows = scored()
    chance, moved, low, high = (
        rows[name].to_numpy() for name in ("return_probability", "uplift", "uplift_low", "uplift_high")
    )

    assert done.promoted and done.taught.learnt.status == "modelled"
    assert np.corrcoef(moved, 2 * chance * (1 - chance))[0, 1] > 0.5
    assert (low < moved).all() and (moved < high).all()
    page = MlflowClient().get_model_version(product.model_name, done.version.version).description
    assert done.taught.told in page
    again = trainer.train(spark, product, DAY, "another")
    assert again.version == done.version


@pytest.mark.slow
def test_a_training_can_be_repeated_from_the_snapshots_that_its_tag_keeps(spark, product):
    """What was released since changes the sample; read as of its snapshots it gives the same rows, bytes and scores again."""
    run_id = records.start_run("train", Days.one(DAY))
    done = trainer.train(spark, product, DAY, run_id)
    before = samples.sample(spark, product, DAY, settings())
    tag, kept = f"{product.name}_{done.version.version}", tags.wanted()
    try:
        for table, snapshot in before.snapshots.items():
            assert kept[table][tag] == snapshot
            tags.keep(spark, table, kept[table])
            # A user more, of whom nobody knew; then all that no tag keeps expires.
            columns = ", ".join("'later'" if name == "user_id" else f"`{name}`" for name in spark.table(table).columns)
            on = "feature_day" if table == samples.LABELS else "day"
            spark.sql(
                f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE user_id = 'u00001' AND {on} >= DATE '{WEEKS[0]}'"
                f" AND {on} <= DATE '{LAST}'"
            )
            spark.sql(
                f"CALL lake.system.expire_snapshots(table => '{table}', older_than => TIMESTAMP '2999-01-01', retain_last => 1)"
            ).collect()
        now = samples.sample(spark, product, DAY, settings())
        again = samples.sample(spark, product, DAY, settings(), before.snapshots)
    finally:
        for table in before.snapshots:
            spark.sql(f"DELETE FROM {table} WHERE user_id = 'later'")
            tags.keep(spark, table, {})

    assert (again.digest, again.rows.num_rows) == (before.digest, before.rows.num_rows)
    assert now.rows.num_rows == before.rows.num_rows + len(WEEKS)
    one, other = (
        fitting.fit(product, sample, samples.split(sample, settings())).scorer.to_files() for sample in (before, again)
    )
    assert one == other


def test_too_short_a_history_leaves_the_champion(spark, product):
    champion = trainer.train(spark, product, DAY, "a run")

    with pytest.raises(CheckFailedError, match="not_enough_history: There are 4 weekly days"):
        trainer.train(spark, product, WEEKS[3] + KNOWN_AFTER, "another")
    assert registry.champion(product) == champion.version


def test_a_backtest_writes_a_page_and_registers_nothing(product, monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "last_day", lambda _spark: DAY)
    monkeypatch.setattr(evaluation, "RESAMPLES", 3)
    monkeypatch.setattr(backtest, "BLOCKS", 2)
    page = tmp_path / "backtest.html"
    done = CliRunner().invoke(app, ["backtest", product.name, "--page", str(page), "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)

    assert len(told["blocks"]) == 2
    assert told["verdict"] == "better than the naive rule"
    assert "Better than the naive rule" in page.read_text()
    assert registry.versions(product) == []


def test_the_command_line_trains_promotes_and_rolls_back(product):
    def told(*command: str) -> dict:
        done = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
        assert done.exit_code == 0
        return json.loads(done.stdout)

    assert told("train", product.name, "--day", str(DAY - timedelta(weeks=1)))["promoted"]
    assert told("train", product.name, "--day", str(DAY))["version"] == "2"
    assert told("rollback", product.name)["version"] == "1"
    assert told("promote", product.name, "2")["version"] == "2"
    with pytest.raises(InputError, match="already_champion"):
        told("promote", product.name, "2")
    assert [p.version for p in records.promotions(product.name)] == ["1", "2", "1", "2"]

    overview = told("models", product.name)[product.name]
    assert overview["champion"] == "2"
    assert [(v["version"], v["passed"], v["trained_day"]) for v in overview["versions"]] == [
        ("2", True, str(DAY)),
        ("1", True, str(DAY - timedelta(weeks=1))),
    ]
    assert all(v["effective_from_day"] == v["trained_day"] for v in overview["versions"])


def test_the_command_line_writes_the_sample_that_a_training_learns_from(product, spark, business, tmp_path):
    done = CliRunner().invoke(
        app,
        ["sample-rows", product.name, "--day", str(DAY), "--to", str(tmp_path / "mine"), "--json"],
        catch_exceptions=False,
    )
    told, sample = json.loads(done.stdout), samples.sample(spark, product, DAY, business)
    columns = json.loads((tmp_path / "mine" / "columns.json").read_text())

    assert (done.exit_code, told["rows"]) == (0, pq.read_metadata(tmp_path / "mine" / "rows.parquet").num_rows)
    assert columns["sample_digest"] == told["sample_digest"] == sample.digest
    assert columns["snapshots"] == dict(sample.snapshots)


def test_the_command_line_writes_what_a_search_found_and_mlflow_has_its_trials(product, tmp_path, monkeypatch):
    """Twenty weeks have no block of eight before another."""
    monkeypatch.setattr(samples, "TRIAL_DAYS", 3)
    path = tmp_path / "found.yml"
    done = CliRunner().invoke(
        app,
        ["search", product.name, "--day", str(DAY), "--trials", "2", "--to", str(path), "--json"],
        catch_exceptions=False,
    )
    told, found = json.loads(done.stdout), Found.model_validate(yml.read(path))
    logged = MlflowClient().get_metric_history(told["mlflow_run"], "value")

    assert done.exit_code == 0
    assert (told["learner"], str(found.unseen_from)) == ("boosting", told["unseen_from"])
    assert found.learners == ({"boosting": told["kept"]} if told["kept"] else {})
    assert [one.value for one in logged] == [one["value"] for one in told["trials"]]
    assert len(logged) == found.trials == 2


def test_the_command_line_shows_figures_to_people(product):
    done = CliRunner().invoke(app, ["train", product.name, "--day", str(DAY)], catch_exceptions=False)

    assert done.exit_code == 0
    assert "is champion: auc" in done.stdout
    assert "ece_floor" in done.stdout
    listed = CliRunner().invoke(app, ["models"], catch_exceptions=False)
    assert f"{product.name}: version 1 is champion" in listed.stdout
    assert "passed: auc" in listed.stdout


def test_an_unknown_product_is_a_usage_error():
    with pytest.raises(Exception, match="There is no score product 'churn'"):
        CliRunner().invoke(app, ["train", "churn", "--day", "2001-01-01"], catch_exceptions=False)


def test_a_label_of_later_deliveries_is_not_in_the_past(spark, recall, business):
    """What is read depends on the day alone, not on what lies in the table by now."""
    assert max(samples.sample(spark, recall, date(2001, 4, 1), business).rows["day"].to_pylist()) == date(2001, 3, 18)
