"""
Two at once: of a step, of a day, of a backfill; upkeep while a release is under way; and a day that is delivered again, empty.

Each must end as if one had come after the other.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chaos import commands, contents, readers
from chaos.kills import arm, clear
from chaos.world import OLD, PUBLISHED
from rekindle import points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pyspark.sql import SparkSession

    from chaos.figures import Figures
    from chaos.kills import Kills, Undisturbed
    from chaos.readers import Reader
    from chaos.world import World

PATIENCE_SECONDS = 1200
EXPIRIES = "rekindle.expiry"
HISTORY = "_history"
REFUSED = 2
"""Exit code of a command that another one holds up."""


def two_at_once(kills: Kills, known: Undisturbed) -> None:
    """Do a step twice at the same time, as two runs of one day would: each waits for the other, and changes nothing more."""
    began = time.monotonic()
    kills.begin_again(known)
    processes = [kills.started(known.step, name) for name in ("one", "other")]
    codes = [process.wait(PATIENCE_SECONDS) for process in processes]
    problems = [f"ended with {codes}: {kills.log(known.step)}"] if any(codes) else []
    kills.figures.over(f"{known.step} twice at once", problems + kills.healed(known), time.monotonic() - began)


def upkeep_beside(kills: Kills, known: Undisturbed) -> None:
    """Let upkeep begin while a step is about to release: it waits for that table, and the release succeeds."""
    began = time.monotonic()
    kills.begin_again(known)
    arm(kills.folder, "before release", "", "wait")
    process = kills.started(known.step, "beside")
    while not (kills.folder / points.REACHED).exists() and process.poll() is None:
        time.sleep(0.1)
    upkeep = kills.started("upkeep", "upkeep")
    # Time to come to the table that is held.
    time.sleep(10)
    (kills.folder / points.GO_ON).touch()
    codes = process.wait(PATIENCE_SECONDS), upkeep.wait(PATIENCE_SECONDS)
    clear(kills.folder)
    problems = [f"ended with {codes}: {kills.log(known.step)}"] if any(codes) else []
    problems += kills.left_branches(known.tables)
    # What upkeep has deleted for its age is told there, and the step by itself deletes nothing.
    told = {name: digest for name, digest in known.after.postgres.items() if name != EXPIRIES}
    found = kills.healed(replace(known, after=replace(known.after, postgres=told)))
    kills.figures.over(f"upkeep while {known.step} releases", problems + found, time.monotonic() - began)


def days(world: World, reader: Reader, figures: Figures) -> None:
    """Whole days and histories: two runs of a day, two backfills, and a day that becomes empty."""
    for drill in (_two_runs, _two_backfills, _emptied):
        began = time.monotonic()
        reader.expect_nothing()
        with reader.away():
            world.restore(PUBLISHED if drill is not _two_runs else OLD)
        figures.over((drill.__doc__ or "").rstrip("."), drill(world, reader), time.monotonic() - began)


def _two_runs(world: World, reader: Reader) -> list[str]:
    """`rekindle run` of one day, twice at once."""
    del reader
    run = ("run", "--day", str(world.new), "--at", world.published_at(world.new).isoformat())
    codes = sorted(_commands(world, (run, run)))
    problems = [] if codes == [0, REFUSED] else [f"one was to run and one to be refused, but they ended with {codes}"]
    found = readers.read_once(world.reader())
    problems += [f"running for ever: {run}" for run in contents.running(world)]
    world.restore(PUBLISHED)
    with_reference = readers.read_once(world.reader())
    if differing := found.differing(with_reference):
        problems.append(f"what is published differs from a day run alone in {', '.join(differing)}")
    return problems


def _two_backfills(world: World, reader: Reader) -> list[str]:
    """`rekindle backfill` of the same days, twice at once."""
    del reader
    before = readers.read_once(world.reader())
    first, last = world.new + timedelta(1), world.new + timedelta(2)
    backfill = ("backfill", "--from", str(first), "--to", str(last))
    codes = _commands(world, (backfill, backfill))
    # A day that the other is scoring is refused by name, and the command given again goes on.
    problems = [] if set(codes) <= {0, REFUSED} else [f"ended with {codes}"]
    if _commands(world, (backfill,)) != [0]:
        problems.append("a backfill after both did not end well")
    changed = readers.read_once(world.reader()).differing(before)
    problems += [f"backfills have changed {table}" for table in changed if not table.endswith(HISTORY)]
    if not any(table.endswith(HISTORY) for table in changed):
        problems.append("no history was published")
    spark = contents.fresh_session()
    try:
        twice = contents.doubled(spark, contents.keys_of(contents.catalog(world)))
    finally:
        spark.stop()
    problems += [f"{table} has {count} keys twice" for table, count in twice.items()]
    return problems + [f"running for ever: {run}" for run in contents.running(world)]


def _emptied(world: World, reader: Reader) -> list[str]:
    """A day that becomes empty on re-delivery, and what it was again."""
    del reader
    day, source = world.old, "events"
    folder = world.landing / source / f"day={day}"
    tables = ("raw.events", "raw.deliveries", "features.user_day", "features.user", "marts.recall_population")
    spark = contents.fresh_session()
    try:
        before, published = contents.of_warehouse(spark, tables, ("version",)), readers.read_once(world.reader())
        stale = ("backfill", "--stale")
        kept = folder.with_name(".kept")
        shutil.copytree(folder, kept)
        for file in folder.glob(f"{source}.*"):
            file.unlink()
        problems = [] if _commands(world, (stale,)) == [0] else ["`backfill --stale` did not end well"]
        if _rows(spark, day):
            problems.append(f"raw.events still has rows of {day}, whose delivery is empty now")
        shutil.rmtree(folder)
        kept.rename(folder)
        if _commands(world, (stale,)) != [0]:
            problems.append("`backfill --stale` did not end well when the delivery was back")
        after = contents.of_warehouse(spark, tables, ("version",))
        problems += [f"{table} is not what it was" for table in before if after[table] != before[table]]
        now = readers.read_once(world.reader()).differing(published)
        return problems + [f"history was rebuilt, and {table} is not what it was" for table in now]
    finally:
        spark.stop()


def _rows(spark: SparkSession, day: date) -> int:
    return spark.table("raw.events").where(f"day = date'{day}'").count()


def _commands(world: World, given: Sequence[Sequence[str]]) -> list[int]:
    """Give commands at the same time; returns their exit codes."""
    processes = [commands.begin(world.home.log(f"chaos-command-{at}"), *one) for at, one in enumerate(given)]
    return [process.wait(PATIENCE_SECONDS) for process in processes]
