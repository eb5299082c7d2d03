"""Text in files that spreadsheets open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.spreadsheets import neutral, neutral_phone

FORMULAS = ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a", "﹢1", "﹣1", "﹦1", "﹫a"]  # noqa: RUF001
HIDDEN = ["\x00=1", " =1", "\u00a0=1", "\u3000＝1", "\u200b=1", "\ufeff=1", "   -2", "\x01=1"]  # noqa: RUF001


@pytest.mark.parametrize("text", [*FORMULAS, *HIDDEN])
def test_what_a_spreadsheet_may_take_for_a_formula_is_text(text: str):
    assert neutral(text) == f"'{text}".replace("\x00", "\ufffd")


@pytest.mark.parametrize("value", ["u-1", "a=b", "", "Zürich", "数", "'=1", None, -0.5, 3, "42"])
def test_anything_else_is_as_it_is(value: object):
    assert neutral(value) == value


@given(st.text())
def test_no_text_begins_like_a_formula_after_its_blanks(text: str):
    neutralised = neutral(text)

    assert neutralised.lstrip().lstrip("\u200b\ufeff")[:1] not in {*"=+-@\t\r\n\x00＝＋－＠"} or neutralised == ""  # noqa: RUF001
    assert "\x00" not in neutralised
    assert neutralised in {text.replace("\x00", "\ufffd"), "'" + text.replace("\x00", "\ufffd")}


@pytest.mark.parametrize("phone", ["+14155550123", "+4930123", "+1234567"])
def test_a_phone_is_left_as_it_is(phone: str):
    assert neutral_phone(phone) == phone
    assert neutral(phone) == f"'{phone}", "and only in the column of phones"


@pytest.mark.parametrize(
    "text", ["+1+1", "+0123456", "+123456", "+1234567890123456", "+14155550123\n", "=14155550123", "+1²345678"]
)
def test_what_is_no_phone_in_the_column_of_phones_is_text(text: str):
    assert neutral_phone(text) == f"'{text}"
