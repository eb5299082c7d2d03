"""A day of a small shop that delivers users and orders and nothing else, and the same day again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measured import Measured
from bench.world import World, largest, usual

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS, HISTORY, DAILY = 10_000, 200, 3
WITHOUT = ("events", "items", "contacts", "consents", "replies")


def measured() -> Iterator[Measured]:
    """Yield the lines of aim f that need no million."""
    world = World("shop")
    print(f"  {world.simulate(USERS, world.days(1, HISTORY + DAILY), without=WITHOUT)}", flush=True)
    world.up()
    world.learn(world.days(1, HISTORY))
    runs = [world.run(day) for day in world.days(HISTORY + 1, HISTORY + DAILY)]
    yield Measured(
        "f",
        f"a daily run ({world.delivered})",
        usual(runs),
        at_most=45,
        holds_back=largest(runs),
    )
    last = world.days(1, HISTORY + DAILY).last
    yield Measured("f", "the same day again, unchanged", world.run_again(last), at_most=20)
    yield Measured("f", "the same day again, `--force`", world.run(last, force=True).seconds)
    world.end()
