"""Daily runs of 100,000, 300,000 and a million users with two million new events, and the memory of all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import machine
from bench.measured import Measured
from bench.world import YEAR, World, anchor, largest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.days import Days

LEARNED_FROM = 5_000
"""Simulated users, of whom there is a year before the others come, and of whom models are learnt."""
SIZES = 100_000, 300_000, 1_000_000
LEAD = 15
"""
Days of each size that are built in one go: whoever came once in the first week is lapsed by then.

Two daily runs follow. The first has no features of the day before, for a history is built with those of weekly days.
"""
STEP = LEAD + 2
CROWDED = "features.user"
"""The table whose rows are compared with those of the days before, and that grows with the users."""
MINUTES, GIB, AGAIN_S = 15, 12, 20
"""At most, of the largest."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aim f for a million, and of smaller sizes beside it."""
    world = World("million")
    print(f"  {world.simulate(LEARNED_FROM, world.days(1, YEAR + len(SIZES) * STEP))}", flush=True)
    world.up()
    world.learn(world.days(1, YEAR))
    known = 0
    for number, users in enumerate(SIZES):
        begins, crowd = YEAR + number * STEP + 1, users - LEARNED_FROM
        yield from _grown(world, begins, known, crowd, is_last=users == SIZES[-1])
        known = crowd
    world.end()


def _grown(world: World, begins: int, known: int, crowd: int, *, is_last: bool) -> Iterator[Measured]:
    """Let users come until there are so many, build days in one go, and run the two that follow."""
    lead = world.days(begins, begins + LEAD - 1)
    first, day = world.days(begins + LEAD, begins + LEAD + 1)
    users = f"{LEARNED_FROM + crowd:,} users"
    events = anchor("deliveries", world.home.path / "landing", known, crowd, lead.first, day)
    print(f"  {users}: {events}", flush=True)
    yield Measured("f", f"{LEAD} days of {users} in one go, without scores", _built(world, lead))
    yield Measured(
        "f", f"a daily run of {users}, features by their definition", world.run(first).seconds / 60, unit="min"
    )
    with machine.watched() as memory:
        run = world.run(day)
    for stage in run.stages:
        print(f"  {stage.stage}: {stage.seconds:.1f} s", flush=True)
    what = f"a daily run of {users}"
    minutes, gib, again_s = (MINUTES, GIB, AGAIN_S) if is_last else (None, None, None)
    yield Measured("f", what, run.seconds / 60, at_most=minutes, unit="min", holds_back=largest([run]))
    together = f"{what}: all processes together"
    yield Measured("f", together, memory.peak_gib, at_most=gib, unit="GiB", holds_back=memory.largest)
    yield Measured("f", f"{users}: Spark's server, the most at once", world.peak_gib(), unit="GiB")
    yield Measured("f", f"the same day again, unchanged, {users}", world.run_again(day), at_most=again_s)


def _built(world: World, days: Days) -> float:
    """Build days in one go, and accept, as a person would, that there are many more users than in the week before."""
    from rekindle import records
    from rekindle.errors import CheckFailedError
    from rekindle.warehouse import contracts
    from rekindle.warehouse.checks import accepting

    while True:
        try:
            return world.backfill(days, score=False)
        except CheckFailedError:
            stopped = [
                (check.rule, day)
                for day in days
                for check in records.last_said(CROWDED, day)
                if records.stops(check) and str(day) in records.to_accept(check)
            ]
            if not stopped:
                raise
            for rule, day in stopped:
                accepting.accept(CROWDED, contracts.load(CROWDED), rule, day, "make bench-million", "a crowd comes")
