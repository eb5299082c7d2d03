"""
What each partition was built from, as fingerprints, and what follows: what is stale, and what is to be built.

A partition's build is named by what went into it. A delivery's is its version and digest, that of any other partition the
builds of its inputs, on the days that were read or looked for. So whatever changes, arrives or goes stale changes the
fingerprint of all that was built from it, and both questions are answered from the records, without looking into a table.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from rekindle import records
from rekindle.days import Days
from rekindle.warehouse import made_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rekindle.warehouse.lineage import Graph, Window

    Inputs = Mapping[date, Mapping[str, Window]]
    """For each day the first and last day of each table that it is built from."""

ALWAYS = (date.min, date.max)

TO_BE_BUILT = "to be built"
"""Stands for the build of a partition that is not there yet: what was built without it is stale."""


@dataclass(frozen=True)
class Known:
    """The state of some tables before they are read: what changes while they are makes the result stale."""

    graph: Graph
    builds: dict[str, dict[date, str]]

    @classmethod
    def of(cls, graph: Graph, names: Iterable[str]) -> Known:
        known = cls(graph, {})
        for name in names:
            known.builds_of(name)
        # Before the work, so that code which is deployed meanwhile is not taken for what did it.
        made_by.code_digest()
        return known

    def builds_of(self, table: str) -> Mapping[date, str]:
        """The build of each day of a table; a by-product of ingestion is as new as all that has landed."""
        if table not in self.builds:
            parts = _recorded_as(self.graph, table)
            if parts != (table,):
                self.builds[table] = _together(self.builds_of(name) for name in parts)
            else:
                found = records.builds(table, *ALWAYS)
                self.builds[table] = {day: build.build_id for day, build in found.items()}
        return self.builds[table]

    def fingerprint(self, table: str, first: date, last: date) -> str:
        """What the days of an input were built from, as one text. An absent day is not in it: its arrival changes it."""
        return fingerprint(self.builds_of(table), first, last)


def record(
    known: Known,
    table: str,
    days: Days,
    inputs: Inputs,
    *,
    run_id: str,
    snapshot: int | None,
    besides: Mapping[str, object] | None = None,
) -> None:
    """
    Record for each day what its partition was built from; `known` was asked before the inputs were read.

    `besides` is what made it beside our code and settings, for example a model.
    """
    builds, maker = [], made_by.digest(besides)
    for day in days:
        used = {
            name: records.Input(first, last, known.fingerprint(name, first, last))
            for name, (first, last) in inputs[day].items()
        }
        build_id = _digest({name: one.fingerprint for name, one in used.items()})
        builds.append(records.Build(table, day, build_id, run_id, snapshot, used, maker))
        if table in known.builds:
            known.builds[table][day] = build_id
    records.record_builds(builds)


def before(graph: Graph, table: str, inputs: Inputs) -> Known:
    """
    The state of a table's inputs before they are read.

    Raises CheckFailedError where they are none that the table declares, or reach further back than it declares.
    """
    for day, used in inputs.items():
        graph.refuse_undeclared(table, day, used)
    return Known.of(graph, {name for used in inputs.values() for name in used})


def unchanged(graph: Graph, table: str, day: date, maker: str | None = None) -> records.Build | None:
    """
    The build of a partition whose inputs are what they were then; None where it has none, or one of them is another now.

    An input that was built again since counts as another, though from the same deliveries: settings may differ. `maker` is
    the digest of what would make it now, where that has to be what made it, too.
    """
    built = records.builds(table, day, day).get(day)
    if built is None or built.built_at is None or maker not in {None, built.made_by}:
        return None
    if day < records.expiries().get(table, date.min):
        # What it was built from stays recorded when its rows are gone.
        return None
    for name, used in built.inputs.items():
        parts = _recorded_as(graph, name)
        found = [records.builds(part, used.from_day, used.to_day) for part in parts]
        is_newer = any(
            one.built_at is not None and one.built_at > built.built_at for by_day in found for one in by_day.values()
        )
        by_part = [{day: one.build_id for day, one in by_day.items()} for by_day in found]
        builds = _together(by_part) if parts != (name,) else by_part[0]
        if is_newer or fingerprint(builds, used.from_day, used.to_day) != used.fingerprint:
            return None
    return built


def _recorded_as(graph: Graph, table: str) -> Sequence[str]:
    """The tables whose builds say how new a table is: of a by-product of ingestion all that has landed."""
    declared = graph.tables.get(table)
    return tuple(declared.reads) if declared is not None and declared.is_by_product else (table,)


@dataclass(frozen=True)
class State:
    """What of the recorded partitions is stale, and what is wanted and not there, by table in build order."""

    stale: Mapping[str, list[date]]
    absent: Mapping[str, list[date]]
    wanted: Mapping[str, Days]
    inputs_expired: Mapping[str, list[date]] = field(default_factory=dict)
    """Partitions that are stale or wanted, and would be built from what was deleted for its age."""

    def todo(self, table: str) -> Days | None:
        """The wanted days of a table that have to be built, None if there are none."""
        due = {*self.stale.get(table, ()), *self.absent.get(table, ())}
        days = tuple(day for day in self.wanted.get(table, ()) if day in due)
        return Days(days) if days else None


def state(graph: Graph, wanted: Mapping[str, Days] | None = None) -> State:
    """
    Walk all tables in build order, so that staleness is handed on from a table to those that read it.

    A partition is stale if something that it was built from has changed, arrived or become stale since, or will have when the
    `wanted` days of the tables before it are built. One whose inputs were deleted for their age stands as it is: from what
    is left it would become another, so it is never built again, and nothing is stale because of it.
    """
    wanted = wanted or {}
    known = Known(graph, {})
    stale: dict[str, list[date]] = {}
    absent: dict[str, list[date]] = {}
    gone: dict[str, list[date]] = {}
    kept_from = records.expiries()
    for table in graph.order:
        if graph.tables[table].is_by_product:
            continue
        built = records.builds(table, *ALWAYS)
        # Seen by itself while it is walked: a table that reads its own earlier days is stale from the first stale one on.
        current = known.builds[table] = {}
        for day in sorted({*built, *wanted.get(table, ())}):
            if day not in built:
                if _has_expired(kept_from, graph.windows(table, day)):
                    gone.setdefault(table, []).append(day)
                    continue
                current[day] = TO_BE_BUILT
                absent.setdefault(table, []).append(day)
                continue
            is_stale = any(
                known.fingerprint(name, used.from_day, used.to_day) != used.fingerprint
                for name, used in built[day].inputs.items()
            )
            if is_stale and _has_expired(
                kept_from, {name: (used.from_day, used.to_day) for name, used in built[day].inputs.items()}
            ):
                gone.setdefault(table, []).append(day)
                is_stale = False
            # A stale partition counts as another one, so that what was built from it is stale too.
            current[day] = f"stale {built[day].build_id}" if is_stale else built[day].build_id
            if is_stale:
                stale.setdefault(table, []).append(day)
    return State(stale, absent, wanted, gone)


def _has_expired(kept_from: Mapping[str, date], inputs: Mapping[str, Window]) -> bool:
    """
    Whether what a partition is built from was deleted for its age, at least in part.

    Of a table that is read from its beginning on, what a later day needs of it is kept: see rekindle.warehouse.upkeep.
    """
    return any(
        (last if first == date.min else first) < kept_from[name]
        for name, (first, last) in inputs.items()
        if name in kept_from
    )


def fingerprint(builds: Mapping[date, str], first: date, last: date) -> str:
    """The builds of some days as one text."""
    return _digest([(day, builds[day]) for day in sorted(builds) if first <= day <= last])


def _together(tables: Iterable[Mapping[date, str]]) -> dict[date, str]:
    """The builds of several tables as those of one, by day."""
    by_day: dict[date, list[str]] = {}
    for builds in tables:
        for day, build in builds.items():
            by_day.setdefault(day, []).append(build)
    return {day: _digest(found) for day, found in by_day.items()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()
