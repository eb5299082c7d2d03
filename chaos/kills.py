"""
Kill -9 of the process that does a step, at each named point that the step comes to, and at random.

Each begins with what was there before the step. The step is killed; what readers see is the old day or the new one. The step is
done again, and what it leaves is what an undisturbed step leaves, row for row.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import uuid4

from chaos import contents, readers
from chaos.steps import STEPS
from rekindle import points

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pyspark.sql import SparkSession

    from chaos.figures import Figures
    from chaos.nursery import Child, Nursery
    from chaos.readers import Reader, State
    from chaos.world import World

BEFORE = "before"
STEP_SECONDS = 600
SEED = 20260711
"""Of the times at which a step is killed at random: the same in each run."""

MOST = {"marts": 3, "upkeep": 2, "erase": 2}
"""Points of a step that takes long: some of them, from its beginning to its end."""

BY_TABLE = {"erase"}
"""Steps that let readers see one table after the other: permission is taken away first, and tools are told last."""

VERSIONED = {"train": ("version",)}
"""MLflow counts a version that an attempt has left without a verdict, so the number of the next is another."""


@dataclass(frozen=True)
class Contents:
    """What a step leaves: of Postgres, of the tables of the warehouse that it changes, and what readers see."""

    postgres: dict[str, str]
    warehouse: dict[str, str]
    seen: State


@dataclass(frozen=True)
class Undisturbed:
    """What a step is like when nobody disturbs it."""

    step: str
    points: tuple[tuple[str, str], ...]
    """The points that it comes to, in their order, with what each is of."""
    tables: tuple[str, ...]
    """The tables of the warehouse that it changes."""
    before: Contents
    after: Contents
    logged: dict[str, int]
    """Entries that it adds to the logs which are only ever added to."""
    seconds: float


class Kills:
    """The drills of one step after the other, on one world."""

    def __init__(self, world: World, reader: Reader, figures: Figures, nursery: Nursery) -> None:
        self.world, self.reader, self.figures, self.nursery = world, reader, figures, nursery
        self.folder = world.home.folder("points")
        self.spark: SparkSession | None = None
        self._torn_before = 0

    def keep(self) -> None:
        """Keep what there is: each drill of a step begins with it."""
        with self.reader.away():
            self.world.keep(BEFORE)

    def learnt(self, step: str) -> Undisturbed:
        """Do a step undisturbed, from what is kept, and tell what was found."""
        known = self.undisturbed(step)
        print(f"{step}: {STEPS[step].about}; {known.seconds:.0f} s undisturbed, {len(known.points)} points", flush=True)
        return known

    def at_points(self, known: Undisturbed) -> None:
        """Kill a step at each of its points, of what comes to it last: that is what the step is about."""
        last = dict(known.points)
        # In a run of all drills the step that comes to a point first has tried it; what tools read is tried each time.
        left = [point for point in last if known.step == "publish" or point not in self.figures.points]
        for point in _spread(left, MOST.get(known.step, len(left))):
            of = last[point]
            self._tried(known, f"killed {point}{f' {of}' if of else ''}", point=point, of=of)

    def at_random(self, known: Undisturbed, times: int) -> None:
        """Kill a step after so many seconds as lots say."""
        lots = random.Random(f"{SEED} {known.step}")  # noqa: S311 - no secret
        for _ in range(times):
            after = round(lots.uniform(0.25, 0.95) * known.seconds, 1)
            self._tried(known, f"killed after {after} s", seconds=after)

    def undisturbed(self, step: str) -> Undisturbed:
        """Do a step, and look at what it was before, what it is after, and which points it comes to."""
        clear(self.folder)
        catalog = contents.catalog(self.world)
        seen = readers.read_once(self.world.reader())
        postgres, logged = self._postgres(step), self.logged()
        self.reader.whole = {seen}
        with self.reader.away():
            began = time.monotonic()
            code = self._do(step, "undisturbed-run")
            seconds = time.monotonic() - began
            assert code == 0, f"{step} fails by itself: {self.log(step)}"  # noqa: S101 - nothing can be tried then
            later = contents.catalog(self.world)
            tables = tuple(sorted(table for table in later if later[table] != catalog.get(table)))
            done = Contents(self._postgres(step), self._warehouse(tables), readers.read_once(self.world.reader()))
            added = {log: count - logged[log] for log, count in self.logged().items()}
            passed = tuple(dict.fromkeys(_passed(self.folder)))
            self.world.restore(BEFORE)
            before = Contents(postgres, self._warehouse(tables), seen)
            self.world.restore(BEFORE)
        return Undisturbed(step, passed, tables, before, done, added, seconds)

    def _tried(self, known: Undisturbed, what: str, *, point: str = "", of: str = "", seconds: float = 0.0) -> None:
        began = time.monotonic()
        self.begin_again(known)
        run_id = uuid4().hex
        if point:
            arm(self.folder, point, of, "kill")
        code = self._do(known.step, run_id, seconds=seconds)
        problems = []
        if code == -signal.SIGKILL:
            self.figures.kills += 1
            self.figures.points |= {point} if point else set()
        elif point or code != 0:
            problems.append(f"ended with {code} and was not killed: {self.log(known.step)}")
        problems += self._whole(known)
        problems += self.healed_by_another(known, run_id)
        self.figures.over(f"{known.step} {what}", problems, time.monotonic() - began)

    def begin_again(self, known: Undisturbed) -> None:
        """Bring back what was before a step; from now on readers may find that, and what is after it."""
        clear(self.folder)
        with self.reader.away():
            self.world.restore(BEFORE)
        self.reader.whole, self.reader.by_table = {known.before.seen, known.after.seen}, known.step in BY_TABLE
        self._torn_before = len(self.reader.torn)

    def healed_by_another(self, known: Undisturbed, run_id: str) -> list[str]:
        """Do the step again, and tell what is not as an undisturbed step leaves it."""
        clear(self.folder)
        code = self._do(known.step, run_id)
        return [*([f"a re-run ended with {code}: {self.log(known.step)}"] if code else []), *self.healed(known)]

    def healed(self, known: Undisturbed) -> list[str]:
        """Whether all is as an undisturbed step leaves it, and readers have seen nothing else than the old and the new."""
        problems = [*self._differing(known), *self._torn(known)]
        self.figures.to_heal += 1
        self.figures.healed += not problems
        return problems

    def _whole(self, known: Undisturbed) -> list[str]:
        """After a kill: each table is as it was before the step, or as it is after it."""
        found = self._warehouse(known.tables)
        return [
            f"{table} is neither what it was nor what it will be"
            for table, digest in found.items()
            if digest not in {known.before.warehouse.get(table), known.after.warehouse.get(table)}
            and not _is_shared(table)
        ]

    def _differing(self, known: Undisturbed) -> list[str]:
        """After the re-run: all is what an undisturbed step leaves; where not, whether rows are lost or doubled."""
        problems = []
        found = Contents(
            self._postgres(known.step), self._warehouse(known.tables), readers.read_once(self.world.reader())
        )
        for name, ours, theirs in (
            *((n, found.warehouse.get(n), d) for n, d in known.after.warehouse.items()),
            *((n, found.postgres.get(n), d) for n, d in known.after.postgres.items()),
        ):
            if ours != theirs:
                rows, wanted = _rows(ours), _rows(theirs)
                self.figures.lost += max(0, wanted - rows)
                self.figures.doubled += max(0, rows - wanted)
                problems.append(f"{name} has {rows} rows and not the {wanted} of an undisturbed step, or others")
        if differing := found.seen.differing(known.after.seen):
            problems.append(f"readers see another {', '.join(differing)} than after an undisturbed step")
        twice = contents.doubled(self._session(), contents.keys_of(known.tables))
        self.figures.doubled += sum(twice.values())
        problems += [f"{table} has {count} keys twice" for table, count in twice.items()]
        problems += [f"a run is running for ever: {kind} of {day}" for kind, day, _ in contents.running(self.world)]
        return problems

    def _torn(self, known: Undisturbed) -> list[str]:
        """What the reader has found that was neither the old nor the new."""
        self.figures.reads, self.figures.torn = self.reader.reads, len(self.reader.torn)
        if torn := self.reader.torn[self._torn_before :]:
            told = ", ".join(torn[0].differing(known.before.seen))
            return [f"{len(torn)} reads saw neither the old nor the new: {told}"]
        return []

    def left_branches(self, tables: Collection[str]) -> list[str]:
        """Branches that are left when all is over."""
        return [f"a branch is left: {branch}" for branch in contents.branches(self._session(), tables)]

    def logged(self) -> dict[str, int]:
        """How many entries the logs have that are only ever added to."""
        logs = "publish_log", "promotion", "campaign", "gates"
        query = ", ".join(f"(select count(*) from rekindle.{log})" for log in logs)
        return dict(zip(logs, contents.select(self.world, f"select {query}")[0], strict=True))

    # Processes

    def _do(self, step: str, run_id: str, *, seconds: float = 0.0) -> int:
        """Do a step in a process of its own; returns its exit code, and kills it after some seconds where they are given."""
        process = self.started(step, run_id)
        try:
            return process.wait(seconds or STEP_SECONDS)
        except subprocess.TimeoutExpired:
            # It alone: what it has started is to end by itself.
            process.kill()
            return process.wait()

    def started(self, step: str, run_id: str, further: Mapping[str, str] = MappingProxyType({})) -> Child:
        """Begin a step in a process of its own."""
        environment = {**os.environ, points.VARIABLE: str(self.folder), **further}
        return self.nursery.begin(step, run_id, self.log(step), environment)

    def log(self, step: str) -> Path:
        return self.world.home.log(f"chaos-{step}")

    def _postgres(self, step: str) -> dict[str, str]:
        return contents.of_postgres(self.world, without=VERSIONED.get(step, ()))

    def _warehouse(self, tables: Collection[str]) -> dict[str, str]:
        return contents.of_warehouse(self._session(), tables)

    def _session(self) -> SparkSession:
        if self.spark is None:
            self.spark = contents.fresh_session()
        return self.spark

    def lose_session(self) -> None:
        """Forget a session whose server is gone: to stop it would be to wait for the server."""
        self.spark = None

    def close(self) -> None:
        if self.spark is not None:
            self.spark.stop()


def arm(folder: Path, point: str, of: str, deed: str) -> None:
    """Say what is to happen at which point."""
    clear(folder)
    written = folder / f".{points.ARMED}"
    written.write_text(json.dumps({"point": point, "of": of, "deed": deed}))
    written.replace(folder / points.ARMED)


def clear(folder: Path) -> None:
    for name in (points.ARMED, points.PASSED, points.REACHED, points.GO_ON):
        (folder / name).unlink(missing_ok=True)


def _passed(folder: Path) -> list[tuple[str, str]]:
    text = (folder / points.PASSED).read_text() if (folder / points.PASSED).exists() else ""
    return [(point, of) for point, _, of in (line.partition("\t") for line in text.splitlines())]


def _spread(points: list[str], most: int) -> list[str]:
    """So many of the points, from the first to the last."""
    return [points[at * len(points) // most] for at in range(most)] if most < len(points) else points


def _rows(digest: str | None) -> int:
    return int(digest.split(" ")[0]) if digest else 0


def _is_shared(table: str) -> bool:
    """Tables that a step writes to more than once, so that it is in between after the first."""
    return table in {"raw.deliveries", "raw.quarantine"}
