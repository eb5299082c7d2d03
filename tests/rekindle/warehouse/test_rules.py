"""What contracts say of values means the same to Spark and to Postgres, and what plain Python makes of it."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest

from rekindle.postgres import transact
from rekindle.warehouse.checks.rules import InList, InRange, Matching, Present, literal, rules_of
from rekindle.warehouse.contracts import Column

NUMBERS = (None, -math.inf, -1e301, -1.0, -0.0, 0.0, 0.5, 1.0, 1.0000001, 1e301, math.inf, math.nan)
TEXTS = (None, "", "sale", "it's", "a\\b", "+4912345678", "EUR", "eur", "EURO", "o\nk")

RULES = {
    "number": {
        Present("number"): lambda n: n is not None,
        InRange("number", 0, 1): lambda n: 0 <= n <= 1,
        InRange("number", 0, None, is_double=True): lambda n: n >= 0 and n < 1e300,
        InRange("number", None, 1, is_double=True): lambda n: -1e300 < n <= 1,
        InRange("number", None, None, is_double=True): lambda n: math.isfinite(n) and abs(n) <= 1e300,
    },
    "text": {
        Present("text"): lambda t: t is not None,
        InList("text", ("sale", "it's", "a\\b")): lambda t: t in {"sale", "it's", "a\\b"},
        Matching("text", "^[A-Z]{3}$"): lambda t: re.search("^[A-Z]{3}$", t) is not None,
        Matching("text", "^\\+[1-9][0-9]{6,14}$"): lambda t: re.search(r"^\+[1-9][0-9]{6,14}$", t) is not None,
        Matching("text", "'"): lambda t: "'" in t,
    },
}
"""Each rule, and whether a value keeps it; null is asked of Present only."""


def expected(values, rule, keeps):
    return [keeps(v) if v is not None or isinstance(rule, Present) else None for v in values]


@pytest.mark.parametrize(("name", "values"), [("number", NUMBERS), ("text", TEXTS)])
def test_spark_finds_the_values_that_keep_a_rule(spark, name, values):
    rules = RULES[name]
    cells = pa.table({"at": pa.array(range(len(values))), name: pa.array(values)})
    asked = [f"{rule.holds('spark')} AS holds_{i}" for i, rule in enumerate(rules)]
    found = spark.createDataFrame(cells).selectExpr("at", *asked).orderBy("at").toArrow()

    for i, (rule, keeps) in enumerate(rules.items()):
        assert found[f"holds_{i}"].to_pylist() == expected(values, rule, keeps), rule.name


@pytest.mark.parametrize(("name", "kind", "values"), [("number", "double precision", NUMBERS), ("text", "text", TEXTS)])
@pytest.mark.usefixtures("database")
def test_postgres_finds_the_values_that_keep_a_rule(name, kind, values):
    rules = RULES[name]
    asked = ", ".join(rule.holds("postgres") for rule in rules).replace("%", "%%")
    question = f"select {asked} from unnest(%s::{kind}[]) with ordinality as given({name}, at) order by at"
    found = list(zip(*transact(lambda c: c.execute(question, [list(values)]).fetchall()), strict=True))

    for told, (rule, keeps) in zip(found, rules.items(), strict=True):
        assert list(told) == expected(values, rule, keeps), rule.name


def test_a_column_says_each_of_its_rules_once():
    plain = Column("kind", "string", "Sale or refund.", nullable=True)
    share = Column("share", "double", "A share.", between=(0, 1))
    score = Column("score", "double", "A score.", nullable=True)
    currency = Column("currency", "string", "ISO code.", one_of=("EUR",), matches="^[A-Z]{3}$")

    assert list(rules_of(plain)) == []
    assert list(rules_of(share)) == [Present("share"), InRange("share", 0, 1, is_double=True)]
    assert [rule.name for rule in rules_of(score)] == ["score is a finite number"]
    assert [rule.name for rule in rules_of(currency)] == [
        "currency is not null",
        "currency is one of EUR",
        "currency matches ^[A-Z]{3}$",
    ]


def test_a_text_is_quoted_as_the_engine_reads_it():
    assert literal("it's \\d", "spark") == r"'it\'s \\d'"
    assert literal("it's \\d", "postgres") == r"'it''s \d'"
