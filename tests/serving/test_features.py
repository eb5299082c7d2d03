"""Features that somebody sends become typed columns: what was sent, or a refusal that names the feature."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from serving.scoring import UnusableError, of_features

DAY = date(2017, 6, 5)
SIGNATURE = {
    "orders": "int64",
    "events": "map<string,int64>",
    "days": "int64",
    "net": "decimal128(18, 2)",
    "traits": "map<string,string>",
    "spent": "decimal128(18, 2)",
    "clicks": "map<string,int64>",
    "country": "string",
    "gap": "double",
}
SENT = {
    "orders": [1, None, 3],
    "events": [{"view": 2, "click": 1}, None, {}],
    "days": [None, 5, 2**52],
    "net": [1.25, None, -3],
    "traits": [None, {"plan": "a", "size": None}, {}],
    "spent": [None, None, 10**9],
    "clicks": [{}, {}, {"view": 7}],
    "country": ["US", None, ""],
    "gap": [0, 1e300, None],
}


def test_each_feature_is_what_was_sent_however_many_have_its_type():
    found = of_features(SENT, SIGNATURE, DAY)
    assert found.schema.names == [*SIGNATURE, "day"]
    assert found.column("day").to_pylist() == [DAY] * 3
    for name, sent in SENT.items():
        told = found.column(name)
        as_sent = [list(one.items()) if isinstance(one, dict) else one for one in sent]
        assert [
            float(one) if name in {"net", "spent"} and one is not None else one for one in told.to_pylist()
        ] == as_sent
    assert pa.types.is_map(found.schema.field("events").type)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("days", [1, 2, "three"]),
        ("days", [1, True, 2]),
        ("days", [1, 2, 2**60 + 1]),
        ("spent", [1, 2, float("inf")]),
        ("spent", [1e30, 1, 2]),
        ("clicks", [{"view": "x"}, {}, {}]),
        ("clicks", [["view", 1], {}, {}]),
        ("traits", [{"plan": 3}, {}, {}]),
        ("country", [1, 2, 3]),
    ],
)
def test_a_refusal_names_the_feature_and_quotes_nothing(name, values):
    with pytest.raises(UnusableError) as refused:
        of_features(SENT | {name: values}, SIGNATURE, DAY)
    assert str(refused.value).startswith(f"inputs.{name} is no list of ")
    assert not any(str(value) in str(refused.value) for value in values)
