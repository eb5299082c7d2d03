"""Tombstones: who is erased is known again, and nobody else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.landing.tombstones import BLANKS, recogniser, user_hmac

KEY = "a key"
ERASED = "slartibartfast"
TOMBSTONES = frozenset({user_hmac(ERASED, KEY)})


@given(st.text(min_size=1).map(lambda text: text.strip(BLANKS)).filter(lambda text: text and text != ERASED))
def test_nobody_else_is_taken_for_an_erased_person(other: str):
    assert not recogniser(TOMBSTONES, KEY)([other], None)


@given(st.text(BLANKS), st.text(BLANKS))
def test_blanks_around_an_id_hide_nobody(before: str, after: str):
    """Ingestion takes them off, and would load the person."""
    assert recogniser(TOMBSTONES, KEY)([None, before + ERASED + after], None)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"user_id": "{ERASED}", "registered_at": ',
        f'{ERASED},"2024-01-01',
        f"x;{ERASED};y",
        f"<user id='{ERASED}'>",
    ],
)
def test_an_id_in_a_row_that_cannot_be_told_into_columns_is_found(text: str):
    assert recogniser(TOMBSTONES, KEY)([None], text)


def test_another_key_knows_nobody():
    assert not recogniser(TOMBSTONES, "another key")([ERASED], ERASED)


def test_a_number_as_an_id_is_not_a_phone():
    from rekindle.landing.phones import phone_hmac

    assert user_hmac("447700900123", KEY) != phone_hmac("+447700900123", KEY)
