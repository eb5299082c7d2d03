"""
Messages: how many segments a text is billed as, and what must and must not stand in it.

Segments are those of 3GPP TS 23.038 and 23.040: 160 characters of the GSM-7 alphabet, 153 where a text needs several, and 70
and 67 UTF-16 units where one character is not in that alphabet. A character of the extension table counts two, and is not
split between segments; nor is a pair of UTF-16 units.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rekindle.campaigns.offers import Offer

Alphabet = Literal["GSM-7", "UCS-2"]

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Each is sent as an escape and a character."""

ROOM: dict[Alphabet, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}
"""Units of a text that is one segment, and of each segment of a longer one: the rest joins them on the phone."""

OPT_OUT = re.compile(r"\b(stop|stopp|unsubscribe|opt[ -]?out)\b", re.IGNORECASE)
"""How a reader is told to end it; the first word is what each network knows."""

CLAIM = re.compile(
    r"""
    (?P<percent>\d+(?:[.,]\d+)?\s*(?:%|percent\b|per\ cent\b|prozent\b))
    | (?P<amount>(?:[$€£¥]|\b(?:USD|EUR|GBP|CHF|CAD|AUD)\b)\s*\d+(?:[.,]\d+)*
        | \d+(?:[.,]\d+)*\s*(?:[$€£¥]|(?:USD|EUR|GBP|CHF|CAD|AUD|dollars?|euros?|pounds?|bucks|cents?)\b))
    | (?P<multiple>\b\d+\s*(?:for|x)\s*\d+\b|\b\d+x\b|\bhalf[ -](?:price|off)\b|\b(?:double|twice)\b)
    | (?P<free>\b(?:free|gratis|kostenlos|gratuite?s?|complimentary)\b)
    | (?P<off>\b\d+\s*off\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What promises something: amounts, shares, and that something costs nothing."""

OPT_OUT_FREE = re.compile(
    r"\bfree\s*(?:to\s*)?(?:stop|opt)|\b(?:feel|sugar|gluten|risk)[ -]free\b|\bfeel free\b", re.IGNORECASE
)
"""Where `free` promises nothing."""


@dataclass(frozen=True)
class Segments:
    """What a text is billed as."""

    alphabet: Alphabet
    units: int
    count: int
    costly: tuple[str, ...]
    """The characters that keep a text out of GSM-7, once each and in order: the usual one is a typographic quote."""


@dataclass(frozen=True)
class Checked:
    """What is to be said of a text before it is sent."""

    segments: Segments
    says_how_to_stop: bool
    unbacked: tuple[str, ...]
    """Claims that the offer does not make."""

    @property
    def problems(self) -> tuple[str, ...]:
        found = (
            [] if self.says_how_to_stop else ["It does not say how to opt out: add, for example, Reply STOP to end."]
        )
        return (*found, *(f"It promises {claim!r}, which the offer does not." for claim in self.unbacked))


def segments_of(text: str) -> Segments:
    """Count what `text` is billed as. An empty text is one segment: something is sent."""
    costly = tuple(dict.fromkeys(one for one in text if one not in BASIC and one not in EXTENSION))
    alphabet: Alphabet = "UCS-2" if costly else "GSM-7"
    sizes = [_units(one, alphabet) for one in text]
    alone, joined = ROOM[alphabet]
    units = sum(sizes)
    return Segments(alphabet, units, 1 if units <= alone else _packed(sizes, joined), costly)


def check(text: str, offer: Offer) -> Checked:
    """Check a text that comes with an offer: it says how to end it, and promises nothing that the offer does not."""
    backed = {_plain(claim) for said in offer.claims for claim in (said, *_claims(said))}
    unbacked = tuple(claim for claim in _claims(text) if _plain(claim) not in backed)
    return Checked(segments_of(text), OPT_OUT.search(text) is not None, unbacked)


def _units(character: str, alphabet: Alphabet) -> int:
    if alphabet == "GSM-7":
        return 2 if character in EXTENSION else 1
    return len(character.encode("utf-16-le", "surrogatepass")) // 2


def _packed(sizes: Sequence[int], room: int) -> int:
    """Fill segments one after the other; what does not fit whole begins the next."""
    count, used = 1, 0
    for size in sizes:
        if used + size > room:
            count, used = count + 1, 0
        used += size
    return count


def _claims(text: str) -> Iterable[str]:
    # Full-width digits and signs promise what ours do.
    plain = OPT_OUT_FREE.sub(" ", unicodedata.normalize("NFKC", text))
    return dict.fromkeys(found.group().strip() for found in CLAIM.finditer(plain))


def _plain(claim: str) -> str:
    return re.sub(r"\s+|,", lambda found: "." if found.group() == "," else "", claim.casefold())
