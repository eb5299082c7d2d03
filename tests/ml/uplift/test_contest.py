"""Learners beside each other over repeated halves."""

from __future__ import annotations

import numpy as np
import pytest

from ml.uplift.contest import Contest, Mean, contest


@pytest.fixture(scope="module")
def found(told) -> Contest:
    rows = told.trial.take(np.arange(8_000))
    return list(contest(rows, {"truth": told.effect, "noise": rows.x[:, 8]}, splits=3))[-1]


def test_the_error_is_nadeaus_and_bengios():
    values = np.array([0.1, 0.3, 0.2, 0.4])
    mean = Mean.of(values)

    assert mean.value == pytest.approx(0.25)
    assert mean.error == pytest.approx(np.sqrt((1 / 4 + 1 / 1) * np.var(values, ddof=1)))
    assert mean.freedom == 3


def test_who_knows_the_truth_is_first_and_the_constant_is_what_lots_are(found):
    by_name = {entry.name: entry for entry in found.entries}

    assert by_name["truth"].figures["qini"].value > by_name["noise"].figures["qini"].value
    assert by_name["constant"].figures["qini"].value == pytest.approx(0, abs=1e-12)
    assert by_name["noise"].told == "differs from lots by less than its error"


def test_it_is_said_who_differs_by_less_than_the_error(found):
    same = [entry.name for entry in found.entries[1:] if entry.from_best.is_zero]

    assert found.told == f"Differ from {found.entries[0].name} by less than their error: {', '.join(same)}."
    assert "noise" not in same
