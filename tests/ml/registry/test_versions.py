"""Where versions are asked for. No servers."""

import os

import mlflow
import pyspark.sql

from ml.registry.acting import PROMOTER, TRAINER, acting_as
from ml.registry.versions import mlflow_client


def test_the_registry_is_asked_for_without_spark(tmp_path, monkeypatch):
    """The server of the session that a process has had may be gone: neither our client nor one of MLflow's own asks there."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    asked = []
    monkeypatch.setattr(pyspark.sql.SparkSession, "getActiveSession", lambda: asked.append(True))
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)

    assert mlflow_client()._registry_uri == uri
    for role in (TRAINER, PROMOTER):
        with acting_as(role):
            assert mlflow.MlflowClient()._registry_uri == uri
    assert not asked
    assert "MLFLOW_REGISTRY_URI" not in os.environ
