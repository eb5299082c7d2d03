"""
How often a key may ask.

A bucket of tokens for each key (Turner 1986, "New directions in communications"), in the memory of this process. The library
that we would have taken starts a thread every hundredth of a second to tidy up, which cost as much as a whole answer.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Limits:
    """So many requests a second for each key; as many at once, if none came before."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._clock = per_second, clock
        self._left: dict[str, tuple[float, float]] = {}
        """Of each key the tokens that were left, and when: no more keys than there are in force."""

    def wait_for(self, key_id: str) -> int:
        """Count a request; returns for how many seconds the key has to wait, 0 if it need not."""
        now = self._clock()
        left, at = self._left.get(key_id, (float(self._per_second), now))
        left = min(float(self._per_second), left + (now - at) * self._per_second)
        may_ask = left >= 1
        self._left[key_id] = left - may_ask, now
        return 0 if may_ask else max(1, math.ceil((1 - left) / self._per_second))
