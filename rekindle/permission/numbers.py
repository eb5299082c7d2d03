"""What a delivered phone is: its E.164 form where it can be sent to, its kind, and where it may be, by `phonenumbers`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from rekindle.landing.phones import as_dialled, digits_of, is_rounded

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

Kind = Literal[
    "mobile",
    "fixed_line_or_mobile",
    "fixed_line",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "unknown",
    "extension",
    "invalid",
    "unparsable",
    "none",
]
"""
The types of `phonenumbers`, of numbers that are valid; of others, what is wrong with them.

`extension` is a line behind a number, `invalid` no number of its country (a short code, a digit too many), `unparsable` one of
which nobody can say the country, or that is not only a number, `none` nothing at all.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)
MOBILE: tuple[Kind, ...] = ("mobile", "fixed_line_or_mobile")
"""Numbers that a text message may reach: the United States and Canada know only the latter."""
NOT_A_NUMBER: tuple[Kind, ...] = ("extension", "invalid", "unparsable")

E164 = re.compile(r"\+[1-9]\d{6,14}")
SCHEME = re.compile(r"\s*tel:", re.IGNORECASE)
UNKNOWN_ZONE = "Etc/Unknown"
COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class Number:
    """
    What a text says of a phone. `e164`, `country` (ISO 3166) and `zones` (IANA, sorted) are there only of a valid number.

    `names` are the digits by which it may be named in a reply or a consent, its own first: with its country, and without,
    with the prefix that is dialled within the country and without it.
    """

    kind: Kind
    e164: str | None = None
    country: str | None = None
    zones: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_number(text: str | None, country: str | None = None) -> Number:
    """Read a phone as it was delivered; `country` is that of the contact, and decides where the text says none."""
    if text is None or not text.strip():
        return Number("none")
    if is_rounded(text):
        return Number("unparsable")
    parsed = _parsed(text, _region(country))
    if parsed is None:
        return Number("unparsable", names=_distinct(digits_of(text)))
    return _described(parsed, digits_of(text))


def names_of(e164: str) -> tuple[str, ...]:
    """The digits by which a number in E.164 may be named, its own first."""
    return read_number(e164).names


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(as_dialled(SCHEME.sub("", text)), region)
    except phonenumbers.NumberParseException:
        return None
    # Letters that are dialled by their keys are also what a note beside a number is made of: "not before noon".
    is_only_a_number = parsed.extension or not any(character.isalpha() for character in SCHEME.sub("", text))
    return parsed if is_only_a_number else None


def _described(parsed: PhoneNumber, digits: str) -> Number:
    import phonenumbers
    from phonenumbers import PhoneNumberFormat, timezone

    e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    names = _distinct(e164, phonenumbers.national_significant_number(parsed), _national(parsed), digits)
    if parsed.extension:
        return Number("extension", names=names)
    if not phonenumbers.is_valid_number(parsed) or not E164.fullmatch(e164):
        return Number("invalid", names=names)
    country = phonenumbers.region_code_for_number(parsed)
    zones = sorted(set(timezone.time_zones_for_number(parsed)) - {UNKNOWN_ZONE})
    return Number(
        _types()[phonenumbers.number_type(parsed)],
        e164,
        country if country and COUNTRY.fullmatch(country) else None,
        tuple(zones),
        names,
    )


def _national(parsed: PhoneNumber) -> str:
    import phonenumbers

    return phonenumbers.format_number(
        phonenumbers.PhoneNumber(parsed.country_code, parsed.national_number, None, parsed.italian_leading_zero),
        phonenumbers.PhoneNumberFormat.NATIONAL,
    )


def _distinct(*texts: str) -> tuple[str, ...]:
    import phonenumbers

    return tuple(dict.fromkeys(filter(None, map(phonenumbers.normalize_digits_only, texts))))


def _region(country: str | None) -> str | None:
    region = (country or "").strip().upper()
    return region if COUNTRY.fullmatch(region) else None


@cache
def _types() -> dict[int, Kind]:
    import phonenumbers

    names = {getattr(phonenumbers.PhoneNumberType, kind.upper(), None): kind for kind in KINDS}
    return {number: kind for number, kind in names.items() if number is not None}
