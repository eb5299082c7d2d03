"""
Item choices: tastes that show in what users click on, stay with and buy, and in nothing that they are shown.

Everybody is shown the same shop: popular items more often, of all categories alike. A click on an item that is shown comes with
probability 1 - exp(-liking * appeal), where the liking is the user's for the item's category and the appeal the item's own. So
who orders items by what a user has clicked on is ahead of who orders them by popularity for everybody, by as much as
`taste_strength` says, and an item that was not clicked on was there to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.naming import count_within, ids

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.browsing import Shown
    from rekindle.landing.filling.simulation.catalogue import Catalogue
    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.population import Population

    Users = NDArray[np.intp]
    Items = NDArray[np.intp]

NAME = "choices"
"""Begins the names of all its streams."""

CLICKS_MOST = 0.95
"""No user clicks on more than this of what is liked as much as anything."""


@dataclass(frozen=True)
class Choices:
    """What users like, and what of an item is likeable. Drawn once."""

    conf: Parameters
    catalogue: Catalogue
    taste: NDArray[np.float64]
    """[user, category]: how much more than another category the user likes this one; 1 in the mean over categories."""
    liking: NDArray[np.float64]
    """[user, category]: a click on an item of appeal 1 has the probability 1 - exp(-this)."""
    appeal: NDArray[np.float64]
    """Of each item; 1 in the mean."""

    @classmethod
    def of(cls, conf: Parameters, chance: Chance, people: Population, catalogue: Catalogue) -> Choices:
        """Draw tastes. The category that a user likes best is the favourite that the population knows of."""
        choices, categories = conf.choices, len(catalogue.price)
        drawn = chance.stream(NAME, "taste").standard_normal((people.size, categories))
        everybody, best, favourite = np.arange(people.size), drawn.argmax(axis=1), people.favourite_of
        drawn[everybody, best], drawn[everybody, favourite] = drawn[everybody, favourite], drawn[everybody, best]
        taste = np.exp(choices.taste_strength * drawn)
        taste /= taste.mean(axis=1, keepdims=True)
        rates = np.array([channel.rate for channel in conf.population.channels.values()])
        clicks = -np.log1p(-np.minimum(people.clicks, CLICKS_MOST)) * rates[people.channel_of]
        spread = choices.appeal_spread
        scatter = chance.stream(NAME, "appeal").standard_normal(len(catalogue.weight))
        return cls(conf, catalogue, taste, clicks[:, None] * taste, np.exp(spread * scatter - spread**2 / 2))

    def shown(self, chance: Chance, day: date, count: int) -> Items:
        """Draw what the shop shows on a day, whoever looks."""
        category = chance.stream(NAME, day, "category").integers(0, len(self.catalogue.price), count)
        return self.catalogue.within(category, day, chance.stream(NAME, day, "item").random(count))

    def click_probability(self, users: Users, items: Items) -> NDArray[np.float64]:
        """Probability of a click of each user on the item beside, where it is shown."""
        return -np.expm1(-self.liking[users, self.catalogue.category_of[items]] * self.appeal[items])

    def stayed_seconds(self, chance: Chance, day: date, users: Users, items: Items) -> NDArray[np.float64]:
        """Draw for how long users stay with what they have clicked on: longer where they like the category."""
        conf = self.conf.choices
        scatter = conf.stay_spread * chance.stream(NAME, day, "stayed").standard_normal(len(users))
        liked = self.taste[users, self.catalogue.category_of[items]] ** conf.stay_taste
        return np.rint(conf.stay_median_seconds * liked * np.exp(scatter))

    def bought(self, chance: Chance, day: date, shown: Shown, users: Users) -> tuple[Items, NDArray[np.int64]]:
        """
        Draw what is bought in lines of users, in their order, and when it was clicked on: microseconds into the day, or -1.

        By lot a line is of what its user has clicked on last on that day, the next of what was clicked on before that. All
        others are of any item that the user's taste picks.
        """
        picked = self._picked(chance, day, users)
        at, clickers, items = shown.clicks()
        if not len(at):
            return picked, np.full(len(users), -1)
        order = np.lexsort((at, clickers))
        last = np.searchsorted(clickers[order], users, side="right") - 1 - count_within(users)
        found = order[np.maximum(last, 0)]
        lot = chance.stream(NAME, day, "bought").random(len(users))
        is_clicked = (last >= 0) & (clickers[found] == users) & (lot < self.conf.choices.clicked_share)
        return np.where(is_clicked, items[found], picked), np.where(is_clicked, at[found], -1)

    def _picked(self, chance: Chance, day: date, users: Users) -> Items:
        """Draw an item of a category by the user's taste, popular ones more often."""
        lot = chance.stream(NAME, day, "picked category").random(len(users))
        sums = np.cumsum(self.taste[users], axis=1)
        category = (lot[:, None] * sums[:, -1:] >= sums[:, :-1]).sum(axis=1)
        return self.catalogue.within(category, day, chance.stream(NAME, day, "picked item").random(len(users)))

    def likings(self) -> pa.Table:
        """Tell what users like: a row per user and category."""
        users, categories = self.liking.shape
        return pa.table(
            {
                "user_id": ids("u", np.repeat(np.arange(users), categories)),
                "category": self._categories(np.tile(np.arange(categories), users)),
                "liking": self.liking.ravel(),
            }
        )

    def appeals(self) -> pa.Table:
        """Tell what items are like: a row per item, with how often it is shown beside others of its category."""
        return pa.table(
            {
                "item_id": ids("i", np.arange(len(self.appeal))),
                "category": self._categories(self.catalogue.category_of),
                "appeal": self.appeal,
                "weight": self.catalogue.weight,
            }
        )

    def _categories(self, which: NDArray[np.intp]) -> pa.Array:
        return pa.array(self.conf.catalogue.categories, pa.string()).take(pa.array(which))
