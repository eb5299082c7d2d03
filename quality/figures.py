"""What a check measured, and lots that nobody chose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A figure with its thresholds, both included; without any it is shown beside the others and judges nothing."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 4

    @property
    def holds(self) -> bool:
        """NaN holds nothing."""
        low, high = self.at_least, self.at_most
        if low is None and high is None:
            return True
        return (low is None or self.value >= low) and (high is None or self.value <= high)

    def line(self) -> str:
        """Write figure, thresholds and verdict in one line."""
        ends = (
            f"at {kind} {end:g}" for kind, end in (("least", self.at_least), ("most", self.at_most)) if end is not None
        )
        wanted = ", ".join(ends)
        verdict = ("pass" if self.holds else "FAIL") if wanted else "shown"
        return f"  {verdict:<6}{self.name:<78} {self.value:>12,.{self.digits}f}  {wanted}".rstrip()


def lots(sentence: str) -> np.random.Generator:
    """Lots drawn from a sentence: the first 16 hexadecimal digits of its SHA-256 are the seed, so that nobody has chosen it."""
    return np.random.default_rng(int(hashlib.sha256(sentence.encode()).hexdigest()[:16], 16))
