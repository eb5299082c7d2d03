"""How often a key may ask."""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


class Limits:
    """So many requests a second for each key, of this process."""

    def __init__(self, per_second: int) -> None:
        self._item = RateLimitItemPerSecond(per_second)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def wait_for(self, key_id: str) -> int:
        """Count a request; returns for how many seconds the key has to wait, 0 if it need not."""
        if self._limiter.hit(self._item, key_id):
            return 0
        until = self._limiter.get_window_stats(self._item, key_id).reset_time
        return max(1, math.ceil(until - time.time()))
