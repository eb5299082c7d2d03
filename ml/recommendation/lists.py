"""
The lists of a day, as Arrow: what each user, item and cohort is shown, and what is known of each item.

Rows are laid out as the contracts `recs.*` say, without the day. Users are answered in blocks: memory holds the scores of one
at a time, beside what is known and the lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.recommendation.filtering import RULES
from ml.recommendation.retrievers import NOTHING, RETRIEVERS
from ml.recommendation.retrievers.declaration import WINDOW_DAYS, best, in_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.recommendation.recommender import Answer, Recommender
    from ml.recommendation.retrievers import Fitted

USERS_AT_ONCE = 20_000
EVERYBODY = "everybody"
CATEGORY = "category"
OF_ALL_USERS = ("blocked", "in_stock")
"""The rules that withhold an item from everybody."""

RANKED = pa.schema(
    {
        "user_id": pa.string(),
        "rank": pa.int32(),
        "item_id": pa.string(),
        "score": pa.float64(),
        "retriever": pa.string(),
        "is_fallback": pa.bool_(),
    }
)
FOUND = pa.schema([field for field in RANKED if field.name != "is_fallback"])
BESIDE = pa.schema({"of_item_id": pa.string(), "rank": pa.int32(), "item_id": pa.string(), "score": pa.float64()})
POPULAR = pa.schema(
    {
        "kind": pa.string(),
        "cohort": pa.string(),
        "rank": pa.int32(),
        "item_id": pa.string(),
        "score": pa.float64(),
    }
)
ITEM = pa.schema(
    {
        "item_id": pa.string(),
        "title": pa.string(),
        "category": pa.string(),
        "users_30_days": pa.int64(),
        "place": pa.int32(),
        "withheld": pa.string(),
        "countries": pa.string(),
    }
)


@dataclass(frozen=True)
class Lists:
    """What has been learnt, as lists of up to so many places."""

    learnt: Recommender
    places: int
    is_rule: bool = False

    def of_users(self, user_ids: np.ndarray) -> Iterator[tuple[pa.Table, pa.Table]]:
        """
        Yield, for some thousand users after the other, what the retrievers found and what is shown.

        A row is a user and an item. Who did nothing yet has rows in the latter alone, all of them from the fallback.
        """
        positions = self.learnt.known.interactions.positions(user_ids)
        for first in range(0, max(len(positions), 1), USERS_AT_ONCE):
            users = positions[first : first + USERS_AT_ONCE]
            stages = self.learnt.stages(users, self.places)
            yield self._rows(users, stages["merged"], FOUND), self._rows(users, stages["answer"], RANKED)

    def _rows(self, users: np.ndarray, answer: Answer, schema: pa.Schema) -> pa.Table:
        row, place = np.nonzero(answer.items != NOTHING)
        scores, names = answer.scores[row, place], np.array([*self.learnt.fitted, ""])
        columns: dict[str, Any] = {
            "user_id": self.learnt.known.users.ids[users[row]],
            "rank": place + 1,
            "item_id": self._ids[answer.items[row, place]],
            "score": pa.array(scores, mask=~np.isfinite(scores)),
            "retriever": names[answer.by[row, place]],
            "is_fallback": answer.is_fallback[row, place] | self.is_rule,
        }
        return _table(columns, schema)

    def of_items(self) -> pa.Table:
        """Return the items that the same users had, beside each item; a row is two items."""
        alike, parts = self._fitted("item_item").alike, []
        # In blocks, as users are: items by items would be the largest array of all.
        for block in in_blocks(np.arange(len(self._ids)), len(self._ids)):
            scores = alike[block].toarray()
            found = best(np.where((scores > 0) & (self.withheld == ""), scores, -np.inf), self.places)
            row, place = np.nonzero(found.items != NOTHING)
            parts.append((block[row], place, found.items[row, place], found.scores[row, place]))
        row, place, items, told = (np.concatenate(column) for column in zip(*parts, strict=True))
        columns = {
            "of_item_id": self._ids[row],
            "rank": place + 1,
            "item_id": self._ids[items],
            "score": told,
        }
        return _table(columns, BESIDE)

    def of_cohorts(self) -> pa.Table:
        """Return what is popular among everybody, in cohorts of users and in categories; a row is one of these and an item."""
        popular = self._fitted("cohort_popularity")
        named = [*popular.names, (EVERYBODY, EVERYBODY)]
        tables = [
            self._popular(kind, cohort, popular.shares[at]) for at, (kind, cohort) in enumerate(named) if cohort != ""
        ]
        items = self.learnt.known.items
        if RETRIEVERS["category_popularity"].refuses(self.learnt.known) is None:
            within = self._fitted("category_popularity").within.tocsc()
            for at, name in enumerate(items.category_names):
                if name:
                    tables.append(self._popular(CATEGORY, str(name), within[:, [at]].toarray().ravel()))
        return pa.concat_tables(tables)

    def _popular(self, kind: str, cohort: str, shares: np.ndarray) -> pa.Table:
        shown = np.where((shares > 0) & (self.withheld == ""), shares, -np.inf)
        found = best(shown[None, :], self.places)
        there = found.items[0] != NOTHING
        items = found.items[0][there]
        columns = {
            "kind": [kind] * len(items),
            "cohort": [cohort] * len(items),
            "rank": np.arange(len(items)) + 1,
            "item_id": self._ids[items],
            "score": found.scores[0][there],
        }
        return _table(columns, POPULAR)

    def items(self, titles: Mapping[str, str | None]) -> pa.Table:
        """Return what is known of each item, a row each: how many had it of late, and why it is withheld from everybody."""
        known = self.learnt.known
        users_of = known.interactions.popularity(WINDOW_DAYS)
        places = np.empty(len(users_of), int)
        places[np.lexsort((np.arange(len(users_of)), -users_of))] = np.arange(len(users_of)) + 1
        countries = known.items.countries or (None,) * len(users_of)
        columns = {
            "item_id": self._ids,
            "title": [titles.get(item) for item in self._ids.tolist()],
            "category": self._categories,
            "users_30_days": users_of.astype(np.int64),
            "place": places,
            "withheld": [name or None for name in self.withheld.tolist()],
            "countries": [None if one is None else " ".join(sorted(one)) for one in countries],
        }
        return _table(columns, ITEM)

    @cached_property
    def withheld(self) -> np.ndarray:
        """The rule that withholds an item from everybody, by its name; empty where none does."""
        found = np.full(len(self._ids), "", "<U16")
        for rule, state in zip(RULES, self.learnt.filtering.states, strict=True):
            if state.is_on and rule.name in OF_ALL_USERS:
                excluded = rule.excludes(self.learnt.known, np.zeros(0, int))
                found[excluded & (found == "")] = rule.name
        return found

    @property
    def _ids(self) -> np.ndarray:
        return self.learnt.known.items.ids

    @property
    def _categories(self) -> list[str | None]:
        """The first category of each item."""
        items = self.learnt.known.items
        found: list[str | None] = []
        for first, after in zip(items.categories.indptr, items.categories.indptr[1:], strict=False):
            found.append(str(items.category_names[items.categories.indices[first]]) if after > first else None)
        return found

    def _fitted(self, name: str) -> Any:
        """Return a retriever that has learnt, also where no list of a user is made of it."""
        there: Fitted | None = self.learnt.fitted.get(name)
        chosen = self.learnt.chosen.hyper.get(name) or RETRIEVERS[name].defaults
        return there or RETRIEVERS[name].fit(self.learnt.known, **chosen)


def _table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)
