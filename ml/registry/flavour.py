"""
Rekindle's MLflow flavour: a model stored as its native text files, below `native/`, and nothing else.

There is no pyfunc and no pickle in it, because reading those runs code that came with the model. So there is no
`load_model` either: `ml.registry` hands out the files after checking them, and `ml.model.scorer` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.models import Model
    from mlflow.types import Schema

FLAVOUR = "rekindle"
NATIVE = "native"
FORMAT_NOTE = "Rekindle's own text format; read by ml.model.scorer"

MLFLOW_NAMES = {"int32": "integer", "int64": "long", "bool": "boolean"}
"""Arrow's names of types that MLflow calls otherwise."""

NEEDS_OF_GRAPHS = ("onnxruntime",)


def save_model(
    path: str,
    mlflow_model: Model,
    *,
    files: Mapping[str, bytes],
    needs: Sequence[str],
    signature: tuple[Mapping[str, str], Sequence[str] | Mapping[str, str]],
) -> None:
    """
    Write what MLflow keeps of a model; called by `mlflow.models.Model.log`.

    `needs`: the packages that it imports, said by it: MLflow would import the model to find out, for 15 seconds.
    `signature`: inputs with their types, and the labels of a scorer, or what else is said with its types.
    """
    from mlflow.models.signature import ModelSignature

    native = Path(path) / NATIVE
    native.mkdir(parents=True)
    for name, content in files.items():
        (native / name).write_bytes(content)
    needs = (*needs, *(NEEDS_OF_GRAPHS if any(name.endswith(".onnx") for name in files) else ()))
    (Path(path) / "requirements.txt").write_text("".join(f"{need}=={version(need)}\n" for need in needs))
    mlflow_model.add_flavor(FLAVOUR, data=NATIVE, note=FORMAT_NOTE)
    inputs, said = signature
    outputs = _typed(said) if isinstance(said, Mapping) else _outputs(said)
    mlflow_model.signature = ModelSignature(inputs=_typed(inputs), outputs=outputs)
    mlflow_model.save(str(Path(path) / "MLmodel"))


def _typed(columns: Mapping[str, str]) -> Schema:
    """Say columns in MLflow's types: of a scorer those that its encoder expects, whose exact Arrow types are in model.json."""
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    def of(type_: str) -> DataType | Map:
        if type_.startswith("map<"):
            return Map(of(type_.removesuffix(">").rpartition(",")[2]))
        return DataType.double if type_.startswith("decimal") else DataType[MLFLOW_NAMES.get(type_, type_)]

    return Schema([ColSpec(of(type_), name, required=False) for name, type_ in columns.items()])


def _outputs(labels: Sequence[str]) -> Schema:
    """Say what `Scorer.score` returns beside the row's key: raw_score = baseline + reasons' contributions + the other."""
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Object, Property

    reason = {"feature": DataType.string, "words": DataType.string, "contribution": DataType.double}
    reasons = Array(Object([Property(name, type_) for name, type_ in reason.items()]))
    amounts = (*labels, "raw_score", "baseline", "other_contribution")
    return Schema([*(ColSpec(DataType.double, name) for name in amounts), ColSpec(reasons, "reasons")])
