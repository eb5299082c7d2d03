"""Simulated contacts, consents and replies for users of a public sample, which has none, so that nobody could be texted."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.simulation.business import Assigned, Business, Today, sessions_of
from rekindle.landing.filling.simulation.delivering import Courier
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.population import DAY_US
from rekindle.landing.filling.simulation.simulate import NOTE
from rekindle.landing.filling.simulation.sources.consents import Consents
from rekindle.landing.filling.simulation.sources.contacts import Contacts
from rekindle.landing.filling.simulation.sources.replies import Replies
from rekindle.landing.filling.writer import deliver_by_day, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from rekindle.landing.filling.simulation.business import Source
    from rekindle.landing.filling.writer import Written

SIMULATED = (
    "Contacts, consents and replies are simulated by Rekindle: the data set has none, and all phones are of fiction."
)
COUNTRY = "US"
"""The one country of which numbers for fiction are valid and many."""


def add_consents(
    zone: Path, *, replace: bool = False, advance: Callable[[int, int], object] = silent
) -> tuple[Written, ...]:
    """
    Deliver simulated contacts, consents and replies on the days on which a landing zone's users are delivered.

    A user has a contact from the day of the first delivery on, and is asked for consent on that day. Shares and times are
    those of conf/simulation.yml, the same every time. Raises InputError where no users are delivered as Parquet.
    """
    user_ids, since, registered_us, days = _users(zone)
    conf = parameters()
    business = Business.of(conf, len(user_ids), days)
    people = changed(
        business.people,
        registered_on=since,
        registered_us=registered_us,
        country_of=np.full(len(user_ids), list(conf.population.countries).index(COUNTRY)),
    )
    business = changed(business, people=people)
    written = deliver_by_day(zone, _deliveries(business, user_ids), days, replace=replace, advance=advance)
    note = zone / NOTE
    said = note.read_text(encoding="utf-8").splitlines() if note.is_file() else []
    if SIMULATED not in said:
        note.write_text("".join(f"{line}\n" for line in (*said, SIMULATED)), encoding="utf-8")
    return written


def _users(zone: Path) -> tuple[pa.Array, np.ndarray, np.ndarray, Days]:
    """
    Ids in the order of their first delivery, the day (ordinal) of that, and all days of deliveries.

    Beside the day, the time of it (microseconds) at which they registered; its beginning where that was on another day.
    """
    folders = {folder.name.removeprefix("day="): folder for folder in sorted((zone / "users").glob("day=*"))}
    files = [(day, file) for day, folder in folders.items() for file in sorted(folder.glob("*.parquet"))]
    if not files:
        raise InputError(
            f"{zone} has no users that a sample has delivered.", todo="Fill it with `rekindle sample` first."
        )
    tables = [
        (np.datetime64(day), parquet.read_table(file, columns=["user_id", "registered_at"], partitioning=None))
        for day, file in files
    ]
    ids = pa.concat_arrays([part.cast(pa.string()) for _, table in tables for part in table["user_id"].chunks])
    on = np.repeat([day for day, _ in tables], [len(table) for _, table in tables])
    at = np.concatenate([_times(table["registered_at"], day) for day, table in tables])
    unique, first = np.unique(ids.to_numpy(zero_copy_only=False), return_index=True)
    order = np.argsort(first, kind="stable")
    since = np.array([day.toordinal() for day in on[first[order]].astype("datetime64[D]").tolist()])
    first_day, *_, last_day = (*sorted(folders), max(folders))
    days = Days.between(_day(first_day), _day(last_day))
    return pa.array(unique[order], pa.string()), since, at[first[order]], days


def _times(registered_at: pa.ChunkedArray, day: np.datetime64) -> np.ndarray:
    since_midnight = registered_at.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() - int(
        day.astype("datetime64[us]").astype("int64")
    )
    return np.where((since_midnight >= 0) & (since_midnight < DAY_US), since_midnight, 0)


def _day(text: str) -> date:
    return np.datetime64(text).astype("datetime64[D]").item()


def _deliveries(business: Business, user_ids: pa.Array) -> Iterator[tuple[date, Mapping[str, pa.Table]]]:
    sources: list[Source] = [Contacts(business), Consents(business), Replies(business)]
    couriers = [Courier(business.conf.delivery, business.chance, source) for source in sources]
    nobody = np.zeros(0, np.intp)
    for day in business.days:
        today = Today(day, nobody, sessions_of(business, day, nobody), Assigned())
        rows = [
            courier.carry(source.happened(today), today).rows for source, courier in zip(sources, couriers, strict=True)
        ]
        yield day, {source.name: _renamed(table, user_ids) for source, table in zip(sources, rows, strict=True)}


def _renamed(table: pa.Table, user_ids: pa.Array) -> pa.Table:
    """Give users the ids that they have: here they are numbers in the same order."""
    if "user_id" not in table.column_names:
        return table
    numbers = pc.utf8_slice_codeunits(table["user_id"], 1).cast(pa.int64())
    return table.set_column(table.column_names.index("user_id"), "user_id", user_ids.take(numbers.combine_chunks()))
