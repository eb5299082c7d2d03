"""What is held in memory: one published day, whom it is not about any more, and who may ask. Never changed, only replaced."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    import pyarrow as pa

    from ml.model.scorer import Scorer
    from ml.products import Product
    from rekindle.publishing.answers import Model
    from serving.bidding import Bids
    from serving.keys import Key
    from serving.recommended import Offered

USER, MEMBER = "user_id", "in_population"

ALIKE = 1e-9
"""Raw scores that differ by so little of themselves are the same."""


@dataclass(frozen=True)
class Rows:
    """A row per user, found by its id."""

    batch: pa.RecordBatch
    """In the order of `user_id`, by bytes."""

    def find(self, user_id: str) -> int | None:
        """Return the place of a user's row; None where there is none."""
        ids = self.batch.column(USER)
        place = bisect_left(range(len(ids)), user_id, key=lambda at: ids[at].as_py())
        return place if place < len(ids) and ids[place].as_py() == user_id else None

    def places(self, user_ids: Iterable[str]) -> dict[str, int]:
        """Return the places of those users who have a row."""
        found = ((user_id, self.find(user_id)) for user_id in user_ids)
        return {user_id: place for user_id, place in found if place is not None}

    def value(self, place: int, column: str) -> Any:
        """Return one of a row's values."""
        return self.batch.column(column)[place].as_py()

    def row(self, place: int) -> dict[str, Any]:
        """Return a row's values by name."""
        return {name: column[place].as_py() for name, column in zip(self.batch.schema.names, self.batch, strict=True)}


@dataclass(frozen=True)
class Scoring:
    """The model that scored a product's day, read from its files."""

    model: Model
    scorer: Scorer
    lowest: np.ndarray = field(repr=False)
    """The lowest raw score of each percentile that somebody has, in their order."""
    percentiles: np.ndarray = field(repr=False)
    """These percentiles."""

    @classmethod
    def of(cls, model: Model, scorer: Scorer) -> Scoring:
        cut_points = np.array(model.cut_points)
        (there,) = np.nonzero(~np.isnan(cut_points))
        return cls(model, scorer, cut_points[there], there + 1)

    def percentiles_of(self, raw: np.ndarray) -> list[int]:
        """Return the place of raw scores among the day's: the highest percentile whose lowest score they reach."""
        # The daily run adds up contributions, which may differ in the last bit.
        places = np.searchsorted(self.lowest, raw + ALIKE * np.abs(raw), side="right") - 1
        return self.percentiles[np.maximum(places, 0)].tolist()


@dataclass(frozen=True)
class Offer:
    """What is published of a product."""

    product: Product
    day: date
    valid_until: datetime
    rows: Rows
    scoring: Scoring | None
    """None of a product without a model, and where no inputs are published."""

    def members(self, user_ids: Iterable[str]) -> dict[str, int]:
        """Return the places of those users who are in the population: who has left it stays with a row that says so."""
        places = self.rows.places(user_ids)
        if MEMBER not in self.rows.batch.schema.names:
            return places
        return {user_id: place for user_id, place in places.items() if self.rows.value(place, MEMBER)}


@dataclass(frozen=True)
class Held:
    """A published day: all that answers are made of."""

    offers: Mapping[str, Offer]
    inputs: Rows | None
    """What the models read of each user."""
    published_at: datetime
    recommended: Offered | None = None
    """What users are recommended; None where nothing is published of it."""
    bids: Bids | None = None
    """The devices that ads are bid for; None where none are published."""

    def covering(self, user_id: str) -> list[str]:
        """Return the products in whose population a user is."""
        return [name for name, offer in self.offers.items() if offer.members([user_id])]

    @property
    def valid_until(self) -> datetime:
        """Until when some of it may be used; what an answer is made of says it for itself."""
        of_recommended = [self.recommended.valid_until] if self.recommended else []
        return max([*(offer.valid_until for offer in self.offers.values()), *of_recommended])


@dataclass(frozen=True)
class Known:
    """What changes within a day: who was erased, who has withdrawn, and who may ask."""

    erased: frozenset[str]
    withdrawn: frozenset[str]
    """Who has withdrawn a permission of late: nobody bids for a device of theirs until a day was published that knows it."""
    keys: Mapping[str, Key]
    """By their ids."""
    at: datetime
    """When Postgres said so, by its clock."""
