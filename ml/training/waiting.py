"""What a product that was never in use may wait for: a history to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ml import registry
from rekindle.errors import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.products import Registered
    from rekindle.errors import RekindleError

T = TypeVar("T")

TOO_LITTLE = {"not_enough_history", "too_few_rows", "too_few_of_a_kind", "one_class"}
"""Codes of refusals that a longer or larger history mends."""


def only_waits(product: Registered, refused: RekindleError) -> bool:
    """
    Whether a training that was refused is no failure.

    A product that nobody has used yet is skipped by name until there is enough of it; one that had a champion was learnt
    from enough before, so that too little of it now is news that somebody has to hear.
    """
    return refused.code in TOO_LITTLE and not registry.has_had_champion(product)


@dataclass(frozen=True)
class Waits:
    """What stands in the place of a training that was refused and is no failure."""

    why: str


def unless_waiting(product: Registered, train: Callable[[], T]) -> T | Waits:
    """Train; of a product that only waits, say why. Raises what refused any other."""
    try:
        return train()
    except CheckFailedError as refused:
        if not only_waits(product, refused):
            raise
        return Waits(refused.what)
