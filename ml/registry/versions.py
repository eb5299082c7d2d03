"""
The versions of a product's model: files in MLflow, what the gate said and the digest of what it judged in Postgres.

Nothing is loaded to score without a passed gate and exactly those bytes. The tags in MLflow say the same to people, but
whoever may edit there may set them: they are written here and never read.
"""

from __future__ import annotations

import json
import logging
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.model import artifact
from ml.registry import flavour, page
from ml.registry.acting import TRAINER, acting_as, be_somebody
from rekindle import records
from rekindle.errors import InputError
from rekindle.points import durable
from rekindle.records import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from ml.products import Registered
    from ml.registry.trained import Trained

PASSED = "passed"
PROMOTING, BEGUN, OVER = "promoting", "begun", "over"
"""
Tag of a version, and its values: begun before its promotion is logged, over once it has the alias. It says which of the two
holds, and no verdict.
"""

BESIDE_NATIVE = {"MLmodel", "requirements.txt", "registered_model_meta", flavour.NATIVE}
"""What MLflow keeps beside a model's native files."""


@dataclass(frozen=True)
class Version:
    """A version of a product's model."""

    product: str
    name: str
    version: str
    source: str
    """Where MLflow keeps it: `models:/m-…`."""
    gate: Gate | None
    """What the gate said; None of a version that somebody registered by hand."""

    @property
    def judged(self) -> Gate:
        """What the gate said. Raises InputError where nothing is recorded: then nobody knows which bytes were judged."""
        if self.gate is None:
            raise InputError(
                f"Version {self.version} of {self.name} has no verdict: nothing says that a gate judged it, or which bytes.",
                todo="Train the product. If an earlier Rekindle registered it, `rekindle migrate` takes its verdict over.",
                safe="The champion stays as it was, and so do the last good scores.",
                code="no_gate",
            )
        return self.gate

    @property
    def digest(self) -> str:
        return self.judged.digest

    @property
    def trained_day(self) -> date:
        return self.judged.trained_day


@acting_as(TRAINER)
def register(product: Registered, trained: Trained) -> Version:
    """
    Store a model with all that was found out about it.

    The same bytes from the same rows are no news, whatever day they are from: the version that is there is returned.
    """
    from mlflow.models import Model

    if known := same(product, trained):
        return known
    files = trained.scorer.to_files()
    digest = artifact.digest_of(files)
    client = mlflow_client()
    with _run(client, product, trained) as run:
        run_id = run.info.run_id
        model = client.create_logged_model(run.info.experiment_id, name=product.name, source_run_id=run_id)
        signature = trained.scorer.inputs, trained.scorer.outputs
        told = {"files": files, "needs": trained.scorer.needs, "signature": signature}
        Model.log(None, flavour, model_id=model.model_id, run_id=run_id, **told)
        _log_metrics(client, run, model.model_id, trained.metrics)
        _create_registered_model(client, product, product.model_name)
        with durable("model", product.name):
            created = client.create_model_version(
                product.model_name,
                f"models:/{model.model_id}",
                run_id=run_id,
                model_id=model.model_id,
                tags={
                    **trained.tags,
                    "gate": PASSED if trained.verdict.passed else "failed",
                    "gate_why": trained.verdict.why,
                    "digest": digest,
                    "trained_day": trained.day.isoformat(),
                    "run_id": trained.run_id,
                },
            )
        place = page.Place(product, str(created.version), run.info.experiment_id, run_id)
        client.log_text(run_id, page.whole(trained, place), page.FILE)
        client.update_model_version(product.model_name, place.number, page.description(trained, place))
    gate = Gate(
        product=product.name,
        version=str(created.version),
        digest=digest,
        passed=trained.verdict.passed,
        why=trained.verdict.why,
        figures=trained.figures,
        sample_digest=trained.sample_digest,
        trained_day=trained.day,
        route=trained.verdict.route,
        criteria=[criterion.to_json() for criterion in trained.verdict.criteria],
        judged_digest=artifact.digest_of(trained.judged.to_files()) if trained.judged else digest,
        last_label_day=trained.last_label_day,
        run_id=trained.run_id,
        recalibrates=trained.recalibrates,
    )
    # Last: a version without its verdict scores nothing, a verdict without its version would be another's.
    with durable("verdict", product.name):
        records.record_gate(gate)
    return version(product, gate.version)


def same(product: Registered, trained: Trained) -> Version | None:
    """Find a version of the same bytes and verdict from the same rows; of one that was taken over, from the same day."""
    digest = artifact.digest_of(trained.scorer.to_files())
    for known in versions(product):
        if (gate := known.gate) and (gate.digest, gate.passed) == (digest, trained.verdict.passed):
            if gate.sample_digest is None and gate.trained_day == trained.day:
                return known
            if gate.sample_digest == trained.sample_digest:
                return known
    return None


def versions(product: Registered) -> list[Version]:
    """Return all registered versions, the latest first."""
    gates = records.gates(product.name)
    return [
        Version(product.name, stored.name, str(stored.version), str(stored.source), gates.get(str(stored.version)))
        for stored in stored_versions(product)
    ]


def stored_versions(product: Registered) -> list[ModelVersion]:
    """Return the versions as MLflow has them, the latest first."""
    found = mlflow_client().search_model_versions(f"name = '{product.model_name}'")
    return sorted(found, key=lambda stored: -int(stored.version))


def version(product: Registered, number: str) -> Version:
    """Return a version by its number."""
    for found in versions(product):
        if found.version == number:
            return found
    raise InputError(
        f"There is no version {number} of {product.model_name}.",
        todo=f"Train one with `rekindle train {product.name} --day D`, or name one that is there.",
        code="no_such_version",
    )


def aliased(product: Registered, alias: str) -> Version | None:
    """
    Return the candidate that has an alias, if there is one, whatever its gate said.

    An alias is on a copy that a promoter made. Of what did not come from a candidate nobody has judged anything.
    """
    client = mlflow_client()
    models = client.search_registered_models(f"name = '{product.champion_name}'")
    number = models[0].aliases.get(alias) if models else None
    if number is None:
        return None
    copy = client.get_model_version(product.champion_name, str(number))
    from_model, _, candidate = str(copy.source).rpartition("/")
    if from_model == f"models:/{product.model_name}" and candidate.isdecimal():
        return version(product, candidate)
    return Version(product.name, copy.name, str(copy.version), str(copy.source), None)


def set_alias(product: Registered, found: Version, alias: str) -> None:
    """Copy a candidate to what was promoted, unless it is there, and move an alias to the copy."""
    copy = _copy_of(product, found) or _copied(product, found)
    mlflow_client().set_registered_model_alias(copy.name, alias, copy.version)


def mark(product: Registered, found: Version) -> None:
    """Say that a candidate's promotion has begun, on its copy, which the promoter may change."""
    copy = _copy_of(product, found) or _copied(product, found)
    mlflow_client().set_model_version_tag(copy.name, copy.version, PROMOTING, BEGUN)


def unmark(product: Registered, found: Version) -> None:
    """Say that its promotion is over. To delete the tag takes the right to delete the model, which no promoter has."""
    if copy := _copy_of(product, found):
        mlflow_client().set_model_version_tag(copy.name, copy.version, PROMOTING, OVER)


def is_promoting(product: Registered, found: Version) -> bool:
    """Whether a candidate's promotion was begun and not finished."""
    copy = _copy_of(product, found)
    return copy is not None and copy.tags.get(PROMOTING) == BEGUN


def _copy_of(product: Registered, found: Version) -> ModelVersion | None:
    """The copy of a candidate that was promoted; of several that somebody has made the latest."""
    copies = mlflow_client().search_model_versions(f"name = '{product.champion_name}'")
    of_it = [copy for copy in copies if copy.source == f"models:/{found.name}/{found.version}"]
    return max(of_it, key=lambda copy: int(copy.version), default=None)


def _copied(product: Registered, found: Version) -> ModelVersion:
    """Do what MLflow's *Promote model* does, without the lines that its own function prints."""
    client = mlflow_client()
    _create_registered_model(client, product, product.champion_name)
    candidate = client.get_model_version(found.name, found.version)
    return client.create_model_version(
        product.champion_name,
        f"models:/{found.name}/{found.version}",
        run_id=candidate.run_id,
        tags=candidate.tags,
        description=candidate.description,
    )


def files_of(found: Version) -> dict[str, bytes]:
    """Fetch the native files of a version that passed. Whatever is not expected there is refused before it is read."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    refuse_failed(found)
    location = model_location(found)
    beside = {Path(info.path).name for info in list_artifacts(artifact_uri=location)}
    artifact.check_names(beside - BESIDE_NATIVE)
    listed = list_artifacts(artifact_uri=f"{location}/{flavour.NATIVE}")
    names = [info.path.removeprefix(f"{flavour.NATIVE}/") for info in listed]
    artifact.check_names(names)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: Path(
                download_artifacts(artifact_uri=f"{location}/{flavour.NATIVE}/{name}", dst_path=folder)
            ).read_bytes()
            for name in names
        }
    artifact.check_digest(files, found.digest)
    return files


def refuse_failed(found: Version) -> None:
    """Raise InputError if a version that is to score did not pass the gate, or was never judged."""
    if not found.judged.passed:
        raise InputError(
            f"Version {found.version} of {found.name} is to score, but it did not pass the gate.",
            todo=f"Promote one that passed, see `rekindle models {found.product}`, and find out who moved the alias.",
            safe="Nothing was loaded; the last good scores stay.",
            code="gate_not_passed",
        )


def model_location(found: Version) -> str:
    """Resolve `models:/m-…`, which we register versions from, to where the files are."""
    scheme, _, model_id = found.source.rpartition(":/")
    return mlflow_client().get_logged_model(model_id).artifact_location if scheme == "models" else found.source


@contextmanager
def _run(client: MlflowClient, product: Registered, trained: Trained) -> Iterator[Run]:
    """Record a training as a run of the product's experiment, finished or failed."""
    from mlflow.entities import Param

    experiment_id = experiment_of(client, product)
    run = client.create_run(experiment_id, run_name=f"{product.name} {trained.day}", tags={"run_id": trained.run_id})
    run_id = run.info.run_id
    try:
        client.log_batch(run_id, params=[Param(name, value) for name, value in trained.params.items()])
        encoders = [{"kind": encoder.kind, **encoder.to_json()} for encoder in trained.scorer.encoders]
        told = json.dumps(encoders, indent=1, ensure_ascii=False)
        for name, text in {**trained.documents, "encoders.json": told}.items():
            client.log_text(run_id, text, name)
        yield run
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def experiment_of(client: MlflowClient, product: Registered) -> str:
    """Return the id of a product's experiment, which is made where there is none."""
    experiment = client.get_experiment_by_name(product.model_name)
    return str(experiment.experiment_id if experiment else client.create_experiment(product.model_name))


def _log_metrics(client: MlflowClient, run: Run, model_id: str, metrics: Mapping[str, float]) -> None:
    """Log metrics after the model: MLflow copies to a model what its run has, and would then insert each twice."""
    from mlflow.entities import Metric

    at = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(k, v, at, 0, model_id=model_id, run_id=run.info.run_id) for k, v in metrics.items()],
    )


def _create_registered_model(client: MlflowClient, product: Registered, name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=product.title)


def mlflow_client() -> MlflowClient:
    """
    Return a client of the registry that MLFLOW_TRACKING_URI names, without chatter: what matters is raised.

    It is told where its registry is, for the reason that `acting_as` gives.
    """
    from mlflow import MlflowClient, get_tracking_uri

    be_somebody()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(registry_uri=get_tracking_uri())
