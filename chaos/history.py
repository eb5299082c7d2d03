"""
A backfill of days in random order, with commands killed, and the same days in order: the same rows, features, champions.

The champion changes within the days, so each day must be scored by the one that was in effect on it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil

from chaos import commands, contents, steps
from chaos.kills import SEED, VERSIONED
from chaos.world import PUBLISHED
from rekindle.days import Days

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from chaos.figures import Figures
    from chaos.readers import Reader
    from chaos.world import World

DAYS, LONG = 3, 30
"""Days of the piece that is done with all others, and of the one that takes most of an hour by itself."""

MOST_KILLED = 5
"""Commands, and at most every second one."""

READY = "ready_to_backfill"
PATIENCE_SECONDS = 1800


def backfills(world: World, reader: Reader, figures: Figures, day_count: int = DAYS) -> None:
    """Build days in order and in random order, and compare."""
    reader.expect_nothing()
    began = time.monotonic()
    days = Days.between(world.new, world.new + timedelta(day_count - 1))
    with reader.away():
        world.restore(PUBLISHED)
        steps.promote_another(days.all[len(days) // 2])
        world.keep(READY)
        problems = _all_of(world, days.all)
        wanted, champions = _contents(world), _champions(days)
        world.restore(READY)
    lots, killed = random.Random(SEED), min(MOST_KILLED, len(days) // 2)  # noqa: S311 - no secret
    order = lots.sample(days.all, len(days.all))
    seconds = 0.0
    for at, day in enumerate(order):
        if at < killed:
            figures.kills += _killed(world, day, lots.uniform(3, max(10.0, seconds)))
        one = time.monotonic()
        problems += _all_of(world, [day])
        seconds = time.monotonic() - one
        print(f"        {day} is built, {at + 1} of {len(order)}, {seconds:.0f} s", flush=True)
    # A day that is built before an earlier one has been is made of less: that it is stale is known.
    problems += (
        [] if _command(world, "backfill", "--stale").wait(PATIENCE_SECONDS) == 0 else ["`backfill --stale` failed"]
    )
    found = _contents(world)
    problems += [
        f"{name} differs from the days in order" for name, digest in wanted.items() if found.get(name) != digest
    ]
    if _champions(days) != champions:
        problems.append(f"the champions are {_champions(days)}, and {champions} in order")
    if len({version for _, version in champions}) < 2:  # noqa: PLR2004 - a change needs two
        problems.append(f"the champion never changes: {champions}")
    problems += [f"running for ever: {run}" for run in contents.running(world)]
    figures.to_heal += killed
    figures.healed += 0 if problems else killed
    what = f"{len(days)} days in random order with {killed} kills, and in order"
    figures.over(what, problems, time.monotonic() - began)


def _all_of(world: World, days: Sequence[date]) -> list[str]:
    first, last = str(min(days)), str(max(days))
    code = _command(world, "backfill", "--from", first, "--to", last).wait(PATIENCE_SECONDS)
    return [f"a backfill of {first} to {last} ended with {code}"] if code else []


def _killed(world: World, day: date, seconds: float) -> int:
    """Kill a backfill of a day with all that it has started; returns 1 if it was not over yet."""
    process = _command(world, "backfill", "--from", str(day), "--to", str(day))
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in everything:
            one.send_signal(signal.SIGKILL)
        process.wait()
        return 1
    return 0


def _contents(world: World) -> dict[str, str]:
    spark = contents.fresh_session()
    try:
        # A delivery that was loaded by an attempt that was killed before it said so is loaded again.
        return contents.of_warehouse(spark, tuple(contents.catalog(world)), ("version",)) | contents.of_postgres(
            world, without=VERSIONED["train"]
        )
    finally:
        spark.stop()


def _champions(days: Days) -> list[tuple[date, str]]:
    spark = contents.fresh_session()
    try:
        rows = spark.table("scores.recall_daily").where(f"day between date'{days.first}' and date'{days.last}'")
        found = rows.select("day", "model_version").distinct().orderBy("day").collect()
        return [(row["day"], row["model_version"]) for row in found]
    finally:
        spark.stop()


def _command(world: World, *command: str) -> subprocess.Popen[bytes]:
    return commands.begin(world.home.log("chaos-backfill"), *command)
