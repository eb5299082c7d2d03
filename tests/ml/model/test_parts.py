"""Parts of any kind beside each other: a bag of words, made up here, beside the dense matrix."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.model import artifact
from ml.model.encoder import Dense, Encoded, Encoders
from ml.model.learners import LEARNERS, Examples, Learner
from ml.model.learners.linear import Design, Linear
from ml.model.part import Part
from ml.model.scorer import Scorer
from ml.objectives import figures
from ml.training import fitting, samples
from rekindle.errors import InputError
from tests.ml.conftest import WORDING, feature_rows, sample_of, sundays

WORDS = ("never", "love", "refund", "the", "it")


@dataclass(frozen=True)
class Words:
    """A text as the counts of known words. All of them are one source: the text."""

    kind: ClassVar[str] = "words"
    known: tuple[str, ...]

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        return (("last_message", "string"),)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("last_message",) * len(self.known)

    @classmethod
    def fit(cls, table: pa.Table, *, leave_out: Iterable[str] = ()) -> "Words":
        assert "active_1_7" in leave_out
        return cls(tuple(sorted({word for text in table["last_message"].to_pylist() for word in text.split()})))

    def encode(self, rows: pa.Table | pa.RecordBatch) -> list[list[str]]:
        """No matrix: an encoder's output is its learner's business."""
        return [text.split() for text in rows.column("last_message").to_pylist()]

    def values(self, rows: pa.Table | pa.RecordBatch, source: str) -> pa.Array:
        return pc.cast(rows.column(source), pa.string())

    def to_json(self) -> dict[str, Any]:
        return {"known": list(self.known)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Words":
        return cls(tuple(plain["known"]))


@dataclass(frozen=True)
class WordWeights:
    kind: ClassVar[str] = "word_weights"
    file: ClassVar[str | None] = None
    weights: dict[str, float]

    @property
    def trees(self) -> int:
        return 0

    def __hash__(self) -> int:
        return id(self)

    def raw(self, encoded: list[list[str]]) -> np.ndarray:
        return self.contributions(encoded).sum(axis=1)

    def contributions(self, encoded: list[list[str]]) -> np.ndarray:
        told = np.zeros((len(encoded), len(self.weights) + 1))
        for row, words in enumerate(encoded):
            for i, (word, weight) in enumerate(self.weights.items()):
                told[row, i] = weight * words.count(word)
        return told

    def to_json(self) -> dict[str, Any]:
        return self.weights

    def to_bytes(self) -> None:
        return None

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> "WordWeights":
        assert content is None
        return cls(plain)


def fit(encoders, _loss, train, _stop) -> tuple[Part, ...]:
    """Fit one logistic regression to both inputs, and take its weights apart again."""
    from sklearn.linear_model import LogisticRegression

    dense, words = encoders.of(Dense), encoders.of(Words)
    design = Design.of_all(dense.features, train.rows.by(dense))
    counts = np.array([[text.count(word) for word in words.known] for text in train.rows.by(words)], dtype=float)
    fitted = LogisticRegression(solver="newton-cholesky").fit(np.hstack([design.matrix, counts]), train.outcome > 0)
    size = design.matrix.shape[1]
    linear = design.predictor(len(dense.columns), fitted.coef_[0][:size], float(fitted.intercept_[0]))
    return Part(dense, linear), Part(words, WordWeights(dict(zip(words.known, fitted.coef_[0][size:], strict=True))))


@pytest.fixture(scope="module")
def told_rows() -> pa.Table:
    """Who wrote that they love it comes back, whatever else is known."""
    rows = feature_rows(sundays(16), 150, seed=3)
    draw = np.random.default_rng(3)
    texts = [" ".join(draw.choice(WORDS, 3)) for _ in range(rows.num_rows)]
    odds = np.array([2.0 * text.count("love") - 2.0 * text.count("never") for text in texts]) - 0.02 * (
        rows["recency_days"].to_numpy() - 60
    )
    outcome = (draw.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)
    rows = rows.set_column(rows.column_names.index("active_1_7"), "active_1_7", pa.array(outcome))
    return rows.append_column("last_message", pa.array(texts))


@pytest.fixture
def beside(recall, told_rows, business, monkeypatch) -> tuple[Scorer, float]:
    """A model of both, through the whole of fitting, and the AUC of the dense matrix alone."""
    learner = Learner(
        "words", "words and numbers", fit, predictors=(Linear, WordWeights), losses=("binary",), encoders=(Dense, Words)
    )
    monkeypatch.setitem(LEARNERS, "words", learner)
    sample = sample_of(recall, told_rows, business)
    product = replace(recall, candidates=("logistic", "words"))
    fitted = fitting.fit(product, sample, samples.split(sample, business))
    assert fitted.contests[0].chosen == "words"
    return fitted.scorer, fitted.contests[0].test["logistic"]


def test_a_text_takes_part_beside_the_dense_matrix(beside, told_rows):
    model, without = beside
    rows = told_rows.slice(0, 300)
    outcome = rows["active_1_7"].to_numpy()
    scored = model.score(rows, WORDING).to_pylist()

    assert [encoder.kind for encoder in model.encoders] == ["dense", "words"]
    assert figures.auc(outcome, model.predict(rows).raw) > without + 0.1
    for i, row in enumerate(scored):
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert whole == pytest.approx(row["raw_score"], rel=1e-9, abs=1e-9)
        assert row["raw_score"] == pytest.approx(model.predict(rows.slice(i, 1)).raw[0], rel=1e-9, abs=1e-9)


def test_a_text_is_a_reason_as_any_other_source_is(beside, told_rows):
    """Its words are one source. The dense matrix has flags of the most frequent texts: both are what the text adds."""
    model, _ = beside
    rows = told_rows.slice(0, 300)
    dense, words = (part.contributions(Encoded(rows)).by_source for part in model.forecasts[0].parts)
    said = words["last_message"] + dense["last_message"]

    assert list(words) == ["last_message"]
    for i, row in enumerate(model.score(rows, WORDING).to_pylist()):
        reasons = {reason["feature"]: reason for reason in row["reasons"]}
        if "love" in rows["last_message"][i].as_py() and "never" not in rows["last_message"][i].as_py():
            assert reasons["last_message"]["contribution"] == pytest.approx(said[i])
            assert reasons["last_message"]["words"] == f"last message is {rows['last_message'][i]}: raises the chance"
            assert len(reasons) == 3


def test_a_model_of_several_encoders_is_stored_and_read_again(beside, told_rows):
    model, _ = beside
    files = model.to_files()
    again = Scorer.from_files(artifact.unpack(artifact.pack(files), artifact.digest_of(files)))

    assert json.loads(files["model.json"])["format"] == 2
    assert again.to_files() == files
    assert again.score(told_rows, WORDING).equals(model.score(told_rows, WORDING))


def test_a_model_whose_learner_is_gone_is_refused_by_name(beside, monkeypatch):
    files = beside[0].to_files()
    monkeypatch.delitem(LEARNERS, "words")

    with pytest.raises(InputError, match=r"unknown_learner: .*'words'.*the last good scores stay"):
        Scorer.from_files(files)


def test_two_meanings_of_a_kind_are_none(beside, monkeypatch):
    """Whoever copies a class and forgets its kind must not score the models of the original."""
    copied = type("Copied", (Linear,), {})
    monkeypatch.setitem(LEARNERS, "copy", replace(LEARNERS["linear"], name="copy", predictors=(copied,)))

    with pytest.raises(InputError, match=r"unknown_learner: .*'linear', which several learners mean differently"):
        Scorer.from_files(beside[0].to_files())


def test_a_part_that_nobody_could_read_again_is_refused_when_it_is_made(recall, told_rows, business, monkeypatch):
    learner = Learner("words", "words", fit, predictors=(Linear,), losses=("binary",), encoders=(Dense, Words))
    monkeypatch.setitem(LEARNERS, "words", learner)
    sample = sample_of(recall, told_rows, business)

    with pytest.raises(InputError, match=r"undeclared_part: words made parts of WordWeights"):
        fitting.fit(replace(recall, candidates=("words",)), sample, samples.split(sample, business))


def test_rows_without_a_column_of_any_encoder_are_refused(beside, told_rows):
    with pytest.raises(InputError, match=r"signature_mismatch: .*last_message missing instead of string"):
        beside[0].score(told_rows.drop_columns(["last_message"]), WORDING)


def test_parts_of_one_label_keep_their_files_apart(recall_fitted, recall_sample):
    """Two boosters of one label are two files, and one sum."""
    rows = recall_sample.rows
    encoders = Encoders(rows, leave_out=["active_1_7"])
    examples = Examples(Encoded(rows), rows["active_1_7"].to_numpy())
    parts = [LEARNERS["boosting"].fit(encoders, "binary", examples, trees)[0] for trees in (3, 5)]
    both = replace(recall_fitted.scorer.forecasts[0], parts=tuple(parts))
    files = Scorer("recall", (both,)).to_files()

    artifact.check_names(files)
    assert set(files) == {"model.json", "booster_active_1_7.txt", "booster_active_1_7_part_2.txt"}
    summed = sum(part.raw(examples.rows) for part in parts)
    np.testing.assert_allclose(Scorer.from_files(files).predict(rows).raw, summed, rtol=1e-12)
