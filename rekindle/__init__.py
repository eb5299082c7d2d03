"""
What all of Rekindle shares: settings, contracts, tables, checks, publishing, the local platform, the command line.

For notebooks and scripts there are `from rekindle import scores, features`: see `rekindle.reading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rekindle.reading import features, scores

__all__ = ["features", "scores"]


def __getattr__(name: str) -> Any:
    """Find the two functions when they are asked for: each part of Rekindle imports this module, and most read nothing."""
    if name in __all__:
        from rekindle import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
