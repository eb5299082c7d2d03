"""Daily runs of 100,000, 300,000 and a million users with two million new events, and the memory of all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import machine
from bench.measured import Measured
from bench.world import YEAR, World, anchor, largest

if TYPE_CHECKING:
    from collections.abc import Iterator

LEARNED_FROM = 5_000
"""Simulated users, of whom there is a year before the others come, and of whom models are learnt."""
SIZES = 100_000, 300_000, 1_000_000
LEAD = 15
"""Days of each size before the one that is measured: whoever came once in the first week is lapsed by then."""
MINUTES, GIB, AGAIN_S = 15, 12, 20
"""At most, of the largest."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aim f for a million, and of smaller sizes beside it."""
    world = World("million")
    print(f"  {world.simulate(LEARNED_FROM, world.days(1, YEAR + len(SIZES) * (LEAD + 1)))}", flush=True)
    world.up()
    world.learn(world.days(1, YEAR))
    known = 0
    for number, users in enumerate(SIZES):
        begins, crowd = YEAR + number * (LEAD + 1) + 1, users - LEARNED_FROM
        yield from _grown(world, begins, known, crowd, is_last=users == SIZES[-1])
        known = crowd
    world.end()


def _grown(world: World, begins: int, known: int, crowd: int, *, is_last: bool) -> Iterator[Measured]:
    """Let users come until there are so many, build the days until the last one in one go, and run that."""
    lead, day = world.days(begins, begins + LEAD - 1), world.days(begins, begins + LEAD).last
    users = f"{LEARNED_FROM + crowd:,} users"
    events = anchor("deliveries", world.home.path / "landing", known, crowd, lead.first, day)
    print(f"  {users}: {events}", flush=True)
    yield Measured("f", f"{LEAD} days of {users} in one go, without scores", world.backfill(lead, score=False))
    with machine.watched() as memory:
        run = world.run(day)
    for stage in run.stages:
        print(f"  {stage.stage}: {stage.seconds:.1f} s", flush=True)
    at_most = {"day": MINUTES, "memory": GIB, "again": AGAIN_S} if is_last else {}
    yield Measured(
        "f",
        f"a daily run of {users}",
        run.seconds / 60,
        at_most=at_most.get("day"),
        unit="min",
        holds_back=largest([run]),
    )
    yield Measured(
        "f",
        f"a daily run of {users}: all processes together",
        memory.peak_gib,
        at_most=at_most.get("memory"),
        unit="GiB",
        holds_back=memory.largest,
    )
    yield Measured("f", f"{users}: Spark's server, the most at once", world.peak_gib(), unit="GiB")
    yield Measured("f", f"the same day again, unchanged, {users}", world.run_again(day), at_most=at_most.get("again"))
