"""Phones as people and exports write them: what is sent to is valid and mobile, and anything else has its kind."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.landing.phones import digits_of
from rekindle.permission.numbers import KINDS, MOBILE, names_of, read_number
from rekindle.warehouse import contracts


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+1 415 555 0123", None),
        ("(415) 555-0123", "US"),
        ("(415) 555-0123", " us "),
        ("14155550123", "US"),
        ("4155550123.0", "US"),
        ("+14155550123.0", None),
        ("001 415 555 0123", None),
        ("tel:+1-415-555-0123", "GB"),
        ("\uff0b1 415 555 0123", None),
        ("+1.415.555.0123", None),
    ],
)
def test_a_number_is_one_however_it_is_written(text: str, country: str | None):
    number = read_number(text, country)

    assert (number.kind, number.e164) == ("fixed_line_or_mobile", "+14155550123")
    assert (number.country, number.zones) == ("US", ("America/Los_Angeles",))


@pytest.mark.parametrize(
    ("text", "country", "kind"),
    [
        (None, "US", "none"),
        ("", "US", "none"),
        (" ", "US", "none"),
        ("(415) 555-0123", None, "unparsable"),
        ("(415) 555-0123", "United States", "unparsable"),
        ("14155550123", None, "unparsable"),
        ("1.41556E+10", "US", "unparsable"),
        ("1.41556e10 ", "US", "unparsable"),
        ("+1 415 555 0123 only on Mondays", None, "unparsable"),
        ("+1 415 555 0123 / +1 415 555 0124", None, "unparsable"),
        ("unknown", "US", "unparsable"),
        ("12345", "US", "invalid"),
        ("+1 415 555 012", None, "invalid"),
        ("+1 415 555 0123 ext. 5", None, "extension"),
        ("+1 800 555 0199", None, "toll_free"),
        ("+44 20 7946 0123", None, "fixed_line"),
        ("+61 491 570 156", None, "mobile"),
    ],
)
def test_what_cannot_be_sent_to_says_why(text: str | None, country: str | None, kind: str):
    number = read_number(text, country)

    assert number.kind == kind
    assert (number.e164 is None) == (kind in {"none", "unparsable", "invalid", "extension"})


def test_a_line_number_of_zeros_is_no_floating_point_number():
    """`.0` behind nothing but digits is what a spreadsheet adds; behind other dots it is part of the number."""
    assert read_number("+1.415.555.0000").e164 == "+14155550000"
    assert digits_of("+1.415.555.0000") == "14155550000"


def test_a_number_is_found_by_each_way_to_name_it():
    assert names_of("+61491570156") == ("61491570156", "491570156", "0491570156")


NATIONS = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS))


@given(NATIONS, st.sampled_from(["INTERNATIONAL", "NATIONAL", "E164", "RFC3966"]))
def test_a_reply_that_names_a_number_finds_its_contact(country: str, form: str):
    """However a tool writes the number of a reply, its digits are among the names of the contact's."""
    example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    if example is None:
        return
    number = read_number(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164), country)

    assert digits_of(phonenumbers.format_number(example, getattr(phonenumbers.PhoneNumberFormat, form))) in number.names
    assert number.names[0] == (number.e164 or "").removeprefix("+")
    assert number.kind in MOBILE


@given(st.one_of(st.text(), st.from_regex(r"[+0-9 ().eEx/-]{0,24}", fullmatch=True)), st.one_of(st.none(), NATIONS))
def test_nothing_is_sent_to_that_is_not_e164_valid_and_of_a_known_kind(text: str, country: str | None):
    number = read_number(text, country)

    assert number.kind in KINDS
    if number.e164 is not None:
        assert re.fullmatch(r"\+[1-9]\d{6,14}", number.e164, re.ASCII)
        assert phonenumbers.is_valid_number(phonenumbers.parse(number.e164))
        assert number.names[0] == number.e164.removeprefix("+")


def test_the_contract_knows_each_kind():
    assert contracts.load("permission.numbers").column("number_kind").one_of == KINDS
