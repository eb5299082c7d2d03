"""Daily runs beside twice the history, and a history in one go beside its days one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measured import Measured
from bench.world import Daily, World, largest, learned, median

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.days import Days

YEAR, MONTH, DAILY = 365, 30, 5
"""Days of the history, of what is built in one go, and of those that are run one by one on either side."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aims a and e."""
    world = learned()
    month = world.days(YEAR + 1, YEAR + MONTH)
    together = world.backfill(month, score=True)
    first = _daily(world, world.days(month_end := YEAR + MONTH + 1, month_end + DAILY - 1))
    resident = world.resident_gib()
    each = median([run.seconds for run in first])
    yield Measured(
        "e",
        f"{MONTH} days in one go, scored",
        together,
        each * MONTH,
        f"{MONTH} daily runs, by the median of {DAILY}",
        0.35,
        holds_back=f"of a daily run: {largest(first)}",
    )
    rest = world.days(month_end + DAILY, 2 * YEAR)
    built = world.backfill(rest, score=False)
    yield Measured("", f"{len(rest)} further days in one go, without scores", built)
    again = _daily(world, world.days(2 * YEAR + 1, 2 * YEAR + DAILY))
    yield Measured(
        "a",
        f"a daily run, two years of history ({world.delivered})",
        median([run.seconds for run in again]),
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
