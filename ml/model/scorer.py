"""
What scores: a model's files in, for each row a prediction and why out. Runs here and on the Spark workers.

Needs numpy, pyarrow and, for boosted models, lightgbm. A worker process loads a model once, from the one archive that
is named by its digest, after it has computed that digest itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model import artifact, calibration, learners, reasons
from ml.model.encoder import Encoder
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ml.model.calibration import Level, Platt
    from ml.model.learners import Learner
    from ml.model.reasons import Phrases
    from ml.products import Target

FORMAT = 1
"""Of model.json. A worker refuses one it does not know."""

REASON_COUNT = 3

REASON = pa.struct({"feature": pa.string(), "words": pa.string(), "contribution": pa.float64()})


@dataclass(frozen=True)
class Part:
    """The part of a model that predicts one target."""

    label: str
    candidate: str
    learner: Learner
    calibration: Platt | Level

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        return self.calibration.factor * self.learner.raw(matrix)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return self.calibration.factor * self.learner.contributions(matrix)


@dataclass(frozen=True)
class Predictions:
    """What a model says about some rows, without the reasons."""

    raw: np.ndarray
    by_label: dict[str, np.ndarray]


@dataclass(frozen=True)
class Scorer:
    """A model: an encoder, and a part for each target."""

    product: str
    encoder: Encoder
    parts: tuple[Part, ...]

    def predict(self, rows: pa.Table | pa.RecordBatch) -> Predictions:
        """Return raw scores and predictions; cheaper than `score`."""
        matrix = self.encoder.encode(rows)
        raws = {part.label: part.raw(matrix) for part in self.parts}
        by_label = {part.label: part.calibration.predict(raws[part.label]) for part in self.parts}
        return Predictions(raw=sum(raws.values()), by_label=by_label)

    def score(self, rows: pa.Table | pa.RecordBatch, phrases: Phrases, key: Sequence[str] = ("user_id",)) -> pa.Table:
        """
        Return a row for each row: the prediction for each target, the raw score and what it is made of, said in `phrases`.

        baseline + contributions of the reasons + other_contribution = raw_score.
        """
        matrix = self.encoder.encode(rows)
        contributions = np.zeros((len(matrix), len(self.encoder.features) + 1))
        predictions = {}
        for part in self.parts:
            made_of = part.contributions(matrix)
            contributions += made_of
            predictions[part.label] = part.calibration.predict(made_of.sum(axis=1))
        by_source = self._by_source(contributions[:, :-1])
        largest = np.argsort(-np.abs(by_source), axis=1, kind="stable")[:, :REASON_COUNT]
        rest = by_source.copy()
        np.put_along_axis(rest, largest, 0.0, axis=1)
        return pa.table(
            {
                **{name: rows.column(name) for name in (*key, "day")},
                **predictions,
                "raw_score": contributions.sum(axis=1),
                "baseline": contributions[:, -1],
                "other_contribution": rest.sum(axis=1),
                "reasons": self._reasons(rows, by_source, largest, phrases),
            }
        )

    def _by_source(self, contributions: np.ndarray) -> np.ndarray:
        """Sum the flags and counts that people would call one feature."""
        position = {source: i for i, source in enumerate(self.encoder.sources)}
        summed = np.zeros((len(contributions), len(position)))
        for i, feature in enumerate(self.encoder.features):
            summed[:, position[feature.source]] += contributions[:, i]
        return summed

    def _reasons(
        self, rows: pa.Table | pa.RecordBatch, by_source: np.ndarray, largest: np.ndarray, phrases: Phrases
    ) -> pa.ListArray:
        """Put the largest contributions into words. One that is exactly nothing is no reason."""
        amounts = np.take_along_axis(by_source, largest, axis=1)
        kept = amounts != 0.0
        said = np.empty(largest.shape, dtype=object)
        for i, source in enumerate(self.encoder.sources):
            at_row, at_rank = np.nonzero((largest == i) & kept)
            if len(at_row):
                values = pc.take(self.encoder.values(rows, source), pa.array(at_row)).to_pylist()
                said[at_row, at_rank] = [reasons.words(phrases, source, value) for value in values]
        named = np.array(self.encoder.sources, dtype=object)[largest]
        structs = pa.StructArray.from_arrays(
            [
                pa.array(named[kept], pa.string()),
                pa.array(said[kept], pa.string()),
                pa.array(amounts[kept], pa.float64()),
            ],
            fields=list(REASON),
        )
        offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), structs)

    def to_files(self) -> dict[str, bytes]:
        """Return the model's native files: equal models have equal bytes."""
        parts = [
            {
                "label": part.label,
                "candidate": part.candidate,
                "kind": part.learner.kind,
                "learner": part.learner.to_json(),
                "calibration": calibration.to_json(part.calibration),
            }
            for part in self.parts
        ]
        model = {"format": FORMAT, "product": self.product, "encoder": self.encoder.to_json(), "parts": parts}
        texts = {booster_file(part.label): part.learner.to_text() for part in self.parts}
        return {
            artifact.MODEL_FILE: json.dumps(model, sort_keys=True, ensure_ascii=False, allow_nan=False).encode(),
            **{name: text.encode() for name, text in texts.items() if text is not None},
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Scorer:
        """Read a model whose digest was checked."""
        model = json.loads(files[artifact.MODEL_FILE])
        if model["format"] != FORMAT:
            raise InputError(
                f"The model has the format {model['format']}; this version of Rekindle reads format {FORMAT}.",
                todo="Train the product again, or score with the version that trained it.",
                safe="Nothing was scored; the last good scores stay.",
                code="model_format",
            )
        parts = [
            Part(
                part["label"],
                part["candidate"],
                learners.LEARNERS[part["kind"]].from_json(part["learner"], _text(files, part["label"])),
                calibration.from_json(part["calibration"]),
            )
            for part in model["parts"]
        ]
        return cls(model["product"], Encoder.from_json(model["encoder"]), tuple(parts))


def booster_file(label: str) -> str:
    return f"booster_{label}.txt"


def _text(files: Mapping[str, bytes], label: str) -> str | None:
    found = files.get(booster_file(label))
    return None if found is None else found.decode()


def output_ddl(targets: Iterable[Target], key: Sequence[str] = ("user_id",)) -> str:
    """Return what `Scorer.score` returns as a Spark schema."""
    predictions = "".join(f"{target.label} double, " for target in targets)
    identity = "".join(f"{name} string, " for name in key)
    return (
        f"{identity}day date, {predictions}raw_score double, baseline double, other_contribution double, "
        "reasons array<struct<feature:string,words:string,contribution:double>>"
    )


def archive_name(digest: str) -> str:
    """Name of the one file in which a model travels: `spark.addArtifacts(path, file=True)` takes each name once."""
    return f"{digest}.zip"


def scoring_function(
    digest: str, phrases: Phrases, key: Sequence[str] = ("user_id",)
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `DataFrame.mapInArrow`; the model's archive was given to Spark as an artifact."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = _on_worker(digest)
        for batch in batches:
            yield from scorer.score(batch, phrases, key).to_batches()

    return score


@lru_cache(maxsize=8)
def _on_worker(digest: str) -> Scorer:
    """Load a model once per worker process; workers live on between jobs."""
    from pyspark import SparkFiles

    archive = Path(SparkFiles.get(archive_name(digest))).read_bytes()
    return Scorer.from_files(artifact.unpack(archive, digest))
