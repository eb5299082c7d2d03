"""
What may not be answered, as declared rules. Each says whether it is on, or why it is off.

A rule that the data lack columns for is off by name: nobody is to believe that what is out of stock is left out where nothing
says what is in stock. An item of which the column says nothing is in stock; one that is sold in some countries only is not shown
to a user whose country is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.recommendation.interactions import Known

COUNTRY = "country"


@dataclass(frozen=True)
class Rule:
    """Why an item may not be answered."""

    name: str
    says: str
    why_off: Callable[[Known], str | None]
    """What the data lack for it; None where it can be used."""
    excludes: Callable[[Known, np.ndarray], np.ndarray]
    """Users by items, or one row for all users."""


@dataclass(frozen=True)
class State:
    """Whether a rule is on, and why not."""

    name: str
    why_off: str | None

    @property
    def is_on(self) -> bool:
        return self.why_off is None

    def __str__(self) -> str:
        return f"{self.name}: on" if self.why_off is None else f"{self.name}: off, {self.why_off}"


def _seen(known: Known, users: np.ndarray) -> np.ndarray:
    return known.interactions.matrix[users].toarray() > 0


def _blocked(known: Known, _: np.ndarray) -> np.ndarray:
    return np.asarray(known.items.blocked, bool)


def _out_of_stock(known: Known, _: np.ndarray) -> np.ndarray:
    return ~np.asarray(known.items.in_stock, bool)


def _other_countries(known: Known, users: np.ndarray) -> np.ndarray:
    sold = known.items.countries or ()
    names, code = np.unique(known.users.attributes[COUNTRY][users], return_inverse=True)
    not_in = np.array([[one is not None and name not in one for one in sold] for name in names], bool)
    return not_in.reshape(len(names), len(sold))[code]


def _lacks_countries(known: Known) -> str | None:
    if known.items.countries is None:
        return "items have no countries"
    return None if COUNTRY in known.users.attributes else "users have no country"


RULES = (
    Rule("seen", "what the user already had", lambda _: None, _seen),
    Rule(
        "blocked",
        "what nobody may be shown",
        lambda known: "no item is said to be blocked or not" if known.items.blocked is None else None,
        _blocked,
    ),
    Rule(
        "in_stock",
        "what is out of stock",
        lambda known: "items do not say whether they are in stock" if known.items.in_stock is None else None,
        _out_of_stock,
    ),
    Rule("countries", "what is not sold in the user's country", _lacks_countries, _other_countries),
)


@dataclass(frozen=True)
class Filtering:
    """The rules on what is known."""

    known: Known
    leaves_out_seen: bool = True
    """Off where people want the same again, as in groceries."""

    @cached_property
    def states(self) -> tuple[State, ...]:
        return tuple(State(rule.name, self._why_off(rule)) for rule in RULES)

    def exclude(self, users: np.ndarray) -> np.ndarray:
        """Return users by items: what may not be answered."""
        found = np.zeros((len(users), len(self.known.items.ids)), bool)
        for rule, state in zip(RULES, self.states, strict=True):
            if state.is_on:
                found |= rule.excludes(self.known, users)
        return found

    def _why_off(self, rule: Rule) -> str | None:
        if rule.name == "seen" and not self.leaves_out_seen:
            return "by setting"
        return rule.why_off(self.known)
