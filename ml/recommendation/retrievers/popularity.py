"""What most users had in the last 30 days: the naive rule that the others are measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.retrievers.declaration import WINDOW_DAYS, Fitted, Retriever

if TYPE_CHECKING:
    from ml.recommendation.interactions import Known


@dataclass(frozen=True)
class Popularity(Fitted):
    """The same for everybody."""

    users_of: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        return np.tile(np.where(self.users_of > 0, self.users_of, -np.inf), (len(users), 1))


def _fit(known: Known) -> Fitted:
    return Popularity(known.interactions.popularity(WINDOW_DAYS))


RETRIEVER = Retriever("popularity", "what most users had in the last 30 days", fit=_fit, is_personal=False)
