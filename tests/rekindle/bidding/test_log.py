"""What is a log of auctions, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from rekindle.bidding.log import NAMES_IN_NPZ, read
from rekindle.errors import InputError

LOG = {
    "clicked": np.array([0, 1, 0], np.int8),
    "market_price": np.array([70, 0, 6], np.int16),
    "predicted": np.array([0.25, 0.5, 0.125], np.float32),
}
SECRET = 4711.5
"""A value that no error may quote."""


@pytest.fixture
def written(tmp_path):
    """Write a log like LOG, with some columns replaced or, where None, left out."""

    def write(ending: str, **columns):
        path = tmp_path / f"log.{ending}"
        kept = {name: values for name, values in (LOG | columns).items() if values is not None}
        if ending == "npz":
            np.savez(path, **{NAMES_IN_NPZ[name]: values for name, values in kept.items()})
        else:
            (parquet.write_table if ending == "parquet" else csv.write_csv)(pa.table(kept), path)
        return path

    return write


def refused(path) -> InputError:
    with pytest.raises(InputError) as error:
        read(path)
    assert path.name in error.value.what
    assert "4711" not in str(error.value)
    return error.value


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
def test_a_log_is_the_same_in_each_form(written, ending):
    auctions = read(written(ending))

    assert auctions.clicked.tolist() == [False, True, False]
    assert auctions.market_price.tolist() == [70, 0, 6]
    assert auctions.predicted.tolist() == [0.25, 0.5, 0.125]
    assert auctions.total_price == 76


def test_clicks_may_be_true_and_false(written):
    assert read(written("csv", clicked=[False, True, True])).clicked.tolist() == [False, True, True]


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
@pytest.mark.parametrize(
    ("column", "values", "code"),
    [
        ("clicked", None, "no_such_column"),
        ("predicted", None, "no_such_column"),
        ("clicked", [0, 2, 1], "out_of_range"),
        ("clicked", [0, 0.5, 1], "out_of_range"),
        ("market_price", [1.0, -SECRET, 1.0], "out_of_range"),
        ("market_price", [1.0, np.inf, SECRET], "empty_cells"),
        ("market_price", ["1", "much", "4711"], "not_numbers"),
        ("predicted", [0.1, 1.1, 0.2], "out_of_range"),
        ("predicted", [0.1, -0.1, 0.2], "out_of_range"),
        ("predicted", [0.1, SECRET, np.nan], "empty_cells"),
    ],
)
def test_a_wrong_column_is_refused_by_its_name(written, ending, column, values, code):
    error = refused(written(ending, **{column: values}))

    assert error.code == code
    assert (NAMES_IN_NPZ[column] if ending == "npz" else column) in error.what


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_a_log_without_auctions_is_refused(written, ending):
    assert refused(written(ending, **{name: np.array([], float) for name in LOG})).code == "no_rows"


def test_an_empty_cell_is_refused(written):
    assert refused(written("csv", market_price=[1, None, 2])).code == "empty_cells"


def test_the_first_wrong_row_is_said(written):
    assert "2 rows, the first of them row 2, are below 0" in refused(written("csv", market_price=[1, -1, -2])).what


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("clicked,market_price,predicted,predicted\n1,2,0.1,0.2\n")

    assert refused(path).code == "no_such_column"


def test_columns_of_different_lengths_or_shapes_are_refused(written):
    assert refused(written("npz", predicted=np.array([0.5, 0.5]))).code == "not_numbers"
    assert refused(written("npz", predicted=np.full((3, 2), 0.5))).code == "not_numbers"
    assert refused(written("npz", predicted=np.float64(0.5))).code == "not_numbers"


def test_objects_are_not_loaded(written):
    """They would be code."""
    assert refused(written("npz", predicted=np.array([0.1, "4711", None], object))).code == "unreadable"


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 4711", b"PAR1", b"\x93NUMPY", b"\xff\xfe\x00"])
def test_what_is_no_log_is_refused(tmp_path, ending, content):
    path = tmp_path / f"log.{ending}"
    path.write_bytes(content)

    assert refused(path).code in {"unreadable", "no_such_column"}


def test_a_single_array_is_no_log(tmp_path):
    """It is loaded as one, whatever the name of its file says."""
    path = tmp_path / "log.npz"
    with path.open("wb") as file:
        np.save(file, LOG["predicted"])

    assert refused(path).code == "unreadable"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refused(tmp_path / "none.npz").code == "no_file"
