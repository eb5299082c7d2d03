"""What a retriever declares, and what one that has learnt can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml.recommendation.interactions import Known

    Hyper = Mapping[str, Any]

NOTHING = -1
"""In the place of an item where a list ends early."""

MEMORIES = (20.0, None, 5.0, 10.0, 50.0)
"""After how many of a user's own items an earlier one counts half."""

WINDOW_DAYS = 30.0

BLOCK_CELLS = 4_000_000
"""Users times items at once: 32 MB of scores."""


class Lists(NamedTuple):
    """A list for each user, best first: positions of items, and what their retriever says of them."""

    items: np.ndarray
    """Users by places; `NOTHING` where a list has ended."""
    scores: np.ndarray


class Fitted(ABC):
    """What a retriever has learnt."""

    @abstractmethod
    def scores(self, users: np.ndarray) -> np.ndarray:
        """Return users by items; minus infinity where there is nothing to say, which is never answered."""

    def retrieve(self, users: np.ndarray, k: int, exclude: np.ndarray | None = None) -> Lists:
        """Return up to `k` items for each user, best first, none that `exclude` (users by items) names."""
        found = self.scores(users)
        if exclude is not None:
            found = np.where(exclude, -np.inf, found)
        return best(found, k)


def best(scores: np.ndarray, k: int) -> Lists:
    """Return the `k` highest of each row, ties by the item's position; minus infinity is never among them."""
    rows, width = scores.shape
    items, found = np.full((rows, k), NOTHING), np.full((rows, k), -np.inf)
    if not width:
        return Lists(items, found)
    depth = min(k, width)
    least = -np.partition(-scores, depth - 1, axis=1)[:, depth - 1]
    for row in range(rows):
        at = np.flatnonzero((scores[row] >= least[row]) & np.isfinite(scores[row]))
        chosen = at[np.argsort(-scores[row, at], kind="stable")][:depth]
        items[row, : len(chosen)], found[row, : len(chosen)] = chosen, scores[row, chosen]
    return Lists(items, found)


def in_blocks(users: np.ndarray, item_count: int) -> Iterator[np.ndarray]:
    """Return so many users at once that their scores fit into memory; no users are one block of none."""
    size = max(1, BLOCK_CELLS // max(1, item_count))
    for first in range(0, max(1, len(users)), size):
        yield users[first : first + size]


@dataclass(frozen=True)
class Retriever:
    """
    A way to find items for a user, by its name.

    `fit` is given what is known and, by name, a value of each of `hyper`. It is seeded and uses one thread: the same interactions
    give the same lists.
    """

    name: str
    says: str
    """What it is, for people."""
    fit: Callable[..., Fitted]
    hyper: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, hash=False)
    """Values to try, by name; the first is what it is unless validation says otherwise."""
    is_personal: bool = True
    """Whether it answers from what a user did. One that does not answers users who did nothing yet, too."""
    refuses: Callable[[Known], str | None] = lambda _: None
    """Say why it cannot learn from what is known; None where it can."""

    @property
    def defaults(self) -> dict[str, Any]:
        return {name: values[0] for name, values in self.hyper.items()}


def silent(scores: np.ndarray, *, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Say nothing of users without a history, and of items without interactions: a model has learnt nothing of them."""
    return np.where(users[:, None] & items[None, :], scores, -np.inf)
