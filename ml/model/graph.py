"""
A graph of ONNX as a predictor, for learners whose library can write what it has learnt as one. Needs the extra `onnx`.

It has one input, the encoder's matrix, and one output: what each column adds, and last the baseline. A graph is data, run by
ONNX Runtime's own operators; it has no name for code of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.model.part import Additive
from rekindle.errors import InputError

if TYPE_CHECKING:
    import onnxruntime

TYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32}


@dataclass(frozen=True)
class Graph(Additive):
    """What a learner has learnt, as the bytes of an ONNX file."""

    kind: ClassVar[str] = "onnx"
    file: ClassVar[str | None] = "graph_{part}.onnx"
    content: bytes
    session: onnxruntime.InferenceSession = field(compare=False, repr=False)

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        (read,) = self.session.get_inputs()
        matrix = np.ascontiguousarray(encoded, dtype=TYPES[read.type])
        (told,) = self.session.run(None, {read.name: matrix})
        # Scores are added up as doubles, whatever a graph computes in.
        return told.astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        return {}

    def to_bytes(self) -> bytes:
        return self.content

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Graph:  # noqa: ARG003 - predictors share it
        return cls.from_bytes(content or b"")

    @classmethod
    def from_bytes(cls, content: bytes) -> Graph:
        """Read a graph. Raises InputError `onnx_missing` where ONNX Runtime is not installed."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise InputError(
                "A part of the model is an ONNX graph, and ONNX Runtime is not installed.",
                todo="Install Rekindle's extra `onnx` (pip install '.[onnx]'), also where Spark's workers run.",
                safe="Nothing was scored; the last good scores stay.",
                code="onnx_missing",
            ) from error
        options = ort.SessionOptions()
        # One thread: workers score side by side, and a sum whose order depends on the cores is another sum.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return cls(content, ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
