"""
`python -m chaos [PIECE…]`: break the platform, see that nothing is lost, end with a line of figures; exit code 1 if one broke.

Without pieces everything begins anew: the platform, its history, all drills but those that are done by name alone. A piece by
itself uses the platform that is there.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from functools import cache, partial
from typing import TYPE_CHECKING

from chaos import history, imports, races, scheduler
from chaos.disks import STEP, fill_disks
from chaos.figures import Figures
from chaos.kills import Kills
from chaos.nursery import Nursery
from chaos.readers import Reader
from chaos.servers import AT, CUT, cut_commits, kill_servers
from chaos.world import PUBLISHED, World, ready_to
from rekindle import platform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chaos.kills import Undisturbed

    Piece = Callable[[World, Reader, Figures], None]
    Drill = Callable[[Kills, Undisturbed], None]

SIMULATED = "200 simulated users: nobody is real, and no figure is either."

DAY = "ingest", "tiles", "features", "marts", "score", "publish"
"""Steps of a day, each of which begins with what it needs."""

AFTERWARDS = "permissions", "plan", "train", "report", "upkeep", "erase"
"""Steps that begin with a day that is published."""

AT_RANDOM = {"ingest": 1, "features": 1, "marts": 1, "publish": 2, "train": 1, "upkeep": 1, "erase": 1}


def main(wanted: list[str]) -> int:
    """Do the drills that are wanted, all of them by default."""
    print(SIMULATED, flush=True)
    world, figures = World(), Figures()
    if unknown := set(wanted) - set(ALL):
        print(f"There is no piece {', '.join(sorted(unknown))}. Choose from: {', '.join(ALL)}.", file=sys.stderr)
        return 2
    # Who is told to end puts back what is mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not wanted or not world.is_built():
        began = time.monotonic()
        world.build()
        print(f"built a history, models and a first day in {time.monotonic() - began:.0f} s", flush=True)
    world.up()
    reader = Reader(world.reader)
    reader.start()
    try:
        for name in wanted or PIECES:
            _whole(name, world, reader, figures)
    finally:
        reader.stop()
        if nursery.cache_info().currsize:
            nursery().close()
        figures.reads, figures.torn = reader.reads, len(reader.torn)
        platform.down(world.home.path)
    print(figures.line, flush=True)
    return 1 if figures.broken or figures.torn else 0


def _whole(name: str, world: World, reader: Reader, figures: Figures) -> None:
    """Do a piece; one that cannot be done at all breaks a promise, and the others go on."""
    try:
        ALL[name](world, reader, figures)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
        figures.over(name, [f"could not be done: {type(error).__name__}"], 0.0)
        world.up()


KNOWN: dict[str, Undisturbed] = {}
"""What the steps of this run are like undisturbed."""


@cache
def nursery() -> Nursery:
    """The process that forks the steps of all pieces."""
    return Nursery()


def _of_step(name: str, drill: Drill) -> Piece:
    """A piece that does a step undisturbed first, and then what a drill does to it."""

    def piece(world: World, reader: Reader, figures: Figures) -> None:
        reader.expect_nothing()
        with reader.away():
            world.restore(ready_to(name) if name in DAY else PUBLISHED)
        kills = Kills(world, reader, figures, nursery())
        try:
            kills.keep()
            # It begins with the same in each piece, so it is looked at undisturbed once.
            if name not in KNOWN:
                KNOWN[name] = kills.learnt(name)
            drill(kills, KNOWN[name])
        finally:
            kills.close()

    return piece


def _imports(world: World, reader: Reader, figures: Figures) -> None:
    imports.kill_imports(Kills(world, reader, figures, nursery()))


def _points(kills: Kills, known: Undisturbed) -> None:
    kills.at_points(known)
    kills.at_random(known, AT_RANDOM.get(known.step, 0))


OF_STEPS: dict[str, tuple[Drill, Collection[str]]] = {
    "": (_points, (*DAY, *AFTERWARDS)),
    ".servers": (kill_servers, AT),
    ".commits": (cut_commits, CUT),
    ".disks": (fill_disks, STEP),
    ".twice": (races.two_at_once, ("ingest", "features", "publish")),
    ".beside-upkeep": (races.upkeep_beside, ("features",)),
}
"""What is done to which steps; how the piece is called is said after the step's name."""

PIECES: dict[str, Piece] = {
    **{f"{step}{mark}": _of_step(step, drill) for mark, (drill, steps) in OF_STEPS.items() for step in steps},
    "import": _imports,
    "days": races.days,
    "history": history.backfills,
    "scheduler": scheduler.day,
}

BY_NAME: dict[str, Piece] = {"thirty": partial(history.backfills, day_count=history.LONG)}
"""Pieces that take most of an hour by themselves: done when they are asked for."""

ALL = PIECES | BY_NAME


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
