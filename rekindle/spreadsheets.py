"""Text in files that spreadsheets open: none of it is a formula there, which may send what stands beside it elsewhere."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

FORMULA = "=+-@\t\r\n"
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
"""E.164: what begins with a plus and is nothing but a number. The tools want it as it is."""


def neutral(value: Any) -> Any:
    """
    Give a text that a spreadsheet may take for a formula an apostrophe in front; numbers and other values are as they are.

    A formula may hide behind leading blanks, which some programs cut off, or be written full-width, which some fold: so a
    leading blank of any kind counts, too. A NUL, which ends a text for some readers, becomes the sign for what is none.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\x00", "\ufffd")
    return f"'{text}" if value[:1] == "\x00" or _begins_badly(text) else text


def neutral_phone(value: Any) -> Any:
    """Leave a phone in E.164 as it is: its plus begins a number. Anything else in its column is text like any other."""
    return value if isinstance(value, str) and PHONE.fullmatch(value) else neutral(value)


def _begins_badly(text: str) -> bool:
    first = text[:1]
    return bool(first) and (
        unicodedata.normalize("NFKC", first)[:1] in FORMULA
        or first.isspace()
        or unicodedata.category(first) in {"Cc", "Cf", "Zs"}
    )
