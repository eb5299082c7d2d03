import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.model.encoder import Dense, Encoded, Feature
from ml.objectives import figures
from ml.training import fitting, sample_rows, samples
from rekindle.errors import InputError

LABEL, SPLIT = "active_1_7", "split_active_1_7"


@pytest.fixture(scope="session")
def written(recall, recall_sample, business, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "recall"
    sample_rows.write(recall, recall_sample, samples.split(recall_sample, business), folder)
    return folder


@pytest.fixture(scope="session")
def rows(written) -> pa.Table:
    return pq.read_table(written / "rows.parquet")


@pytest.fixture(scope="session")
def told(written) -> dict:
    return json.loads((written / "columns.json").read_text())


def features_of(rows: pa.Table, told: dict, part: str) -> tuple[np.ndarray, np.ndarray]:
    there = rows.filter(pa.compute.equal(rows[SPLIT], part))
    names = [column["name"] for column in told["columns"] if column["role"] == "feature"]
    matrix = np.column_stack([there[name].to_numpy() for name in names])
    return matrix, there[LABEL].to_numpy()


def in_order(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.lexsort(np.nan_to_num(matrix, nan=-1e9).T)]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_the_rows_are_those_that_our_learners_are_given(recall_sample, business, rows, told, part):
    """The very same matrix with the same outcomes, but for the order of the rows of a day."""
    split = samples.split(recall_sample, business)
    (target,) = recall_sample.targets
    days = {"train": split.train[LABEL], "validation": split.validation[LABEL], "test": split.test}[part]
    ours = recall_sample.of(days, target)
    expected = fitting.encoders_of(recall_sample, split).of(Dense).encode(ours)

    found, outcome = features_of(rows, told, part)

    np.testing.assert_array_equal(
        in_order(np.column_stack([found, outcome])), in_order(np.column_stack([expected, ours[LABEL].to_numpy()]))
    )


def test_a_model_of_somebody_elses_finds_what_ours_finds(recall_sample, recall_fitted, business, rows, told):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    (target,), split = recall_sample.targets, samples.split(recall_sample, business)
    validation = recall_sample.of(split.validation[LABEL], target)
    logistic = recall_fitted.contenders[0]["logistic"]
    ours = figures.auc(validation[LABEL].to_numpy(), logistic.raw(Encoded(validation)))
    log = FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x)))
    theirs = make_pipeline(log, SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression(C=0.5))
    theirs.fit(*features_of(rows, told, "train"))
    matrix, outcome = features_of(rows, told, "validation")

    assert figures.auc(outcome, theirs.decision_function(matrix)) == pytest.approx(ours, abs=0.005)


def test_every_column_is_described_and_none_that_is_not_there(rows, told):
    by_name = {column["name"]: column for column in told["columns"]}
    spent = by_name["sale_amount_28d"]

    assert list(by_name) == rows.column_names
    assert (spent["table"], spent["unit"], spent["source_type"]) == ("features.user", "USD", "decimal(18,2)")
    assert spent["is"] == "Sales within 28 days."
    assert by_name["event_counts_28d__visit"]["unit"] == "visit events"
    assert by_name["country__AT"]["encoded"] == "1 where country is 'AT', else 0"
    assert told["days"]["test"] and len(told["sample_digest"]) == 64


def test_no_file_names_a_user(written, recall_sample, rows):
    """The same user is the same key on every day; another sample gives others."""
    ids = set(recall_sample.rows["user_id"].to_pylist())
    keys = rows["user_key"].to_pylist()

    assert len(set(keys)) == len(ids) and not ids & set(keys)
    assert not any(b"u00001" in path.read_bytes() for path in written.iterdir())


def test_a_second_sample_takes_the_place_of_the_first_and_has_other_keys(
    recall, recall_sample, business, tmp_path, monkeypatch
):
    split, keys = samples.split(recall_sample, business), []
    (tmp_path / "sample").mkdir()
    monkeypatch.chdir(tmp_path / "sample")
    for folder in (Path(), tmp_path / "sample"):
        sample_rows.write(recall, recall_sample, split, folder)
        keys.append(set(pq.read_table(tmp_path / "sample" / "rows.parquet", columns=["user_key"])[0].to_pylist()))

    assert not keys[0] & keys[1]
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_folder_with_anything_else_is_left_as_it_is(recall, recall_sample, business, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(InputError, match="folder_not_empty"):
        sample_rows.write(recall, recall_sample, samples.split(recall_sample, business), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_breaks_off_leaves_nothing_half_written(recall, recall_sample, business, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample_rows.json, "dumps", full)
    with pytest.raises(OSError, match="No space"):
        sample_rows.write(recall, recall_sample, samples.split(recall_sample, business), tmp_path / "sample")
    assert list(tmp_path.iterdir()) == []


def test_each_label_has_a_split_of_its_own(ltv, ltv_sample, business, tmp_path):
    """A label that is known sooner is learnt from later days; rows that no label uses are left out."""
    split = samples.split(ltv_sample, business)
    done = sample_rows.write(ltv, ltv_sample, split, tmp_path / "sample")
    rows = pq.read_table(tmp_path / "sample" / "rows.parquet")

    for target in ltv_sample.targets:
        part = rows[f"split_{target.label}"]
        on = rows.filter(pa.compute.equal(part, "train"))["day"]
        assert sorted(set(on.to_pylist())) == list(split.train[target.label])
        assert done.parts[target.label]["train"] == ltv_sample.of(split.train[target.label], target).num_rows
    assert rows.num_rows == done.row_count < ltv_sample.rows.num_rows


def test_names_are_plain_and_each_is_there_once():
    features = [
        Feature("a", "flag", key="x:y", level="1-2"),
        Feature("a", "flag", key="x y", level="1 2"),
        Feature("a", "flag", rest="other"),
        Feature("a", "flag", level="other"),
    ]

    assert sample_rows.feature_names(features) == [
        "a__x_y__1_2",
        "a__x_y__1_2__again_1",
        "a__other",
        "a__other__again_1",
    ]
