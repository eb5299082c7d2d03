"""Daily runs beside twice the history, and a history in one go beside its days one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measured import Measured
from bench.world import DAILY, YEAR, Daily, World, largest, learned, usual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.days import Days

MONTH = 30


def measured() -> Iterator[Measured]:
    """Yield the lines of aims a and e."""
    world = learned()
    after_month, second_year = YEAR + MONTH, 2 * YEAR
    together = world.backfill(world.days(YEAR + 1, after_month), score=True)
    first = _daily(world, world.days(after_month + 1, after_month + DAILY))
    resident = world.resident_gib()
    each = usual(first)
    yield Measured(
        "e",
        f"{MONTH} days in one go, scored",
        together,
        each * MONTH,
        f"{MONTH} daily runs, by the median of {DAILY}",
        0.35,
        holds_back=f"of a daily run: {largest(first)}",
    )
    rest = world.days(after_month + DAILY + 1, second_year)
    built = world.backfill(rest, score=False)
    yield Measured("", f"{len(rest)} further days in one go, without scores", built)
    again = _daily(world, world.days(second_year + 1, second_year + DAILY))
    yield Measured(
        "a",
        f"a daily run, two years of history ({world.delivered})",
        usual(again),
        each,
        "one year",
        1.15,
        holds_back=largest(again),
    )
    yield Measured(
        "f", "Spark's server after the last day", world.resident_gib(), resident, "after the first days", unit="GiB"
    )
    yield Measured("f", "Spark's server, the most at once", world.peak_gib(), unit="GiB")


def _daily(world: World, days: Days) -> list[Daily]:
    runs = []
    for day in days:
        runs.append(run := world.run(day))
        print(f"  {day}: {run.seconds:.1f} s: {largest([run])}", flush=True)
    return runs
