"""Numbers that are told again without being kept."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest

from rekindle.landing.phones import phone_hmac


def keyed(digits: str) -> str:
    return hmac.new(b"secret", digits.encode(), sha256).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        *("+447700900123", "447700900123", "00447700900123", "00 44 7700 900123", "tel:+44-7700-900123"),
        *(
            "+44 (0)7700 900123",
            "\uff0b44 7700 900123",
            " +44 7700 900123 ",
            "447700900123.0",
            "+44 7700 900123 ext. 5",
        ),
    ],
)
def test_a_number_is_one_however_it_is_written(text: str):
    assert phone_hmac(text, "secret") == keyed("447700900123")


def test_digits_without_a_country_stand_as_they_are():
    assert phone_hmac("(415) 555-2671", "secret") == keyed("4155552671")


@pytest.mark.parametrize("text", [None, "", " ", "unknown", "AMAZON", "4.4770090012E+11"])
def test_what_is_no_number_is_nobodys(text: str | None):
    """Else all who have none would share one."""
    assert phone_hmac(text, "secret") is None


def test_nobody_finds_it_by_hashing_all_numbers():
    assert phone_hmac("+447700900123", "other") != phone_hmac("+447700900123", "secret")
    assert phone_hmac("+447700900123", "secret") != sha256(b"447700900123").hexdigest()
