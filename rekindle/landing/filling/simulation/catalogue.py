"""The items: of a category each, popular by Zipf's law within it, and seen more by those who like the category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rekindle.landing.filling.simulation.naming import count_within

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.population import Population

NEW_ITEMS_DAYS = 730
"""Items that are not there on the first day appear one by one within so many days."""


@dataclass(frozen=True)
class Catalogue:
    """Items, sorted by category; one element of each array is one item."""

    people: Population
    category_of: NDArray[np.intp]
    weight: NDArray[np.float64]
    since: NDArray[np.int64]
    """Ordinal of the day on which it appears."""
    price: NDArray[np.float64]
    """Price level of each category."""

    @classmethod
    def of(cls, conf: Parameters, chance: Chance, people: Population, first: date) -> Catalogue:
        """Draw the items."""
        catalogue, size = conf.catalogue, conf.catalogue.items
        category = np.sort(chance.stream("items", "category").integers(0, len(catalogue.categories), size))
        later = first.toordinal() + 1 + chance.stream("items", "since").integers(0, NEW_ITEMS_DAYS, size)
        is_first = chance.stream("items", "first").random(size) < catalogue.first_share
        # The most popular item of a category is there from the first day, so that no category is ever empty.
        rank = count_within(category)
        return cls(
            people,
            category,
            np.power(1.0 + rank, -catalogue.popularity_exponent),
            np.where(is_first | (rank == 0), first.toordinal(), later),
            np.array(list(catalogue.categories.values())),
        )

    def draw(self, chance: Chance, users: NDArray[np.intp], day: date, purpose: str) -> NDArray[np.intp]:
        """Draw an item of this day for each of the users."""
        categories = len(self.price)
        liked = chance.stream(purpose, day, "liked").random(len(users)) < self.people.taste[users]
        any_ = chance.stream(purpose, day, "category").integers(0, categories, len(users))
        category = np.where(liked, self.people.favourite_of[users], any_)
        return self.within(category, day, chance.stream(purpose, day, "item").random(len(users)))

    def within(self, category: NDArray[np.intp], day: date, lot: NDArray[np.float64]) -> NDArray[np.intp]:
        """Let lots in [0, 1) pick items of this day of these categories, popular ones more often."""
        sums = np.concatenate([[0.0], np.cumsum(self.weight * (self.since <= day.toordinal()))])
        edges = sums[np.searchsorted(self.category_of, np.arange(len(self.price) + 1))]
        wanted = edges[category] + lot * (edges[category + 1] - edges[category])
        return np.minimum(np.searchsorted(sums, wanted, side="right") - 1, len(self.weight) - 1)

    def mean_price(self) -> NDArray[np.float64]:
        """Mean price level of what each user is shown or buys."""
        people = self.people
        return people.taste * self.price[people.favourite_of] + (1 - people.taste) * self.price.mean()
