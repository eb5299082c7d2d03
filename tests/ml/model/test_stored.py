"""Models that an earlier Rekindle trained, stored as it wrote them: a champion goes on scoring after an upgrade."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml.model import artifact
from ml.model.scorer import Scorer
from tests.ml.conftest import WORDING

STORED = Path(__file__).parent / "stored"

EXACT = 1e-13
"""Relative. The last bits of an exponential are the processor's."""


def stored_files(name: str) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in (STORED / name).iterdir()}
    return {name: content for name, content in found.items() if artifact.NATIVE_FILE.fullmatch(name)}


def values(nested) -> Iterator:
    """Every single value of rows with lists of structs, in order, but for the words of reasons: those are today's."""
    if isinstance(nested, dict | list):
        for item in [v for k, v in nested.items() if k != "words"] if isinstance(nested, dict) else nested:
            yield from values(item)
    else:
        yield nested


@pytest.mark.parametrize("name", ["recall", "recall_boosting", "ltv"])
def test_a_model_of_format_1_scores_the_same_doubles_for_the_same_reasons(name):
    """Every kind of learner and of calibration; the scores were written by the code that wrote the files."""
    files = stored_files(name)
    rows, expected = (pq.read_table(STORED / name / f"{part}.parquet") for part in ("rows", "scores"))

    assert b'"format": 1' in files[artifact.MODEL_FILE]
    found = Scorer.from_files(files).score(rows, WORDING)

    assert (found.num_rows, found.schema) == (25, expected.schema)
    for ours, theirs in zip(values(found.to_pylist()), values(expected.to_pylist()), strict=True):
        assert ours == (pytest.approx(theirs, rel=EXACT) if isinstance(theirs, float) else theirs)


@pytest.mark.parametrize("name", ["recall", "recall_boosting", "ltv"])
def test_a_model_of_format_1_has_the_digest_that_its_gate_recorded(name):
    """Reading and writing changes no byte, so a promotion of then is one of now."""
    files = stored_files(name)

    assert artifact.digest_of(Scorer.from_files(files).to_files()) == artifact.digest_of(files)
