import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.model import artifact
from ml.model.calibration import NEVER, Level, Platt
from ml.model.encoder import Encoded, Encoders
from ml.model.learners import LEARNERS, Examples
from ml.model.scorer import REASON_COUNT, Forecast, Scorer, output_ddl
from ml.objectives import OBJECTIVES
from ml.objectives.count import Rate
from ml.training.rules import fit_rule
from rekindle.errors import InputError
from rekindle.settings import PROJECT
from rekindle.warehouse import contracts
from tests.bad_inputs import bad_input
from tests.ml.conftest import WORDING, feature_rows, sundays
from tests.traps import trap

TEXT = st.text(max_size=9)


def maps(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(TEXT, values, max_size=3).map(lambda found: list(found.items()))


STRANGE = st.fixed_dictionaries(
    {
        "country": st.none() | TEXT,
        "recency_days": st.none() | st.integers(0, 364),
        "gap_mean_days": st.none() | st.floats(1, 364),
        "active_days_28d": st.integers(0, 28),
        "event_counts_28d": maps(st.integers(0, 2**40)),
        "attributes": maps(TEXT),
        "sale_amount_28d": st.decimals(0, 10**9, places=2),
    }
)


CALIBRATED = {"binary": Platt(1.0, 0.0), "regression": Level(1.5), "poisson": Rate(1.0)}
"""By loss; log-odds are taken at their word, so that the chance can be computed from them by hand."""

KINDS = [(name, loss) for name, learner in LEARNERS.items() for loss in learner.losses or CALIBRATED]


def as_it_is(model: Scorer, whole: float) -> dict[str, float]:
    """What a model of one forecast predicts of a raw score."""
    if len(model.forecasts) > 1:
        return {}
    (forecast,) = model.forecasts
    by_kind = {
        "platt": min(max(1 / (1 + np.exp(-whole)), NEVER), 1 - NEVER),
        "level": max(whole, 0),
        "rate": np.exp(whole),
    }
    return {forecast.label: by_kind[forecast.calibration.kind]}


@pytest.fixture(scope="session")
def models(recall_fitted, ltv_fitted, recall_sample) -> dict[str, Scorer]:
    """Every learner with each loss that it minimises, a naive rule, and a model that is the sum of two parts."""
    rows, of_kind = recall_sample.rows, {}
    some, others = (
        Examples(Encoded(part), part["active_1_7"].to_numpy()) for part in (rows.slice(0, 2000), rows.slice(2000))
    )
    encoders = Encoders(rows, leave_out=["active_1_7"])
    for kind, loss in KINDS:
        parts = LEARNERS[kind].fit(encoders, loss, some, others)
        of_kind[f"{kind} {loss}"] = Scorer("recall", (Forecast("active_1_7", kind, parts, CALIBRATED[loss]),))
    for rule in recall_sample.targets[0].rules:
        if part := fit_rule(rule, OBJECTIVES["probability"], some):
            of_kind["rule"] = Scorer("recall", (Forecast("active_1_7", rule.name, (part,), CALIBRATED["binary"]),))
    return {**of_kind, "chosen": recall_fitted.scorer, "ltv": ltv_fitted.scorer}


@pytest.mark.parametrize("name", [*(f"{kind} {loss}" for kind, loss in KINDS), "rule", "ltv"])
@settings(max_examples=15)
@given(st.lists(STRANGE, min_size=1, max_size=20))
def test_contributions_add_up_for_whatever_row(models, name, strange):
    """
    Baseline + reasons + other = raw score, and the parts of a model are the model.

    The raw score is the uncalibrated log-odds of a chance, and of an amount its value.
    """
    rows = feature_rows(sundays(1), len(strange), **{key: [row[key] for row in strange] for key in strange[0]})
    scored = models[name].score(rows, WORDING).to_pylist()
    predicted = models[name].predict(rows)

    for i, row in enumerate(scored):
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert whole == pytest.approx(row["raw_score"], rel=1e-9, abs=1e-9)
        assert row["raw_score"] == pytest.approx(predicted.raw[i], rel=1e-9, abs=1e-9)
        for label, values in predicted.by_label.items():
            assert row[label] == pytest.approx(values[i], rel=1e-9, abs=1e-9)
        for label, told in as_it_is(models[name], whole).items():
            assert row[label] == pytest.approx(told, rel=1e-9, abs=1e-9)


def test_reasons_are_the_three_largest_largest_first(models):
    rows = feature_rows(sundays(1), 200, seed=9)
    model = models["boosting binary"]
    (part,) = model.forecasts[0].parts
    by_column = part.predictor.contributions(part.encoder.encode(rows))[:, :-1]

    for row, contributions in zip(model.score(rows, WORDING).to_pylist(), by_column, strict=True):
        by_source: dict[str, float] = {}
        for source, contribution in zip(part.encoder.columns, contributions, strict=True):
            by_source[source] = by_source.get(source, 0.0) + contribution
        largest = sorted(by_source.values(), key=abs, reverse=True)[:REASON_COUNT]
        assert [r["contribution"] for r in row["reasons"]] == pytest.approx([c for c in largest if c != 0])
        assert all(by_source[r["feature"]] == pytest.approx(r["contribution"]) for r in row["reasons"])


def test_reasons_say_the_value_of_the_row(models):
    rows = feature_rows(sundays(1), 50, seed=9)
    recency, usual = rows["recency_days"].to_pylist(), rows["gap_mean_days"].to_pylist()

    said = {
        (recency[i], usual[i], reason["contribution"] > 0, reason["words"])
        for i, row in enumerate(models["chosen"].score(rows, WORDING).to_pylist())
        for reason in row["reasons"]
        if reason["feature"] == "recency_days"
    }
    assert said
    for days, gap, raises, words in said:
        how_often = "" if gap is None else f", usually every {contracts.count(gap, ('day', 'days'))}"
        assert words == f"last active {days} days ago{how_often}: {'raises' if raises else 'lowers'} the chance"


@trap("the confidence of the predicted class as the score")
def test_a_return_probability_is_that_of_returning(models, recall_sample):
    """The trap: the confidence of the predicted class. Who stays away for sure is at the bottom, not on top."""
    rows = recall_sample.rows
    predicted = models["chosen"].predict(rows)
    chance = predicted.by_label["active_1_7"]
    returned = rows["active_1_7"].to_numpy()

    assert chance[returned == 1].mean() > chance[returned == 0].mean() + 0.1
    assert (np.diff(chance[np.argsort(predicted.raw)]) >= 0).all()


def test_a_file_gives_back_the_same_model(models):
    for model in models.values():
        files = model.to_files()
        again = Scorer.from_files(files)

        assert again.to_files() == files
        rows = feature_rows(sundays(1), 30)
        assert again.score(rows, WORDING).equals(model.score(rows, WORDING))


def test_an_empty_batch_gives_an_empty_answer_of_the_same_columns(models):
    rows = feature_rows(sundays(1), 3)

    assert models["chosen"].score(rows.slice(0, 0), WORDING).schema == models["chosen"].score(rows, WORDING).schema


def test_the_answer_is_what_spark_is_told_it_is(models, ltv, business):
    names = [part.split()[0] for part in output_ddl(ltv.targets(business)).split(", ")]

    assert models["ltv"].score(feature_rows(sundays(1), 3), WORDING).column_names == names


@bad_input("a model that expects other columns or types", gets="E")
def test_other_types_are_refused_before_anything_is_scored(models):
    rows = feature_rows(sundays(1), 3)
    at = rows.column_names.index("recency_days")

    with pytest.raises(InputError, match=r"signature_mismatch: .*recency_days string instead of int32"):
        models["chosen"].score(rows.set_column(at, "recency_days", rows["recency_days"].cast(pa.string())), WORDING)


def test_a_worker_loads_neither_spark_nor_mlflow_nor_what_learners_are_fitted_with():
    code = "import sys; import ml.model.scorer; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)

    assert "numpy" in loaded.stdout.split()
    assert not {"pyspark", "mlflow", "sklearn", "pandas", "lightgbm"} & set(loaded.stdout.split())


def test_an_archive_is_the_same_for_the_same_model_and_checked_when_read(models):
    files = models["boosting binary"].to_files()
    digest = artifact.digest_of(files)

    assert artifact.pack(files) == artifact.pack(dict(reversed(files.items())))
    assert artifact.unpack(artifact.pack(files), digest) == files


@bad_input("an artifact of another digest", gets="E")
def test_a_changed_byte_is_refused(models):
    files = models["boosting binary"].to_files()
    digest = artifact.digest_of(files)
    files["booster_active_1_7.txt"] = files["booster_active_1_7.txt"].replace(b"0", b"1", 1)

    with pytest.raises(InputError, match=r"digest_mismatch: .*Nothing of it was loaded"):
        artifact.unpack(artifact.pack(files), digest)


@bad_input("an artifact's path with `..`", "a pickle in an artifact", gets="E")
@pytest.mark.parametrize(
    "name", ["model.pkl", "../model.json", "native/../../x.txt", "booster_x.so", "python_model.pkl"]
)
def test_a_file_that_is_not_native_is_refused_unread(models, name):
    """Even if its digest were right: whoever can write the files could write the tag."""
    files = models["chosen"].to_files() | {name: pickle.dumps(print)}

    with pytest.raises(InputError, match=r"unexpected_model_file: .*Nothing of it was loaded"):
        artifact.unpack(artifact.pack(files), artifact.digest_of(files))


def test_bytes_cannot_move_from_one_file_to_the_next_unnoticed():
    assert artifact.digest_of({"a": b"xy", "b": b""}) != artifact.digest_of({"a": b"x", "b": b"y"})
