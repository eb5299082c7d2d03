"""Groups on pages: none is so small that what is said of it is said of somebody."""

from __future__ import annotations

SMALLEST = 10
"""People of whom a page may say what they did, together. Of fewer, whoever knows the others learns of the last."""


def may_be_shown(count: int) -> bool:
    """Whether figures of a group of so many people may stand on a page."""
    return count >= SMALLEST
