"""
New users of a simulated business on weekly days: what was known of them, whether they bought, and how likely that truly was.

The columns are named, and made, as those of features.user, of which they are a part: without Spark, and as if nothing came late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model.protected import Protected
from ml.products import product_named
from ml.training.samples import Sample
from rekindle.landing.filling.simulation.business import Assigned, Business
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.truth import Walk
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.business import Rows

    Floats = NDArray[np.float64]

PRODUCT = product_named("vip_30")
WINDOWS = (1, 7, 28)
TYPES = ("visit", "impression", "click")
SUNDAY = 6


@dataclass(frozen=True)
class Newcomers:
    """A sample of new users, and row by row how likely a first purchase within the horizon truly was."""

    sample: Sample
    chance: Floats


@dataclass
class Seen:
    """What has been delivered, by day and user: arrays [day, user]."""

    first: date
    active: NDArray[np.bool_]
    bought: NDArray[np.bool_]
    events: dict[str, NDArray[np.int16]]
    items: list[pa.Table] = field(default_factory=list)
    """By day: user and item of each event that is activity."""
    users: list[tuple[NDArray[np.int64], pa.Table]] = field(default_factory=list)

    @classmethod
    def nothing(cls, days: Days, users: int) -> Seen:
        shape = len(days), users
        events = {name: np.zeros(shape, np.int16) for name in TYPES}
        return cls(days.first, np.zeros(shape, bool), np.zeros(shape, bool), events)

    def take(self, source: str, rows: Rows, at: int) -> None:
        """Take in what a source tells of a day."""
        users = rows.batches % MOST_USERS
        if source == "users":
            self.users.append((rows.keys, rows.table))
        elif source == "orders":
            self.bought[at, users[pc.equal(rows.table["kind"], "sale").to_numpy()]] = True
        elif source == "events":
            self.active[at, users] = True
            kinds = rows.table["type"].to_numpy()
            for name, counts in self.events.items():
                counts[at] = np.bincount(users[kinds == name], minlength=counts.shape[1])
            is_activity = pa.array(~np.isin(kinds, settings().not_activity))
            items = pa.table({"user": users, "item": rows.table["item_id"]}).filter(is_activity)
            self.items.append(items.drop_null())

    def registered(self) -> pa.Table:
        """Return the users as delivered, in their order."""
        keys = np.concatenate([of for of, _ in self.users])
        return pa.concat_tables([table for _, table in self.users]).take(pa.array(np.argsort(keys)))


def newcomers(users: int, days: Days) -> Newcomers:
    """Let a business live whose users all register on one of the days, and look at it on Sundays with a known label."""
    conf = parameters()
    conf = conf.model_copy(update={"population": conf.population.model_copy(update={"registered_before_share": 0.0})})
    business = Business.of(conf, users, days)
    (target,) = PRODUCT.targets(settings())
    lives, seen = Lives.begin(business), Seen.nothing(days, users)
    told: list[tuple[int, NDArray[np.intp], Floats]] = []
    for at, day in enumerate(days):
        for source, rows, _ in lives.live(day, Assigned()):
            seen.take(source.name, rows, at)
        if day.weekday() == SUNDAY and max(WINDOWS) <= at < len(days) - target.to_day:
            new = _new(business.people.registered_on - day.toordinal(), seen, at)
            walk = Walk(business.process, lives.state.of(new), day, new)
            told.append((at, new, walk.buys(target.to_day, lives.value())))
    registered = seen.registered()
    rows = pa.concat_tables(
        [
            _features(seen, registered, at, new).append_column(
                target.label, pa.array(seen.bought[at + 1 : at + 1 + target.to_day, new].any(axis=0).astype(float))
            )
            for at, new, _ in told
        ]
    )
    kept_out = Protected.of(settings()).kept_out_of(rows)
    sample = Sample(PRODUCT.name, days.last, (target,), rows, {}, 1.0, kept_out)
    return Newcomers(sample, np.concatenate([chance for *_, chance in told]))


def _new(since: NDArray[np.int64], seen: Seen, at: int) -> NDArray[np.intp]:
    """Who registered less than `new_user_days` ago, and has not bought; `since` counts days to the registration."""
    is_new = (since <= 0) & (since > -settings().new_user_days)
    return np.flatnonzero(is_new & ~seen.bought[: at + 1].any(axis=0))


def _features(seen: Seen, registered: pa.Table, at: int, users: NDArray[np.intp]) -> pa.Table:
    """Say what is known of some users at the end of a day."""
    day = np.datetime64(seen.first) + at
    who, active = registered.take(pa.array(users)), seen.active[: at + 1, users]
    tenure = (day - who["registered_at"].to_numpy().astype("datetime64[D]")).astype(np.int32)
    count, first = active.sum(axis=0), np.argmax(active, axis=0)
    recency = np.argmax(active[::-1], axis=0)
    gap = np.where(count > 1, (at - recency - first) / np.maximum(count - 1, 1), np.nan)
    columns: dict[str, Any] = {
        "day": pa.array(np.full(len(users), day), pa.date32()),
        "user_id": who["user_id"],
        "tenure_days": tenure,
        "country": who["country"],
        "channel": who["channel"],
        "attributes": who["attributes"],
        "recency_days": pa.array(recency.astype(np.int32), mask=count == 0),
        "gap_mean_days": pa.array(gap, from_pandas=True),
        "current_gap_ratio": pa.array(recency / gap, from_pandas=True),
    }
    for window in WINDOWS:
        since = slice(at + 1 - window, at + 1)
        counts = [seen.events[name][since, users].sum(axis=0) for name in TYPES]
        columns[f"active_days_{window}d"] = seen.active[since, users].sum(axis=0)
        columns[f"event_counts_{window}d"] = _maps(counts)
        columns[f"distinct_items_{window}d"] = _distinct(seen.items[since], users, seen.active.shape[1])
    return pa.table(columns)


def _maps(counts: Sequence[NDArray[np.int64]]) -> pa.Array:
    """Events by type; a type that did not occur is absent."""
    rows = ([(name, int(n)) for name, n in zip(TYPES, of, strict=True) if n] for of in zip(*counts, strict=True))
    return pa.array(rows, pa.map_(pa.string(), pa.int64()))


def _distinct(items: Sequence[pa.Table], users: NDArray[np.intp], size: int) -> NDArray[np.int64]:
    """Different items by user."""
    found = pa.concat_tables(items).group_by("user").aggregate([("item", "count_distinct")])
    counts = np.zeros(size, np.int64)
    counts[found["user"].to_numpy()] = found["item_count_distinct"].to_numpy()
    return counts[users]
