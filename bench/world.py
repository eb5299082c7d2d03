"""A platform of its own in `.bench/`, with a simulated business."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from functools import cache
from statistics import median_high
from typing import TYPE_CHECKING

from bench import machine
from rekindle import platform, postgres, records
from rekindle.days import ONE_DAY, Days
from rekindle.platform import spark_connect
from rekindle.platform.home import Home
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from rekindle.records import Stage

FOLDER = PROJECT / ".bench"
PUBLISHED_AT = time_of_day(3, 0)
LARGEST = 3
PYTHON = FOLDER / "venv" / "bin" / "python"


@dataclass(frozen=True)
class Daily:
    """What a daily run took, and what of it each stage did."""

    seconds: float
    stages: tuple[Stage, ...]


def largest(runs: Collection[Daily]) -> str:
    """The stages that took longest, each by its median over some runs."""
    by_name: dict[str, list[float]] = {}
    for run in runs:
        for stage in run.stages:
            by_name.setdefault(stage.stage, []).append(stage.seconds)
    medians = sorted(((median_high(seconds), name) for name, seconds in by_name.items()), reverse=True)
    return ", ".join(f"{name} {seconds:.1f} s" for seconds, name in medians[:LARGEST])


def usual(runs: Collection[Daily]) -> float:
    """The seconds of the middle one of some runs."""
    return median_high(run.seconds for run in runs)


def anchor(script: str, *arguments: object) -> str:
    """Run a script of the anchors in their environment, and return the last line of what it prints."""
    command = [str(PYTHON), "-m", f"bench.anchors.{script}", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=PROJECT)  # noqa: S603 - our own script
    return done.stdout.strip().splitlines()[-1]


class World:
    """A home, begun anew, and what was delivered to it."""

    delivered = ""
    """What that is, in words."""

    def __init__(self, name: str) -> None:
        self.home = Home(FOLDER / name)
        _let_go()
        if self.home.path.exists():
            platform.delete(self.home.path)
        platform.use(self.home.path)

    @staticmethod
    def days(first: int, last: int) -> Days:
        """Days of a simulated business by their numbers, both included; the first is 1."""
        from rekindle.landing.filling.simulation.parameters import parameters

        begins = parameters().first_day
        return Days.between(begins + timedelta(first - 1), begins + timedelta(last - 1))

    def simulate(self, users: int, days: Days, *, without: Collection[str] = ()) -> str:
        """Deliver the days of a business, and say what was delivered."""
        from rekindle.landing.filling.simulation.simulate import simulate

        done = simulate(users, days, without=without)
        told = ", ".join(f"{written.rows:,} {written.source}" for written in done.written if written.rows)
        self.delivered = f"{users:,} simulated users, {len(days)} days: {told}"
        return self.delivered

    def up(self) -> None:
        platform.up(self.home.path)

    @staticmethod
    def learn(history: Days) -> None:
        """Build a history and train, and say what came of it."""
        from loop.learning import learn

        learn(history, lambda text: print(f"  {text}", flush=True))

    @staticmethod
    def backfill(days: Days, *, score: bool) -> float:
        """Build a history in one go; returns its seconds."""
        from rekindle.progress import SILENT
        from rekindle.workflow import backfill

        return backfill.build(days, None, lambda _text: None, SILENT, score=score).seconds

    @staticmethod
    def run(day: date, *, force: bool = False) -> Daily:
        """Run a day as `rekindle run` does."""
        from rekindle.workflow import running

        at = datetime.combine(day + ONE_DAY, PUBLISHED_AT, UTC).isoformat()
        begun = time.monotonic()
        told = {"kind": "daily", "at": at, "force": force}
        (run,) = running.run_days("daily_scores", Days.one(day), told)
        return Daily(time.monotonic() - begun, tuple(records.stages(run_id=run.run_id)))

    @staticmethod
    def run_again(day: date) -> float:
        """Run a day again of which nothing has changed since a run by the clock; returns its seconds."""
        from rekindle.workflow import running

        for _ in range(2):
            begun = time.monotonic()
            (run,) = running.run_days("daily_scores", Days.one(day), {"kind": "daily"})
        if run.status != "unchanged":
            raise AssertionError(f"the same day again was not found unchanged, but {run.status}")
        return time.monotonic() - begun

    def spark_pid(self) -> int:
        server = spark_connect.running(self.home)
        if server is None:
            raise RuntimeError("Spark has ended before the benchmark: its log says why.")
        return int(server["pid"])

    def resident_gib(self) -> float:
        """What its Spark server has in memory."""
        return machine.resident_gib(self.spark_pid())

    def peak_gib(self) -> float:
        """The most that its Spark server has had in memory at once."""
        return machine.peak_gib(self.spark_pid())

    def end(self) -> None:
        """Stop what runs and give the room back."""
        _let_go()
        platform.delete(self.home.path)


def _let_go() -> None:
    """Forget the session and the connection of another home: who asks for one would get those."""
    from loop.learning import let_go_of_spark

    let_go_of_spark()
    postgres.disconnect()


USERS, YEAR, DAILY = 20_000, 365, 5
"""Of the business that most pieces share; days that are run one by one after a year, and after two."""


@cache
def learned() -> World:
    """A business with a year of history and models, and a year that is delivered and not yet loaded; begun once in a run."""
    world = World("learned")
    print(f"  {world.simulate(USERS, world.days(1, 2 * YEAR + DAILY))}", flush=True)
    world.up()
    world.learn(world.days(1, YEAR))
    return world
