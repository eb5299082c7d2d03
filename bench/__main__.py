"""`python -m bench [USERS] [DAYS]`: a platform of its own, a simulated business, and the seconds that each step of it takes."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rekindle import platform, records
from rekindle.days import ONE_DAY, Days
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.simulate import simulate
from rekindle.platform import spark_connect
from rekindle.platform.home import Home
from rekindle.settings import settings
from rekindle.warehouse import contracts
from rekindle.workflow import due

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS_ONE_BY_ONE = 5
DAYS_SIDE_BY_SIDE = 2


@contextmanager
def clock(name: str) -> Iterator[list[float]]:
    """Print how long the block took; the list holds the seconds afterwards."""
    seconds: list[float] = []
    begun = time.monotonic()
    yield seconds
    seconds.append(time.monotonic() - begun)
    print(f"{name:<60}{seconds[0]:8.1f} s", flush=True)


def main(users: int, days: int) -> None:
    """Load, tile and window a year, then a range against its days one by one."""
    home = Path(tempfile.mkdtemp(prefix="rekindle-bench-"))
    os.environ["REKINDLE_HOME"], os.environ["REKINDLE_LANDING"] = str(home), str(home / "landing")
    settings.cache_clear()
    try:
        first = parameters().first_day
        done = simulate(users, Days.between(first, first + timedelta(days - 1)))
        delivered = ", ".join(f"{written.rows:,} {written.source}" for written in done.written)
        print(f"{users:,} users, {days} days, simulated: {delivered}")
        platform.up(home, tools=())
        measure(done.days)
        print(f"{'peak memory of Spark':<60}{peak_memory_gib(home):8.1f} GiB")
    finally:
        platform.delete(home)


def peak_memory_gib(home: Path) -> float:
    """The most memory that the home's Spark server has had at once, as Linux has noted it."""
    server = spark_connect.running(Home(home))
    if server is None:
        raise RuntimeError("Spark has ended before the benchmark: its log says why.")
    status = Path(f"/proc/{server['pid']}/status").read_text(encoding="ascii")
    (peak_kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak_kib) / 1024**2


def measure(days: Days) -> None:
    """Print the seconds of each step."""
    from rekindle.warehouse.spark import session
    from spark_jobs.features import user, user_day, user_item_day
    from spark_jobs.ingest import raw

    spark = session()
    run_id = records.start_run("bench", days)
    for source in contracts.landing_sources():
        with clock(f"ingest {source}"):
            raw.main(spark, days, run_id, source=source)
    for job in (user_day, user_item_day):
        with clock(f"{job.TABLE}, {len(days)} deliveries"):
            job.main(spark, days, run_id)
    weekly = Days(tuple(due.weekly_days(days)))
    with clock(f"{user.TABLE}, {len(weekly)} weekly days in one plan"):
        user.main(spark, weekly, run_id)
    some = Days(weekly.all[-DAYS_ONE_BY_ONE:])
    with clock(f"{user.TABLE}, {len(some)} days in one plan") as together:
        user.main(spark, some, run_id)
    with clock(f"{user.TABLE}, the same days one by one") as apart:
        for day in some:
            user.main(spark, Days.one(day), run_id)
    print(f"one by one / one plan: {apart[0] / together[0]:.1f}")
    last = Days.one(days.last)
    user.release(spark, Days.one(last.first - ONE_DAY), run_id, user.defined(spark, Days.one(last.first - ONE_DAY)))
    for _ in range(DAYS_SIDE_BY_SIDE):
        with clock(f"{user.TABLE}, a day by its definition") as defined:
            user.release(spark, last, run_id, user.defined(spark, last))
        with clock(f"{user.TABLE}, the same from the day before") as stepped:
            user.main(spark, last, run_id)
    print(f"by definition / from the day before: {defined[0] / stepped[0]:.1f}")
    spark.stop()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:] or ("50000", "365")))
