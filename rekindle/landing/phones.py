"""Phones that are not kept: an HMAC under the deployment's key tells a number again, and nobody reads it back."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

ROUNDED = re.compile(r"\d[eE]\+?\d+$")
WHOLE = re.compile(r"\.0+$")
"""How floating-point numbers are written: one has lost digits, the other has gained some."""


def phone_hmac(text: str | None, key: str) -> str | None:
    """
    HMAC-SHA256 of a number's digits, in hexadecimal; None where the text holds no number, or one that was rounded.

    An international number is its E.164 form without the plus, which exports lose: `+44 (0)7700 900123`,
    `00447700900123` and `447700900123` are one. Of what says no country the digits stand as they are: whoever looks for
    it asks for the national form, too.
    """
    digits = _digits(text) if text else ""
    return hmac.new(key.encode(), digits.encode(), sha256).hexdigest() if digits else None


def _digits(text: str) -> str:
    import phonenumbers

    if ROUNDED.search(text):
        return ""
    text = WHOLE.sub("", text)
    digits = phonenumbers.normalize_digits_only(text)
    if digits.startswith("00"):
        text = "+" + text.partition("00")[2]
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return digits
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
