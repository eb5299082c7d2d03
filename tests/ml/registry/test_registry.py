"""A real MLflow on the session's Postgres; files where it keeps them."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse
from urllib.request import url2pathname
from uuid import uuid4

import pyspark.sql
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from ml import registry
from ml.model import artifact
from ml.model.scorer import Scorer
from ml.products import Product
from ml.registry import Trained, champions, gates
from ml.training.gate import Verdict
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from tests.bad_inputs import bad_input

pytestmark = pytest.mark.usefixtures("mlflow_ready")

SUNDAY, NEXT_SUNDAY = date(2002, 6, 2), date(2002, 6, 9)


@pytest.fixture
def product(recall) -> Product:
    """A product of the test's own: no other test promotes it."""
    name = f"recall_{uuid4().hex[:8]}"
    return replace(recall, name=name, table=f"scores.{name}_daily")


@pytest.fixture
def register(product, recall_fitted, monkeypatch):
    """Register a model that differs from every other in its calibration, without a question to a Spark that may be gone."""
    count = iter(range(1, 100))
    asked = []
    monkeypatch.setattr(pyspark.sql.SparkSession, "getActiveSession", lambda: asked.append(True))

    def one(day: date = SUNDAY, *, passed: bool = True, rows: str | None = None) -> registry.Version:
        scorer = recall_fitted.scorer
        forecast = scorer.forecasts[0]
        shifted = replace(forecast, calibration=replace(forecast.calibration, intercept=-next(count) / 10))
        trained = Trained(
            day=day,
            run_id="a run",
            scorer=replace(scorer, forecasts=(shifted,)),
            verdict=Verdict(passed, "auc 0.8 beats the naive rule's 0.7"),
            params={"rows": "3000"},
            metrics={"1_7.model.auc": 0.8},
            figures={horizon: result.to_json() for horizon, result in recall_fitted.evaluations.items()},
            sample_digest=rows or uuid4().hex,
            documents={"pictures/roc.svg": "<svg/>"},
            tags={"test_days": "2002-05-05"},
        )
        asked.clear()
        version = registry.register(product, trained)
        assert not asked
        return version

    return one


@pytest.fixture
def promote(product):
    return lambda version, **given: registry.promote(product, version.version, run_id="a run", reason="test", **given)


def name_champion(product, number):
    """What somebody does in MLflow's pages: *Promote model*, then the alias."""
    client = MlflowClient()
    copy = client.copy_model_version(f"models:/{product.model_name}/{number}", product.champion_name)
    client.set_registered_model_alias(product.champion_name, registry.CHAMPION, copy.version)


def folder_of(version: registry.Version) -> Path:
    return Path(url2pathname(urlparse(registry.model_location(version)).path))


def test_a_version_carries_what_the_gate_said_and_of_which_bytes(product, register):
    version = register()
    client = MlflowClient()
    stored = client.get_model_version(product.model_name, version.version)
    run = client.get_run(stored.run_id)

    assert stored.tags["gate"] == "passed"
    assert stored.tags["digest"] == version.digest == artifact.digest_of(registry.files_of(version))
    assert (run.info.status, run.data.metrics, run.data.params) == (
        "FINISHED",
        {"1_7.model.auc": 0.8},
        {"rows": "3000"},
    )
    assert {file.path for file in client.list_artifacts(stored.run_id)} == {"encoders.json", "page.md", "pictures"}
    assert client.get_experiment(run.info.experiment_id).name == product.model_name


def test_what_is_stored_is_text_with_a_signature_and_no_pyfunc(register):
    folder = folder_of(register())
    stored = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    described = (folder / "MLmodel").read_text()

    native = {name for name in stored if name.startswith("native/")}
    assert stored - native == {"MLmodel", "requirements.txt"}
    assert all(artifact.NATIVE_FILE.fullmatch(name.removeprefix("native/")) for name in native)
    needs = (folder / "requirements.txt").read_text().split()
    assert {need.partition("==")[0] for need in needs} == {"numpy", "pyarrow", "lightgbm"}
    assert "python_function" not in described
    signature = Model.load(folder).signature
    assert "recency_days" in signature.inputs.input_names()
    assert signature.outputs.input_names() == [
        *("active_1_7", "raw_score", "baseline", "other_contribution", "reasons"),
    ]


def test_the_registered_bytes_score_like_the_fitted_model(register, recall_fitted, recall_sample):
    scorer = Scorer.from_files(registry.files_of(register()))
    rows = recall_sample.rows.slice(0, 50)

    assert scorer.predict(rows).raw.tolist() == recall_fitted.scorer.predict(rows).raw.tolist()


def test_training_again_on_the_same_data_registers_nothing_new(product, register):
    """A day later, too: what no label was added to is the same sample."""
    first = register(rows="the rows")
    trained = SimpleNamespace(
        day=SUNDAY + timedelta(days=1),
        scorer=Scorer.from_files(registry.files_of(first)),
        verdict=Verdict(passed=True, why=""),
        sample_digest="the rows",
    )

    assert registry.register(product, trained) == first
    assert len(registry.versions(product)) == 1


def test_there_is_no_champion_before_one_is_promoted(product, register):
    register()

    assert registry.find_champion(product) is None
    assert not registry.has_had_champion(product)
    with pytest.raises(InputError, match="no_champion"):
        registry.champion(product)
    with pytest.raises(InputError, match="no_earlier_champion"):
        registry.rollback(product, run_id="a run")


@bad_input("a champion's alias that is missing", gets="E")
def test_a_champion_whose_alias_is_gone_is_missed_and_not_skipped(product, register, promote):
    promote(register())
    MlflowClient().delete_registered_model_alias(product.champion_name, registry.CHAMPION)

    assert registry.has_had_champion(product)
    with pytest.raises(InputError, match="no_champion"):
        registry.champion(product)


def test_a_champion_is_in_effect_from_the_day_it_was_trained_on(product, register, promote):
    first, second = promote(register(SUNDAY)), promote(register(NEXT_SUNDAY))

    assert registry.champion(product) == second
    assert registry.champion_on(product, date(2002, 6, 1)) is None
    assert registry.champion_on(product, date(2002, 6, 8)) == first
    assert registry.champion_on(product, NEXT_SUNDAY) == second


def test_days_that_were_served_keep_their_champion(product, register, promote):
    first, second = promote(register(SUNDAY)), register(NEXT_SUNDAY)
    served, refused, backfilled = (NEXT_SUNDAY + timedelta(n) for n in (1, 2, 3))
    for day, kind, status in (
        (served, "daily", "done"),
        (refused, "daily", "failed"),
        (backfilled, "backfill", "done"),
    ):
        run_id = records.start_run(kind, Days.one(day))
        records.finish_run(run_id, status)
        records.record_builds([records.Build(product.table, day, "b", run_id, None)])
    promote(second)

    assert registry.champion_on(product, served) == first
    assert registry.champion_on(product, refused) == second
    assert registry.in_effect_since(product, second) == refused


def test_a_day_is_scored_by_who_was_in_effect_and_says_so_where_nobody_was(product, register, promote):
    """Also a daily run of an old day: a model of later weeks has learnt from what came after it."""
    first, second = promote(register(SUNDAY)), promote(register(NEXT_SUNDAY))
    before, between, after = (SUNDAY + timedelta(n) for n in (-1, 3, 20))
    daily = {day: registry.model_for(product, day, backfill=False, version=None) for day in (before, between, after)}

    assert daily == {before: (second, True), between: (first, False), after: (second, False)}
    assert registry.model_for(product, between, backfill=True, version=None) == (first, False)
    assert registry.model_for(product, between, backfill=True, version=second.version) == (second, True)
    assert registry.model_for(product, after, backfill=True, version=second.version) == (second, False)
    with pytest.raises(InputError, match="no_champion"):
        registry.model_for(product, before, backfill=True, version=None)


def test_a_rollback_to_a_newer_version_comes_to_no_day_before_its_training(product, register, promote):
    first, second = register(SUNDAY), promote(register(NEXT_SUNDAY))
    promote(first)

    registry.rollback(product, run_id="another run")

    assert registry.champion(product) == second
    assert registry.champion_on(product, SUNDAY) is None, "What is withdrawn is in effect on no day."
    assert registry.champion_on(product, NEXT_SUNDAY) == second


@bad_input("a champion's alias on a version without a passed gate", gets="E")
def test_a_version_that_failed_the_gate_is_never_champion(product, register, promote):
    failed = register(passed=False)

    with pytest.raises(CheckFailedError, match=r"gate_not_passed: .*The champion stays"):
        promote(failed)
    assert records.promotions(product.name) == []

    name_champion(product, failed.version)
    with pytest.raises(InputError, match="gate_not_passed"):
        registry.champion(product)
    with pytest.raises(InputError, match="gate_not_passed"):
        registry.files_of(failed)


@bad_input("a champion's alias on a version without a passed gate", gets="E")
def test_an_alias_on_a_version_registered_by_hand_is_refused(product, register):
    register()
    client = MlflowClient()
    by_hand = client.create_model_version(product.model_name, "file:///nowhere")
    name_champion(product, by_hand.version)

    with pytest.raises(InputError, match="no_gate"):
        registry.champion(product)
    with pytest.raises(InputError, match="no_gate"):
        registry.promote(product, str(by_hand.version), run_id="a run", reason="test")


def test_a_tag_that_somebody_sets_changes_nothing(product, register, promote):
    """Whoever may edit in MLflow may write that a gate has passed, and which bytes it judged."""
    passed, failed = register(), register(passed=False)
    client = MlflowClient()
    for version, tags in (
        (passed, {"gate": "failed", "digest": "0" * 64, "trained_day": "2030-01-01"}),
        (failed, {"gate": "passed"}),
    ):
        for name, value in tags.items():
            client.set_model_version_tag(product.model_name, version.version, name, value)

    assert registry.versions(product) == [failed, passed]
    with pytest.raises(CheckFailedError, match="gate_not_passed"):
        promote(failed)
    assert promote(passed).trained_day == SUNDAY
    assert artifact.digest_of(registry.files_of(passed)) == passed.digest


def test_bytes_that_were_changed_together_with_their_tag_are_refused(product, register):
    version = register()
    file = folder_of(version) / "native" / artifact.MODEL_FILE
    file.write_bytes(file.read_bytes().replace(b'"intercept": -0.1', b'"intercept": 9.9'))
    changed = artifact.digest_of({path.name: path.read_bytes() for path in file.parent.iterdir()})
    MlflowClient().set_model_version_tag(product.model_name, version.version, "digest", changed)

    assert changed != version.digest
    with pytest.raises(InputError, match="digest_mismatch"):
        registry.files_of(version)


def test_a_verdict_is_only_ever_added(product, register):
    failed = register(passed=False)
    record = records.gates(product.name)[failed.version]

    with pytest.raises(InputError, match="gate_recorded_otherwise"):
        records.record_gate(replace(record, passed=True))
    with pytest.raises(InputError, match="only ever added"):
        postgres.transact(lambda c: c.execute("update rekindle.gates set passed = true"))
    assert records.gates(product.name) == {failed.version: record}


@pytest.fixture
def before_gates(product, monkeypatch):
    """As on a database that has just been migrated: versions have tags, and nothing says yet that they were taken over."""
    monkeypatch.setattr(gates, "PRODUCTS", (product,))
    postgres.transact(lambda c: c.execute("delete from rekindle.gates_taken_over"))
    yield
    records.take_over_gates([])


@pytest.mark.usefixtures("before_gates")
def test_versions_of_an_earlier_rekindle_are_taken_over_once(product, register, monkeypatch):
    """What was registered with tags alone goes on scoring; a tag that is set later is nobody's verdict."""
    monkeypatch.setattr(records, "record_gate", lambda _gate: None)
    passed, failed, forged = register(), register(passed=False), register()
    client = MlflowClient()
    digest = client.get_model_version(product.model_name, forged.version).tags["digest"]
    records.append_promotion(product.name, forged.version, "f" * 64, SUNDAY, "test", "a run")
    by_hand = client.create_model_version(product.model_name, "file:///nowhere")
    name_champion(product, passed.version)
    with pytest.raises(InputError, match=r"no_gate: .*`rekindle migrate` takes its verdict over"):
        registry.champion(product)

    told = registry.take_over()

    assert [(gate.version, gate.passed, gate.from_tags) for gate in told.gates] == [
        (failed.version, False, True),
        (passed.version, True, True),
    ]
    assert f"version {passed.version} of {product.name}, gate passed" in told.lines()[1]
    assert [line.rpartition(": ")[2] for line in told.left_out] == [
        "it has no verdict.",
        "its tag has another digest than the promotion log.",
    ]
    assert digest != "f" * 64
    assert registry.champion(product).trained_day == SUNDAY
    assert registry.files_of(registry.champion(product))

    client.set_model_version_tag(product.model_name, str(by_hand.version), "gate", "passed")
    client.set_model_version_tag(product.model_name, str(by_hand.version), "digest", digest)
    client.set_model_version_tag(product.model_name, str(by_hand.version), "trained_day", "2002-06-02")
    assert registry.take_over().lines() == []
    assert registry.version(product, str(by_hand.version)).gate is None


def test_a_database_without_a_run_has_nothing_to_take_over():
    """So whatever tag MLflow gains later is never asked."""
    assert records.has_taken_over_gates()


@bad_input("an artifact of another digest", gets="E")
def test_changed_bytes_are_neither_promoted_nor_loaded(product, register, promote):
    version = register()
    file = folder_of(version) / "native" / artifact.MODEL_FILE
    file.write_bytes(file.read_bytes().replace(b'"format": 1', b'"format": 2'))

    with pytest.raises(InputError, match="digest_mismatch"):
        promote(version)
    assert registry.find_champion(product) is None


@bad_input("a pickle in an artifact", gets="E")
@pytest.mark.parametrize("place", ["native/model.pkl", "python_model.pkl", "code/evil.py"])
def test_a_file_that_does_not_belong_there_is_refused(register, place):
    version = register()
    file = folder_of(version) / place
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x80\x04.")

    with pytest.raises(InputError, match="unexpected_model_file"):
        registry.files_of(version)


def test_rollback_goes_back_for_all_days_of_the_withdrawn_champion(product, register, promote):
    first = promote(register(SUNDAY))
    promote(register(NEXT_SUNDAY))

    registry.rollback(product, run_id="a run")

    assert registry.champion(product) == first
    assert registry.champion_on(product, NEXT_SUNDAY) == first
    assert [p.reason for p in records.promotions(product.name)] == ["test", "test", records.ROLLBACK]


def test_two_rollbacks_go_back_twice(product, register, promote):
    first = promote(register(SUNDAY))
    promote(register(NEXT_SUNDAY))
    promote(register(date(2002, 6, 16)))

    registry.rollback(product, run_id="a run")
    registry.rollback(product, run_id="a run")

    assert registry.champion(product) == first
    with pytest.raises(InputError, match="no_earlier_champion"):
        registry.rollback(product, run_id="a run")


def test_nothing_is_said_on_the_terminal(register, promote, capfd):
    """MLflow likes to print where to look at a run."""
    promote(register())

    told = capfd.readouterr()
    assert told.out + told.err == ""


@pytest.mark.parametrize("stopped_at", ["append_promotion", "set_alias"])
def test_a_promotion_that_was_killed_holds_as_the_log_says_and_is_finished_once(
    product, register, promote, monkeypatch, stopped_at
):
    """Between the log and the alias a process may end; readers then go by the log, and the next attempt does the rest."""
    first, second = register(), register(NEXT_SUNDAY)
    promote(first)
    with monkeypatch.context() as context:
        where = records if stopped_at == "append_promotion" else champions
        context.setattr(where, stopped_at, lambda *_given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promote(second)
    is_logged = stopped_at == "set_alias"

    assert registry.find_champion(product) == (second if is_logged else first)
    assert promote(second) == second
    assert registry.find_champion(product) == second
    assert [p.version for p in records.promotions(product.name)] == [first.version, second.version]


def test_a_step_back_that_was_killed_goes_back_once(product, register, promote, monkeypatch):
    versions = [register(SUNDAY + timedelta(7 * week)) for week in range(3)]
    for version in versions:
        promote(version)
    with monkeypatch.context() as context:
        context.setattr(champions, "set_alias", lambda *_given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            registry.rollback(product, run_id="a run")

    assert registry.find_champion(product) == versions[1]
    assert registry.rollback(product, run_id="a run") == versions[1]
    assert len(records.promotions(product.name)) == 4
    assert registry.rollback(product, run_id="a run") == versions[0]


def test_an_alias_that_somebody_moves_by_hand_holds(product, register, promote):
    """No promotion of it was begun: the log says who was promoted before, and the alias who scores."""
    first, second = register(), register(NEXT_SUNDAY)
    promote(first)
    promote(second)
    name_champion(product, first.version)

    assert registry.find_champion(product) == first


def test_what_passed_waits_until_somebody_promotes_it_and_what_was_withdrawn_does_not(product, register, promote):
    first, failed = register(SUNDAY), register(NEXT_SUNDAY, passed=False)
    assert records.waiting(product.name) == first.gate
    promote(first)
    assert records.waiting(product.name) is None

    second = register(NEXT_SUNDAY)
    assert records.waiting(product.name) == second.gate
    assert product.name in records.judged_products()
    assert registry.overview(product)["waiting"] == second.version
    promote(second)
    registry.rollback(product, run_id="a run")

    assert records.waiting(product.name) is None
    assert failed.gate is not None and not failed.gate.passed
