"""Ids of what is simulated: a letter and a number that is put together of the day, the user and what is counted within."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

MOST_USERS = 100_000_000
"""So many fit into an id."""
EPOCH = 719_163
"""Ordinal of 1970-01-01."""


def ids(letter: str, numbers: NDArray[np.integer]) -> pa.Array:
    """Write numbers as ids: `u17`, `i4`."""
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")


def numbers(day: date, users: NDArray[np.integer], within: NDArray[np.integer], digits: int) -> NDArray[np.int64]:
    """Number what happens to users on a day: `within` counts it by user and has so many digits."""
    days = np.int64(day.toordinal() - EPOCH)
    return (days * MOST_USERS + users) * np.int64(10**digits) + within


def day_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ordinals of the days of numbers that count nothing within."""
    return numbers // MOST_USERS + EPOCH


def count_within(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count the elements of each run of equal values, from 0."""
    if not len(groups):
        return np.zeros(0, np.int64)
    begins = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    return np.arange(len(groups)) - np.repeat(begins, np.diff(np.append(begins, len(groups))))
