"""
Who did what with which item, and when; what is known of the items and of the users.

Ids are strings and fix the order: equal rows, in whatever order they come, give equal arrays and so equal answers. A part of the
interactions keeps all users and items, so that positions mean the same before and after a split.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Floats = np.ndarray
    Ints = np.ndarray

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Interactions:
    """Rows in the order of user, day and item; one row is one interaction."""

    users: np.ndarray
    """Ids, sorted."""
    items: np.ndarray
    """Ids, sorted."""
    user: Ints
    """The position of each row's user among `users`."""
    item: Ints
    day: Floats
    """When, in days; a fraction of a day tells what came first within it."""
    weight: Floats

    @classmethod
    def of(
        cls,
        user_id: Any,
        item_id: Any,
        day: Any,
        weight: Any = None,
        *,
        users: Iterable[str] = (),
        items: Iterable[str] = (),
    ) -> Interactions:
        """
        Make interactions of columns: lists, NumPy's or Arrow's. `users` and `items` are known though they did nothing yet.

        Raises InputError for columns of different length, a missing day, and a weight that is not above zero.
        """
        who, what, when = _texts(user_id), _texts(item_id), _days(day)
        much = np.ones(len(who)) if weight is None else np.asarray(weight, float)
        if len({len(who), len(what), len(when), len(much)}) > 1:
            _refuse("The columns of the interactions differ in length.")
        if not np.isfinite(when).all():
            _refuse("An interaction has no day.")
        if not (np.isfinite(much).all() and (much > 0).all()):
            _refuse("An interaction's weight is not above zero.")
        known_users = np.unique(np.concatenate([who, _texts(list(users))]))
        known_items = np.unique(np.concatenate([what, _texts(list(items))]))
        user, item = np.searchsorted(known_users, who), np.searchsorted(known_items, what)
        order = np.lexsort((much, item, when, user))
        return cls(known_users, known_items, user[order], item[order], when[order], much[order])

    def __len__(self) -> int:
        return len(self.user)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.users), len(self.items)

    @property
    def last_day(self) -> float:
        """The day of the last interaction; 0 where there is none."""
        return float(self.day.max(initial=-np.inf)) if len(self) else 0.0

    def take(self, rows: np.ndarray) -> Interactions:
        """Return some of the rows, among the same users and items."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ("user", "item", "day", "weight")})

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """Users by items: the weights of a pair, added up."""
        return _csr(self.weight, self.user, self.item, self.shape)

    @cached_property
    def strength(self) -> sp.csr_matrix:
        """
        Users by items: log2(1 + weight), which is 1 for one interaction.

        Who buys coffee a hundred times tells more than who does once, but not a hundred times as much of other items.
        """
        found = self.matrix.copy()
        found.data = np.log2(1 + found.data)
        return found

    @cached_property
    def counts(self) -> Ints:
        """How many items each user has."""
        return np.diff(self.matrix.indptr)

    def history(self, memory: float | None) -> sp.csr_matrix:
        """
        Return users by items, each pair by how late it comes among the user's own: half as much `memory` items earlier.

        None forgets nothing. Items, not days: who comes once a month has not forgotten what the last visit was about.
        """
        if memory is None:
            return self.strength
        code = self.user * len(self.items) + self.item
        pairs, from_end = np.unique(code[::-1], return_index=True)
        latest = np.sort(len(self) - 1 - from_end)
        user, item = self.user[latest], self.item[latest]
        after = np.cumsum(np.bincount(user, minlength=len(self.users)))[user] - 1 - np.arange(len(pairs))
        decay = _csr(0.5 ** (after / memory), user, item, self.shape)
        return self.strength.multiply(decay).tocsr()

    def pairs(self, window_days: float | None = None) -> sp.csr_matrix:
        """Return users by items: 1 where there was an interaction within the window up to the last day."""
        rows = slice(None) if window_days is None else self.day > self.last_day - window_days
        found = _csr(self.weight[rows], self.user[rows], self.item[rows], self.shape)
        found.data = np.ones_like(found.data)
        return found

    def popularity(self, window_days: float | None = None) -> Floats:
        """Return the number of users of each item: one who comes every day makes nothing popular alone."""
        return np.asarray(self.pairs(window_days).sum(axis=0), float).ravel()

    def positions(self, user_ids: Any) -> Ints:
        """Return the positions of users by id; -1 of one who is not known."""
        wanted = _texts(user_ids)
        at = np.searchsorted(self.users, wanted)
        inside = at < len(self.users)
        return np.where(inside & (self.users[np.where(inside, at, 0)] == wanted) if len(self.users) else False, at, -1)


@dataclass(frozen=True)
class Items:
    """What is known of items; None is what the data do not have at all."""

    ids: np.ndarray
    categories: sp.csr_matrix
    """Items by categories; an item may have several, or none."""
    blocked: np.ndarray | None = None
    in_stock: np.ndarray | None = None
    """An item of which nothing is said is in stock."""
    countries: tuple[frozenset[str] | None, ...] | None = None
    """Where an item may be sold; None of an item is everywhere."""
    category_names: np.ndarray = field(default_factory=lambda: np.zeros(0, "<U1"))
    """The columns of `categories`."""

    @classmethod
    def of(
        cls,
        item_id: Any = (),
        categories: Sequence[Sequence[str]] | None = None,
        *,
        blocked: Iterable[str] | None = None,
        in_stock: Sequence[bool | None] | None = None,
        countries: Sequence[Iterable[str] | None] | None = None,
    ) -> Items:
        """Make items of columns; `blocked` are the ids of those that nobody may be shown."""
        given = _texts(item_id)
        ids, first = np.unique(given, return_index=True)
        if len(ids) < len(given):
            _refuse("An item stands twice among the items.")
        named = [sorted(set(categories[at])) if categories is not None else [] for at in first]
        every = np.unique(_texts([name for one in named for name in one]))
        item = np.repeat(np.arange(len(ids)), [len(one) for one in named])
        category = np.searchsorted(every, _texts([name for one in named for name in one]))
        return cls(
            ids,
            _csr(np.ones(len(item)), item, category, (len(ids), len(every))),
            None if blocked is None else np.isin(ids, _texts(list(blocked))),
            None if in_stock is None else np.array([in_stock[at] is not False for at in first], bool),
            None if countries is None else tuple(_set_or_none(countries[at]) for at in first),
            every,
        )

    def aligned(self, ids: np.ndarray) -> Items:
        """Return what is known in the order of `ids`; of others nothing is known."""
        at, there = _where(self.ids, ids)
        chosen = sp.csr_matrix(
            (np.ones(there.sum()), (np.flatnonzero(there), at[there])), shape=(len(ids), len(self.ids))
        )
        return Items(
            ids,
            (chosen @ self.categories).tocsr(),
            None if self.blocked is None else _picked(self.blocked, at, there, missing=False),
            None if self.in_stock is None else _picked(self.in_stock, at, there, missing=True),
            None
            if self.countries is None
            else tuple(self.countries[a] if t else None for a, t in zip(at, there, strict=True)),
            self.category_names,
        )


@dataclass(frozen=True)
class Users:
    """What is known of users."""

    ids: np.ndarray
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Texts by name, such as an age band; empty where nothing is said. `country` says which items a user may be shown."""

    @classmethod
    def of(cls, user_id: Any = (), **attributes: Sequence[str | None]) -> Users:
        """Make users of columns."""
        given = _texts(user_id)
        ids, first = np.unique(given, return_index=True)
        if len(ids) < len(given):
            _refuse("A user stands twice among the users.")
        return cls(ids, {name: _texts([text or "" for text in attributes[name]])[first] for name in sorted(attributes)})

    def aligned(self, ids: np.ndarray) -> Users:
        """Return what is known in the order of `ids`; of others nothing is known."""
        at, there = _where(self.ids, ids)
        return Users(ids, {name: _picked(texts, at, there, missing="") for name, texts in self.attributes.items()})


@dataclass(frozen=True)
class Known:
    """All that there is to learn from: interactions, items and users, in one order."""

    interactions: Interactions
    items: Items
    users: Users

    @classmethod
    def of(
        cls,
        user_id: Any,
        item_id: Any,
        day: Any,
        weight: Any = None,
        *,
        items: Items | None = None,
        users: Users | None = None,
    ) -> Known:
        """Put interactions beside items and users, each of whom may have no interaction yet."""
        of_items, of_users = items or Items.of(), users or Users.of()
        found = Interactions.of(user_id, item_id, day, weight, users=of_users.ids, items=of_items.ids)
        return cls(found, of_items.aligned(found.items), of_users.aligned(found.users))

    def take(self, rows: np.ndarray) -> Known:
        """Return some of the interactions; items and users stay."""
        return replace(self, interactions=self.interactions.take(rows))


def _texts(column: Any) -> np.ndarray:
    found = np.asarray(column)
    return found.astype(str) if found.size else np.zeros(0, "<U1")


def _days(column: Any) -> Floats:
    found = np.asarray(column)
    if np.issubdtype(found.dtype, np.datetime64):
        seconds = found.astype("datetime64[s]")
        return np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64) / SECONDS_A_DAY)
    return found.astype(float)


def _csr(values: Floats, row: Ints, column: Ints, shape: tuple[int, int]) -> sp.csr_matrix:
    found = sp.csr_matrix((values, (row, column)), shape=shape)
    found.sum_duplicates()
    found.sort_indices()
    return found


def _where(ids: np.ndarray, wanted: np.ndarray) -> tuple[Ints, np.ndarray]:
    """Return where each wanted id stands, and whether it is there."""
    if not len(ids):
        return np.zeros(len(wanted), int), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return at, ids[at] == wanted


def _picked(column: np.ndarray, at: Ints, there: np.ndarray, *, missing: Any) -> np.ndarray:
    return np.where(there, column[at], missing) if len(column) else np.full(len(at), missing)


def _set_or_none(countries: Iterable[str] | None) -> frozenset[str] | None:
    return None if countries is None else frozenset(countries)


def _refuse(what: str) -> None:
    raise InputError(what, todo="Mend the columns that are handed over.", safe="Nothing was learnt.")
