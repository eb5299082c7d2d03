"""
Chance: a stream of random numbers for each thing that is drawn, and lots that an id draws by itself.

What is drawn from one stream changes nothing that is drawn from another. So a source that is added, or a draw within a
source, leaves all others as they were; and as each stream goes through the users in their order, more users leave those
before them as they were.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Constants of splitmix64 (Steele, Lea and Flood 2014)."""


@dataclass(frozen=True)
class Chance:
    """All chance of a business with this seed."""

    seed: int

    def stream(self, *names: object) -> np.random.Generator:
        """Begin the stream of these names, for example `stream("orders", day, "amount")`."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._number(*names))))

    def branch(self, *names: object) -> Chance:
        """Begin chance that has nothing in common with this one."""
        return Chance(self._number("branch", *names))

    def lots(self, keys: NDArray[np.uint64], *names: object) -> NDArray[np.float64]:
        """Draw a number in [0, 1) for each key, the same for the same key wherever it stands."""
        salt = np.uint64(self._number(*names) % 2**64)
        mixed = (keys + salt) * GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * MIX[1]
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * np.float64(2.0**-53)

    def _number(self, *names: object) -> int:
        text = "/".join(map(str, (self.seed, *names)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def pick(draw: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of the shares each number in [0, 1) falls into; they add up to 1, or are made to."""
    return np.searchsorted(np.cumsum(shares)[:-1] / np.sum(shares), draw, side="right")


def beta_with_mean(draw: np.random.Generator, mean: float, shape: float, size: int) -> NDArray[np.float64]:
    """Draw from the beta distribution of this mean and first shape."""
    return draw.beta(shape, shape * (1 - mean) / mean, size)
