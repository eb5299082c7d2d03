import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.encoder import MAX_LEVELS, MIN_USERS, Dense, Feature
from rekindle.errors import InputError
from tests.bad_inputs import bad_input

TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "rare", ""]), st.text(max_size=5))
COUNTS = st.dictionaries(st.sampled_from(["visit", "click", "other"]), st.integers(0, 2**40), max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries({"n": st.one_of(st.none(), st.integers(-9, 9)), "text": TEXTS, "counts": COUNTS}),
    min_size=1,
    max_size=30,
)


def table(rows: list[dict]) -> pa.Table:
    types = {"n": pa.int64(), "text": pa.string(), "counts": pa.map_(pa.string(), pa.int64())}
    return pa.table({name: pa.array([_plain(r[name]) for r in rows], type_) for name, type_ in types.items()})


def _plain(value):
    return list(value.items()) if isinstance(value, dict) else value


def flags(encoder: Dense, rows: pa.Table, column: str) -> dict[str, list[float]]:
    matrix = encoder.encode(rows)
    found = [(i, f) for i, f in enumerate(encoder.features) if f.column == column]
    return {f.level or f.rest: matrix[:, i].tolist() for i, f in found}


@given(train=ROWS, later=ROWS, at=st.integers(0, 29))
def test_a_row_is_encoded_the_same_wherever_it_stands(train, later, at):
    """On its own, in a slice of a batch, and by an encoder that went through JSON."""
    encoder, rows = Dense.fit(table(train * MIN_USERS)), table(later)
    again = Dense.from_json(json.loads(json.dumps(encoder.to_json())))
    at = at % len(later)
    whole = encoder.encode(rows)

    assert again == encoder
    np.testing.assert_array_equal(again.encode(rows.combine_chunks().to_batches()[0].slice(at, 1)), whole[at : at + 1])
    np.testing.assert_array_equal(again.encode(table([later[at]])), whole[at : at + 1])


@given(train=ROWS, later=ROWS)
def test_every_text_is_one_level_and_every_count_is_counted_once(train, later):
    """Whatever training saw: one flag of a column is up unless the flag was the same for all training rows."""
    encoder, rows = Dense.fit(table(train * MIN_USERS)), table(later)
    everything = Dense(encoder.inputs, (*encoder.features, *_left_out(encoder)))
    matrix = everything.encode(rows)
    texts = [i for i, f in enumerate(everything.features) if f.column == "text"]
    counts = [i for i, f in enumerate(everything.features) if f.column == "counts"]

    assert matrix[:, texts].sum(axis=1).tolist() == [1.0] * len(later)
    assert matrix[:, counts].sum(axis=1).tolist() == [float(sum(row["counts"].values())) for row in later]


def _left_out(encoder: Dense) -> list[Feature]:
    rest = [
        Feature("text", "flag", rest="other"),
        Feature("text", "flag", rest="missing"),
        Feature("counts", "number", rest="other"),
    ]
    return [feature for feature in rest if feature not in encoder.features]


def test_a_level_that_training_did_not_see_is_other():
    encoder = Dense.fit(pa.table({"country": ["AT", "DE", None] * 50 + ["IT"]}))

    found = flags(encoder, pa.table({"country": ["DE", "FR", "IT", None]}), "country")

    assert found == {"AT": [0, 0, 0, 0], "DE": [1, 0, 0, 0], "other": [0, 1, 1, 0], "missing": [0, 0, 0, 1]}


@pytest.mark.parametrize(("users", "named"), [(MIN_USERS - 1, {"AT"}), (MIN_USERS, {"AT", "IT"})])
def test_what_few_users_have_is_other_however_many_rows_say_it(users: int, named: set[str]):
    """A stored model is read by more people than the rows that it has learnt from."""
    countries = ["IT"] * 200 + ["AT"] * 200
    ids = [f"u{i % users}" for i in range(200)] + [f"v{i}" for i in range(200)]
    maps = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.int64())
    rows = pa.table(
        {
            "user_id": ids,
            "country": countries,
            "traits": pa.array([[(country, country)] for country in countries], maps[0]),
            "counts": pa.array([[(country, i)] for i, country in enumerate(countries)], maps[1]),
        }
    )

    found = Dense.fit(rows, distinct=False).features

    assert {f.level for f in found if f.column == "country" and f.level} == named
    assert {f.key for f in found if f.column == "traits"} == named
    assert {f.level for f in found if f.column == "traits" and f.level} == named
    assert {f.key for f in found if f.column == "counts" and f.key} == named


def test_a_key_that_is_left_out_is_in_no_column():
    """Neither of texts nor of counts, where the sum of all other keys would hold it."""
    maps = {"texts": pa.map_(pa.string(), pa.string()), "counts": pa.map_(pa.string(), pa.int64())}
    values = {"texts": ["x", "y"], "counts": [1, 2]}
    columns = {
        name: pa.array([[("kept", value), ("out", value)] for value in values[name] * MIN_USERS], type_)
        for name, type_ in maps.items()
    }
    found = Dense.fit(pa.table(columns), leave_out=["texts:out", "counts:out"])

    assert {feature.source for feature in found.features} == {"texts:kept", "counts:kept"}


def test_many_categories_do_not_become_many_columns():
    levels = [f"c{i}" for i in range(100) for _ in range(i + 1)]
    rare = [f"r{i}" for i in range(100_000)]

    assert len(Dense.fit(pa.table({"c": levels})).features) == MAX_LEVELS + 1
    assert Dense.fit(pa.table({"c": rare, "n": range(100_000)})).features == (Feature("n", "number"),)


def test_days_and_ids_are_not_features():
    """A model must learn neither the calendar nor a user."""
    rows = pa.table({"day": pa.array([1, 2], pa.date32()), "user_id": ["a", "b"], "on": pa.array([3, 4], pa.date32())})

    assert Dense.fit(rows).features == ()


def test_a_sequence_is_left_to_another_encoder_and_a_type_that_nobody_knows_is_refused():
    rows = pa.table({"n": [1, 2], "last_events": [["visit"], ["visit", "order"]]})

    assert Dense.fit(rows).columns == ("n",)
    assert Dense.fit(rows).inputs == (("n", "int64"),)
    with pytest.raises(InputError, match=r"feature_type: The feature at has the type struct"):
        Dense.fit(pa.table({"at": [{"x": 1}, {"x": 2}]}))


def test_what_never_varies_is_left_out():
    assert Dense.fit(pa.table({"a": [1, 1], "b": pa.array([None, None], pa.float64()), "c": [None, 1]})).columns == (
        "c",
    )


def test_what_says_the_same_stands_once_unless_it_is_asked_for_by_name():
    """Days of a year and days ever are the same in a business of one year; a flag that equals a number goes too."""
    distinct = {"year": [1, 0, 3], "ever": [1, 0, 3], "other": [1, 0, 4], "few": [None, 0, 3], "text": ["a", "b", "b"]}
    rows = pa.table({name: values * MIN_USERS for name, values in distinct.items()})

    assert Dense.fit(rows).columns == ("year", "other", "few", "text", "text")
    assert Dense.fit(rows.select(["year", "ever"]), distinct=False).columns == ("year", "ever")
    assert dict(Dense.fit(rows).inputs).keys() == set(rows.column_names)


def test_a_missing_number_stays_missing_and_a_missing_count_is_none():
    rows = pa.table({"gap": [None, 2.5], "counts": pa.array([[], [("visit", 3)]], pa.map_(pa.string(), pa.int64()))})

    np.testing.assert_array_equal(Dense.fit(rows).encode(rows), [[np.nan, 0.0], [2.5, 3.0]])


@bad_input("a model that expects other columns or types", gets="E")
def test_other_columns_or_types_are_refused_and_listed():
    encoder = Dense.fit(pa.table({"a": [1, 2], "b": ["x", "y"]}))

    with pytest.raises(
        InputError, match=r"signature_mismatch: .*a double instead of int64; b missing instead of string"
    ):
        encoder.encode(pa.table({"a": [1.0, 2.0], "c": ["x", "y"]}))


def test_an_extra_column_and_another_order_change_nothing():
    rows = pa.table({"a": [1, 2], "b": ["x", "y"]})
    encoder = Dense.fit(rows)

    np.testing.assert_array_equal(
        encoder.encode(pa.table({"z": [0, 0], "b": ["x", "y"], "a": [1, 2]})), encoder.encode(rows)
    )
