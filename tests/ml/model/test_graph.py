"""A learner that hands over an ONNX graph; all but one test need the extra `onnx` and its makers' `onnx`."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from ml.model import artifact
from ml.model.encoder import Dense
from ml.model.graph import Graph
from ml.model.learners import LEARNERS, Learner
from ml.model.learners.linear import Design
from ml.model.part import Part
from ml.model.scorer import Scorer
from ml.training import fitting, samples
from rekindle.errors import InputError
from tests.ml.conftest import WORDING


def test_where_onnx_runtime_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(InputError, match=r"onnx_missing: .*extra `onnx`.*the last good scores stay"):
        Graph.from_bytes(b"")


def test_a_graph_is_let_into_a_model_and_no_other_binary():
    artifact.check_names(["model.json", "graph_active_1_7.onnx"])
    with pytest.raises(InputError, match="unexpected_model_file"):
        artifact.check_names(["graph_active_1_7.so"])


def weighted(weights: np.ndarray, means: np.ndarray, baseline: float, folder: str = "") -> bytes:
    """A graph that multiplies columns by weights, a missing value counting as the mean; or reads them from a file."""
    helper = pytest.importorskip("onnx.helper")
    from onnx import TensorProto

    size = len(weights)
    constants = [
        helper.make_tensor(name, TensorProto.DOUBLE, shape, values.tolist())
        for name, shape, values in (
            ("w", [size], weights),
            ("m", [size], means),
            ("b", [1, 1], np.array([baseline])),
        )
    ]
    if folder:
        constants[0].ClearField("double_data")
        constants[0].data_location = TensorProto.EXTERNAL
        constants[0].external_data.add(key="location", value=f"{folder}/secret.bin")
    constants.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    nodes = [
        helper.make_node("IsNaN", ["x"], ["gone"]),
        helper.make_node("Where", ["gone", "m", "x"], ["there"]),
        helper.make_node("Sub", ["there", "m"], ["centred"]),
        helper.make_node("Mul", ["centred", "w"], ["added"]),
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "one"], ["column"], axis=0),
        helper.make_node("Expand", ["b", "column"], ["baseline"]),
        helper.make_node("Concat", ["added", "baseline"], ["told"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "weighted",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, size])],
        [helper.make_tensor_value_info("told", TensorProto.DOUBLE, [None, size + 1])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def fit(encoders, _loss, train, _stop) -> tuple[Part, ...]:
    from sklearn.linear_model import LogisticRegression

    dense = encoders.of(Dense)
    matrix = train.rows.by(dense)
    design = Design.of(matrix, np.arange(matrix.shape[1]), ["plain"] * matrix.shape[1], tail=0.0)
    fitted = LogisticRegression(C=0.5, solver="newton-cholesky").fit(design.matrix, train.outcome > 0)
    weights = fitted.coef_[0][: matrix.shape[1]] / design.spreads
    return (Part(dense, Graph.from_bytes(weighted(weights, design.centres, float(fitted.intercept_[0])))),)


def test_a_learner_may_hand_over_a_graph(recall, recall_sample, business, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(LEARNERS, "graph", Learner("graph", "a graph", fit, predictors=(Graph,), losses=("binary",)))
    product = replace(recall, candidates=("graph",))
    fitted = fitting.fit(product, recall_sample, samples.split(recall_sample, business))
    files = fitted.scorer.to_files()
    again = Scorer.from_files(artifact.unpack(artifact.pack(files), artifact.digest_of(files)))
    rows = recall_sample.rows.slice(0, 200)
    scored = again.score(rows, WORDING)

    assert fitted.has_model and fitted.primary.model["auc"].value > 0.7
    assert set(files) == {"model.json", "graph_active_1_7.onnx"}
    assert again.to_files() == files
    assert again.score(rows.slice(0, 0), {}).num_rows == 0
    for row in scored.to_pylist():
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert whole == pytest.approx(row["raw_score"], rel=1e-9, abs=1e-9)


def test_a_graph_reads_no_file(tmp_path):
    """Its weights are in its own bytes, which the gate's digest is of, or it is not read."""
    pytest.importorskip("onnxruntime")
    (tmp_path / "secret.bin").write_bytes(np.ones(3).tobytes())

    with pytest.raises(Exception, match=r"[Ee]xternal"):
        Graph.from_bytes(weighted(np.ones(3), np.zeros(3), 0.0, folder=str(tmp_path)))
