"""
What scores: a model's files in, for each row a prediction and why out. Runs here and on the Spark workers.

Needs numpy, pyarrow and what its learners score with (lightgbm for boosted ones). A worker process loads a model once, from
the one archive that is named by its digest, after it has computed that digest itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model import artifact, calibration, learners
from ml.model.encoder import Dense, Encoded, check_signature
from ml.model.outlook import READS, Outlook
from ml.model.part import ACTIVE_DAYS, Handover, Part, Whole, total
from ml.model.season import Season
from ml.model.uplift import Uplift
from ml.objectives import calibration_of
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ml.model.calibration import Calibration
    from ml.model.encoder import Encoder, Rows
    from ml.model.learners.declaration import Hyper
    from ml.model.part import Contributions
    from ml.model.reasons import Wording
    from ml.products import Target

FORMAT_DENSE, FORMAT, FORMAT_OUTLOOK, FORMAT_BY_ROW, FORMAT_UPLIFT, FORMAT_UNMESSAGED, FORMAT_SEASON = range(1, 8)
"""
Of model.json. A worker refuses one it does not know.

1: every part reads the one dense encoder. 2: a part may name an encoder of its own. 3: it has an outlook, which an earlier
Rekindle would not publish. 4: a part counts for some rows more than for others, which an earlier one would add up in full, or
amounts are bent, which it could not read. 5: it has an uplift, of which an earlier one would publish nothing. 6: a part has
learnt from who was sent messages, and reads them as none. 7: levels follow the year, which an earlier one would leave out.
What fits into 1 is written as 1: its digest stays what it was, and an earlier Rekindle reads it.
"""

RECIPE = ("history_weeks", "half_life_weeks", "hyper")
"""What of a forecast says how it was fitted: a refit needs it, scoring does not."""

REASON_COUNT = 3

REASON = pa.struct({"feature": pa.string(), "words": pa.string(), "contribution": pa.float64()})


@dataclass(frozen=True)
class Forecast:
    """What predicts one target: parts whose raw scores add up, and the calibration of their sum."""

    label: str
    candidate: str
    parts: tuple[Part, ...]
    calibration: Calibration
    history_weeks: int | None = None
    """The weeks before the last training day that it has learnt from, and a refit learns from; None of all there were."""
    half_life_weeks: int | None = None
    """After so many weeks a training row counted half, and does in a refit; None where all counted alike."""
    hyper: Hyper = field(default_factory=dict, hash=False)
    """Hyper-parameters of the candidate that are not as its learner declares them, by name; a refit has the same."""
    season: Season | None = None
    """How the level of its raw scores follows the year; None where it does not."""

    @property
    def trees(self) -> int:
        return sum(part.predictor.trees for part in self.parts)

    @property
    def handover_days(self) -> int | None:
        """After how many active days the part of new users is silent; None of a forecast without one."""
        return next((part.handover.days for part in self.parts if part.handover), None)

    def uncalibrated(self, rows: Encoded) -> np.ndarray:
        return raw_of(self.parts, rows, self.season)

    def raw(self, rows: Encoded) -> np.ndarray:
        raw = self.uncalibrated(rows)
        return self.calibration.scale(raw) * raw

    def predict(self, rows: Encoded) -> np.ndarray:
        return self.calibration.predict(self.raw(rows))

    def contributions(self, rows: Encoded) -> list[Contributions]:
        said = [part.contributions(rows) for part in self.parts]
        said = self.season.said(said, rows.rows) if self.season else said
        scale = self.calibration.scale(total([one.raw for one in said]))
        return [one.times(scale) for one in said]


def raw_of(parts: Iterable[Part], rows: Encoded, season: Season | None = None) -> np.ndarray:
    """Add up the raw scores of some parts, raised to the level of their days where a season says so."""
    raw = total([part.raw(rows) for part in parts])
    return season.put_on(raw, rows.rows) if season else raw


@dataclass(frozen=True)
class Predictions:
    """What a model says about some rows, without the reasons."""

    raw: np.ndarray
    by_label: dict[str, np.ndarray]
    besides: dict[str, pa.Array] = field(default_factory=dict)
    """What else was asked for, by name; null where the model does not know it."""


@dataclass(frozen=True)
class Scorer:
    """A model: a forecast of each target."""

    needs: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "lightgbm")

    product: str
    forecasts: tuple[Forecast, ...]
    outlook: Outlook | None = None
    """What it says beyond its targets; None of what has no horizons."""
    uplift: Uplift | None = None
    """What a message changes of its target for whom; None where no campaign has shown it."""

    @cached_property
    def encoders(self) -> tuple[Encoder, ...]:
        """What its parts read rows by, each once, in order."""
        return tuple(dict.fromkeys(part.encoder for forecast in self.forecasts for part in forecast.parts))

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The columns that it reads, with their types."""
        read = {name: type_ for encoder in self.encoders for name, type_ in encoder.inputs}
        by_handover = {ACTIVE_DAYS: "int64"} if self._hands_over else {}
        by_uplift = dict(self.uplift.encoder.inputs) if self.uplift else {}
        return {**read, **by_handover, **(READS if self.outlook else {}), **by_uplift}

    @property
    def outputs(self) -> list[str]:
        """The labels that it predicts."""
        return [forecast.label for forecast in self.forecasts]

    @property
    def _hands_over(self) -> bool:
        return any(forecast.handover_days for forecast in self.forecasts)

    def check_signature(self, schema: pa.Schema) -> None:
        """Refuse rows that are not what the model was trained on, before any is scored."""
        check_signature(self.inputs.items(), schema)

    def predict(self, rows: Rows, besides: Sequence[str] = ()) -> Predictions:
        """Return raw scores and predictions, and of `besides` what `score` says of them; cheaper than that."""
        self.check_signature(rows.schema)
        encoded = Encoded(rows)
        raws = [forecast.raw(encoded) for forecast in self.forecasts]
        told = zip(self.forecasts, raws, strict=True)
        by_label = {forecast.label: forecast.calibration.predict(raw) for forecast, raw in told}
        return Predictions(total(raws), by_label, self._besides(encoded, by_label, besides))

    def score(
        self, rows: Rows, wording: Wording, key: Sequence[str] = ("user_id",), besides: Sequence[str] = ()
    ) -> pa.Table:
        """
        Return a row for each row: the prediction for each target, the raw score and what it is made of, said in a `wording`.

        Of `besides` it says what its outlook and its uplift know; what they do not know is null.
        baseline + contributions of the reasons + other_contribution = raw_score, which is uncalibrated: log-odds, or the value.
        """
        self.check_signature(rows.schema)
        encoded = Encoded(rows)
        said = {forecast.label: forecast.contributions(encoded) for forecast in self.forecasts}
        predictions = {
            forecast.label: forecast.calibration.predict(total([part.raw for part in said[forecast.label]]))
            for forecast in self.forecasts
        }
        made_of = Whole.of([part for parts in said.values() for part in parts])
        by_source = np.zeros((rows.num_rows, len(made_of.by_source)))
        for i, amounts in enumerate(made_of.by_source.values()):
            by_source[:, i] = amounts
        # What is never shown is nothing as a reason, and counts among the rest.
        shown = by_source * [not wording.protected.holds(source) for source in made_of.by_source]
        largest = np.argsort(-np.abs(shown), axis=1, kind="stable")[:, :REASON_COUNT]
        rest = by_source.copy()
        np.put_along_axis(rest, largest, np.take_along_axis(by_source - shown, largest, axis=1), axis=1)
        return pa.table(
            {
                **{name: rows.column(name) for name in (*key, "day")},
                **predictions,
                **self._besides(encoded, predictions, besides),
                "raw_score": made_of.raw,
                "baseline": made_of.baseline,
                "other_contribution": rest.sum(axis=1),
                "reasons": self._reasons(rows, list(made_of.by_source), shown, largest, wording),
            }
        )

    def made_of(self, rows: Rows) -> Whole:
        """Say what the raw scores of some rows are made of, by source."""
        encoded = Encoded(rows)
        return Whole.of([part for forecast in self.forecasts for part in forecast.contributions(encoded)])

    def _besides(
        self, encoded: Encoded, predictions: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, pa.Array]:
        rows, labels = encoded.rows, [forecast.label for forecast in self.forecasts]
        told = self.outlook.tell(rows, predictions, labels) if self.outlook and names else {}
        told |= self.uplift.tell(encoded) if self.uplift and names else {}
        unknown = np.full(rows.num_rows, np.nan)
        return {name: pa.array(told.get(name, unknown), pa.float64(), from_pandas=True) for name in names}

    def values(self, rows: Rows, source: str) -> pa.Array:
        """Return what rows hold for a source, as the first encoder that reads it says it."""
        return next(encoder for encoder in self.encoders if source in encoder.columns).values(rows, source)

    def _reasons(
        self, rows: Rows, sources: Sequence[str], by_source: np.ndarray, largest: np.ndarray, wording: Wording
    ) -> pa.ListArray:
        """Put the largest contributions into words. One that is exactly nothing is no reason."""
        amounts = np.take_along_axis(by_source, largest, axis=1)
        kept = amounts != 0.0
        said = np.empty(largest.shape, dtype=object)
        for i, source in enumerate(sources):
            at_row, at_rank = np.nonzero((largest == i) & kept)
            if len(at_row):
                values = pc.take(self.values(rows, source), pa.array(at_row)).to_pylist()
                usual = _usual(rows, wording.beside(source), at_row)
                # Many users have the same to be said of them: each sentence is made once.
                told = list(zip(values, np.sign(amounts[at_row, at_rank]).tolist(), usual, strict=True))
                sentences = {one: wording.reason(source, *one) for one in set(told)}
                said[at_row, at_rank] = [sentences[one] for one in told]
        named = np.array(sources, dtype=object)[largest]
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

    @property
    def _needed_format(self) -> int:
        """The newest format that something of it needs, beside encoders of several kinds."""
        by_row = self._hands_over or any("power" in calibration.to_json(one.calibration) for one in self.forecasts)
        unmessaged = any(part.messaged_at is not None for forecast in self.forecasts for part in forecast.parts)
        needs = {
            FORMAT_OUTLOOK: self.outlook is not None,
            FORMAT_BY_ROW: by_row,
            FORMAT_UPLIFT: self.uplift is not None,
            FORMAT_UNMESSAGED: unmessaged,
            FORMAT_SEASON: any(forecast.season for forecast in self.forecasts),
        }
        return max((one for one, is_needed in needs.items() if is_needed), default=FORMAT_DENSE)

    def to_files(self) -> dict[str, bytes]:
        """Return the model's native files: equal models have equal bytes."""
        encoders = self.encoders
        needed = self._needed_format
        is_dense = len(encoders) == 1 and isinstance(encoders[0], Dense) and needed in {FORMAT_DENSE, FORMAT_OUTLOOK}
        listed: list[dict[str, Any]] = []
        files: dict[str, bytes] = {}
        for forecast in self.forecasts:
            for number, part in enumerate(forecast.parts, 1):
                entry: dict[str, Any] = {
                    "label": forecast.label,
                    "candidate": forecast.candidate,
                    "kind": part.predictor.kind,
                    "learner": part.predictor.to_json(),
                    "calibration": calibration.to_json(forecast.calibration),
                }
                entry |= {name: value for name in RECIPE if (value := getattr(forecast, name))}
                if forecast.season and number == 1:
                    entry["season"] = forecast.season.to_json()
                if part.handover:
                    entry["handover"] = vars(part.handover)
                if part.messaged_at is not None:
                    entry["messaged_at"] = part.messaged_at
                listed.append(entry if is_dense else {**entry, "encoder": encoders.index(part.encoder)})
                if part.predictor.file and (content := part.predictor.to_bytes()) is not None:
                    files[_file(part.predictor.file, forecast.label, number)] = content
        model: dict[str, Any] = {"product": self.product, "parts": listed}
        if is_dense and not self.outlook:
            model |= {"format": FORMAT_DENSE, "encoder": encoders[0].to_json()}
        else:
            named = [{"kind": encoder.kind, **encoder.to_json()} for encoder in encoders]
            model |= {"format": max(FORMAT, needed), "encoders": named}
        if self.outlook:
            model["outlook"] = self.outlook.to_json()
        if self.uplift:
            model["uplift"] = self.uplift.to_json()
        text = json.dumps(model, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return {artifact.MODEL_FILE: text.encode(), **files}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Scorer:
        """Read a model whose digest was checked."""
        model = json.loads(files[artifact.MODEL_FILE])
        if model["format"] == FORMAT_DENSE:
            model["encoders"] = [{"kind": Dense.kind, **model["encoder"]}]
        elif model["format"] not in range(FORMAT, FORMAT_SEASON + 1):
            raise InputError(
                f"The model has the format {model['format']}; this version of Rekindle reads formats up to {FORMAT_SEASON}.",
                todo="Train the product again, or score with the version that trained it.",
                safe="Nothing was scored; the last good scores stay.",
                code="model_format",
            )
        encoders = [learners.encoder_kind(plain.pop("kind")).from_json(plain) for plain in model["encoders"]]
        forecasts = []
        for label, of_label in groupby(model["parts"], key=lambda part: part["label"]):
            entries, parts = list(of_label), []
            for number, entry in enumerate(entries, 1):
                kind = learners.predictor_kind(entry["kind"])
                content = files.get(_file(kind.file, label, number)) if kind.file else None
                handover = Handover(**entry["handover"]) if "handover" in entry else None
                predictor, messaged_at = kind.from_stored(entry["learner"], content), entry.get("messaged_at")
                parts.append(Part(encoders[entry.get("encoder", 0)], predictor, handover, messaged_at))
            fitted = calibration_of(entries[0]["calibration"])
            recipe = {name: entries[0][name] for name in RECIPE if name in entries[0]}
            season = Season.from_json(entries[0]["season"]) if "season" in entries[0] else None
            forecasts.append(Forecast(label, entries[0]["candidate"], tuple(parts), fitted, **recipe, season=season))
        outlook = Outlook.from_json(model["outlook"]) if "outlook" in model else None
        uplift = Uplift.from_json(model["uplift"]) if "uplift" in model else None
        return cls(model["product"], tuple(forecasts), outlook, uplift)


def _usual(rows: Rows, column: str | None, at: np.ndarray) -> list[Any]:
    """Return what is usual beside the values of some rows; None of each where the rows do not say it."""
    if column is None or column not in rows.schema.names:
        return [None] * len(at)
    return pc.take(rows.column(column), pa.array(at)).to_pylist()


def _file(pattern: str, label: str, number: int) -> str:
    """Name the file of a part: the first of a label is called as the label is."""
    return pattern.format(part=label if number == 1 else f"{label}_part_{number}")


def output_ddl(targets: Iterable[Target], key: Sequence[str] = ("user_id",), besides: Sequence[str] = ()) -> str:
    """Return what `Scorer.score` returns as a Spark schema."""
    predictions = "".join(f"{name} double, " for name in (*(target.label for target in targets), *besides))
    identity = "".join(f"{name} string, " for name in key)
    return (
        f"{identity}day date, {predictions}raw_score double, baseline double, other_contribution double, "
        "reasons array<struct<feature:string,words:string,contribution:double>>"
    )


def archive_name(digest: str) -> str:
    """Name of the one file in which a model travels: `spark.addArtifacts(path, file=True)` takes each name once."""
    return f"{digest}.zip"


def scoring_function(
    digest: str, wording: Wording, key: Sequence[str] = ("user_id",), besides: Sequence[str] = ()
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `DataFrame.mapInArrow`; the model's archive was given to Spark as an artifact."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = _on_worker(digest)
        for batch in batches:
            yield from scorer.score(batch, wording, key, besides).to_batches()

    return score


@lru_cache(maxsize=8)
def _on_worker(digest: str) -> Scorer:
    """Load a model once per worker process; workers live on between jobs."""
    from pyspark import SparkFiles

    archive = Path(SparkFiles.get(archive_name(digest))).read_bytes()
    return Scorer.from_files(artifact.unpack(archive, digest))
