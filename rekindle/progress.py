"""
Progress of what takes minutes, for whoever waits: what is being done, for how long, and about how long it will take yet.

On stderr: a terminal shows a line per step in place; elsewhere, as in a log, a line is written now and then.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Clock = Callable[[], float]

EVERY_SECONDS = 30
"""Where lines cannot be taken back, one is written so often."""

CANNOT_TAKE_BACK = ("dumb", "unknown")
"""Terminals, by their names, that are as a log: an editor's, say."""

ALIKE = 4
"""A step over so many times fewer days, or more, says little about this one: part of its time does not grow with days."""


class Step:
    """Something under way. How long it will take it knows from like parts that are done, else from what was expected."""

    def __init__(self, name: str, clock: Clock, total: int | None, expected: float | None, *, alike: bool) -> None:
        self.name, self.total, self.done, self.expected = name, total, 0, expected
        self.within: Step | None = None
        """The part of it that is under way."""
        self.later: float | None = None
        """The seconds that all parts after that one should take, where they are not alike and all are known."""
        self._alike, self._clock, self._begun, self._done_at = alike, clock, clock(), 0.0

    def advance(self) -> None:
        """One more of the total is done."""
        self.reached(self.done + 1, self.total)

    def reached(self, done: int, total: int | None) -> None:
        """So many parts are done, of so many."""
        self.done, self.total, self._done_at = done, total, self.seconds

    @property
    def seconds(self) -> float:
        """How long it has been under way."""
        return self._clock() - self._begun

    @property
    def to_go(self) -> float | None:
        """About how many seconds are left; None where nothing tells, or it takes longer than was thought."""
        if self.later is not None:
            now = self.within.to_go if self.within else None
            return None if now is None else now + self.later
        takes = self.expected
        if self._alike and self.total and self.done:
            takes = self._done_at * self.total / self.done
        return takes - self.seconds if takes is not None and takes > self.seconds else None

    @property
    def title(self) -> str:
        """Its name, and how much is done."""
        return f"{self.name}, {self.done:,} of {self.total:,}" if self.total and self.total > 1 else self.name

    @property
    def times(self) -> str:
        """How long it has taken, and will."""
        minutes, seconds = divmod(int(self.seconds), 60)
        so_far = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02} so far"
        return so_far if self.to_go is None else f"{so_far}, about {about(self.to_go)} to go"

    def __str__(self) -> str:
        return f"{self.title}: {self.times}"


class Progress:
    """The steps under way, one within the other. Shows nothing; see `shown`."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.under_way: tuple[Step, ...] = ()

    @contextmanager
    def step(
        self, name: str, *, total: int | None = None, expected: float | None = None, alike: bool = True
    ) -> Iterator[Step]:
        """
        Be at something, within what is under way already.

        `total` is how many parts it has, from which the time can be told if they are `alike`; `expected` the seconds that it
        should take.
        """
        before, step = self.under_way, Step(name, self.clock, total, expected, alike=alike)
        self._is(*before, step)
        try:
            yield step
        finally:
            self._is(*before)

    def _is(self, *under_way: Step) -> None:
        for step, within in pairwise(under_way):
            step.within = within
        if under_way:
            under_way[-1].within = None
        self.under_way = under_way


SILENT = Progress()
"""For whoever has nobody to tell."""


class LinesNowAndThen(Progress):
    """Progress for what cannot take a line back."""

    def __init__(self, write: Callable[[str], object], clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._write, self._said_at = write, clock()

    def tick(self) -> None:
        """Write a line about all that is under way if it is time for one; is called more often than that."""
        if self.under_way and self.clock() - self._said_at >= EVERY_SECONDS:
            self._said_at = self.clock()
            self._write("; ".join(map(str, self.under_way)) + "\n")

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Look at the clock once a second while something is done."""
        over = Event()

        def tick() -> None:
            while not over.wait(1):
                self.tick()

        thread = Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def shown(*, as_json: bool = False) -> Iterator[Progress]:
    """Show progress on stderr in the way that suits it, or not at all to who asked for JSON and gets one object."""
    if as_json:
        yield Progress()
    elif sys.stderr.isatty() and os.environ.get("TERM") not in CANNOT_TAKE_BACK:
        with _in_place() as progress:
            yield progress
    else:
        lines = LinesNowAndThen(_to_stderr)
        with lines.ticking():
            yield lines


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


@contextmanager
def _in_place() -> Iterator[Progress]:
    """Show a line per step under way at the foot of a terminal; what is printed meanwhile appears above them."""
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    progress = Progress()

    def lines() -> Table:
        table = Table.grid(padding=(0, 1))
        for step in progress.under_way:
            # The times are what people look at: a long title is cut before them.
            table.add_row(
                Text(step.title, no_wrap=True, overflow="ellipsis"),
                ProgressBar(total=step.total, completed=step.done, width=12, pulse=not step.total),
                Text(step.times, no_wrap=True, style="cyan"),
            )
        return table

    # What is printed to a stdout that goes elsewhere must arrive there.
    is_shared = sys.stdout.isatty()
    console = Console(stderr=True)
    with Live(console=console, get_renderable=lines, refresh_per_second=4, transient=True, redirect_stdout=is_shared):
        yield progress


def about(seconds: float) -> str:
    """A duration as exact as an estimate is: 40 s, 3 min, 2.5 h."""
    if seconds < 55:  # noqa: PLR2004 - from here on it is rounded to minutes
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:  # noqa: PLR2004 - 90 minutes
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def estimate(days: int, past: Sequence[tuple[int, float]]) -> float | None:
    """
    How many seconds a step over so many days will take, from (days, seconds) of earlier ones, the latest first.

    Between shorter and longer ones it lies on the line between the nearest two. Beyond the longest it grows with the days;
    before the shortest half of it does not shrink with them. Of many times more or fewer days nothing is said.
    """
    by_size: dict[int, list[float]] = {}
    for size, seconds in past:
        by_size.setdefault(size, []).append(seconds)
    typical = {size: median(some) for size, some in by_size.items()}
    if days in typical:
        return typical[days]
    below, above = (
        max((s for s in typical if s < days), default=None),
        min((s for s in typical if s > days), default=None),
    )
    if below is not None and above is not None:
        return typical[below] + (typical[above] - typical[below]) * (days - below) / (above - below)
    near = below if below is not None else above
    if near is None or max(days, near) > ALIKE * min(days, near):
        return None
    share = days / near
    return typical[near] * (share if share > 1 else (1 + share) / 2)
