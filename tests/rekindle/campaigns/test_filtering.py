"""Filtering: a small grammar whose values are never SQL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.campaigns.filtering import Condition, composed, parse
from rekindle.errors import InputError

COLUMNS = {"country", "segment", "value_if_returns", "lapsed_days"}


def test_conditions_are_read_with_quotes_and_lists():
    assert parse('country="DE, FR" segment!="regular, just lapsed,rare visitor, lapsed" value>=20', COLUMNS) == (
        Condition("country", "=", ("DE", "FR")),
        Condition("segment", "!=", ("regular, just lapsed", "rare visitor, lapsed")),
        Condition("value_if_returns", ">=", 20.0),
    )
    assert parse("", COLUMNS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "country",
        "country>DE",
        "country=",
        "country=,",
        "value=20",
        "value>many",
        "value>nan",
        "value>=inf",
        "phone_e164=1",
        "country=DE or 1=1",
        "; drop table sms.audience",
        "country=D\0E",
        'segment="regular, just lapsed',
    ],
)
def test_what_is_not_understood_is_refused_and_says_what_there_is(text):
    with pytest.raises(InputError) as refused:
        parse(text, COLUMNS)

    assert refused.value.exit_code == 2


@given(st.text())
def test_a_value_never_is_in_the_sql(text):
    where, values = composed([Condition("country", "=", (text,)), Condition("value_if_returns", ">", 1.0)])

    assert (
        where.as_string(None)
        == 'true and "q"."country" = any(%(condition_0)s) and "q"."value_if_returns" > %(condition_1)s'
    )
    assert values == {"condition_0": [text], "condition_1": 1.0}
