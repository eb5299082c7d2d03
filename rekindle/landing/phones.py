"""Phones that are not kept: an HMAC under the deployment's key tells a number again, and nobody reads it back."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

from rekindle.errors import InputError
from rekindle.settings import settings

ROUNDED = re.compile(r"\d[eE]\+?\d+$")
WHOLE = re.compile(r"(\s*\+?\d+)\.0+\s*")
"""How floating-point numbers are written: one has lost digits, the other has gained some."""


def phone_hmac(text: str | None, key: str) -> str | None:
    """
    HMAC-SHA256 of a number's digits, in hexadecimal; None where the text holds no number, or one that was rounded.

    An international number is its E.164 form without the plus, which exports lose: `+44 (0)7700 900123`,
    `00447700900123` and `447700900123` are one. Of what says no country the digits stand as they are: whoever looks for
    it asks for the national forms, too, which rekindle.permission.numbers has.
    """
    digits = digits_of(text) if text else ""
    return keyed(digits, key) if digits else None


def keyed(text: str, key: str) -> str:
    """HMAC-SHA256, in hexadecimal, of the digits that a number is named by, or of what else is told again by one."""
    return hmac.new(key.encode(), text.encode(), sha256).hexdigest()


def digits_of(text: str) -> str:
    """The digits that a text names a number by: of E.164 where it says the country, else its own; "" where it names none."""
    import phonenumbers

    if is_rounded(text):
        return ""
    text = as_dialled(text)
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return phonenumbers.normalize_digits_only(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def is_rounded(text: str) -> bool:
    """Whether a text is a floating-point number that has lost its last digits: 1.41556E+10 may be anybody's."""
    return ROUNDED.search(text.strip()) is not None


def as_dialled(text: str) -> str:
    """A number as it was before exports wrote it as 447700900123.0, with a plus where it begins with 00."""
    import phonenumbers

    if whole := WHOLE.fullmatch(text):
        text = whole[1]
    return f"+{text.partition('00')[2]}" if phonenumbers.normalize_digits_only(text).startswith("00") else text


def phone_key() -> str:
    """The deployment's key. Raises InputError where there is none: no phone is told again under another."""
    key = settings().phone_key.get_secret_value()
    if not key:
        raise InputError(
            "There is no key to keep phones under: REKINDLE_PHONE_KEY is not set.",
            todo="Set it to a long random text that stays the same for ever, for example of `openssl rand -hex 32`.",
            safe="Nothing of this delivery was written; what is published stays as it is.",
            code="no_phone_key",
        )
    return key
