"""
What a reply says: whether somebody wants no more messages. Nothing that a reply says grants anything.

Nobody can list how people spell STOP, so what is listed is what surely is none: a reply is no opt-out only if all its words
are harmless. Anything else closes the phone, for a message too few costs less than one too many.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from rekindle.permission.messaging import messaging

if TYPE_CHECKING:
    from collections.abc import Collection

STOP_WORDS = ("stop", "stopall", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe")
"""What carriers and senders take for a STOP. None of them may be called harmless."""

APOSTROPHES = re.compile(r"['\u2019\u02bc`]")
BREAKS = re.compile(r"[\W_]+")
UNSEEN = ("Cf", "Mn")
"""Categories of characters that are not seen by themselves: joiners, direction marks, accents, variants of emoji."""


def is_opt_out(text: str | None, harmless: Collection[str] | None = None) -> bool:
    """
    Whether a reply asks for no more messages, or may.

    A reply of no words, an emoji or nothing, is one: what it means nobody knows. `harmless` is by default that of
    conf/messaging.yml.
    """
    allowed = messaging().harmless_words if harmless is None else harmless
    words = words_of(text or "")
    return not words or not all(word in allowed for word in words)


def words_of(text: str) -> list[str]:
    """The words of a text in one spelling: without case, width, accents, punctuation and emoji."""
    seen = unicodedata.normalize("NFKD", APOSTROPHES.sub("", text))
    plain = "".join(character for character in seen if unicodedata.category(character) not in UNSEEN)
    return BREAKS.sub(" ", unicodedata.normalize("NFKC", plain).casefold()).split()
