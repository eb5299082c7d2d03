"""Kill -9 of whoever writes deliveries, at each point of putting one into place: it is the old one, the new one, or not there."""

from __future__ import annotations

import shutil
import signal
import time
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.days import Days
from rekindle.landing.filling.writer import History, deliver
from rekindle.landing.zone import LandingZone
from rekindle.warehouse.contracts import landing_contract

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.kills import Kills
    from chaos.world import World

SOURCE, DAY = "orders", date(2020, 1, 1)
OLD_ROWS, NEW_ROWS = 3, 5
POINTS = tuple(f"{when} {step}" for step in ("delivery put away", "delivery") for when in ("before", "after"))


def zone_of(world: World) -> Path:
    """A landing zone of the drill's own."""
    return world.home.path / "imported"


def write(zone: Path, rows: int) -> None:
    """Deliver so many rows for the day, instead of what is there."""
    names = [column.name for column in landing_contract(SOURCE).delivered]
    table = pa.table({name: [f"{name} {row}" for row in range(rows)] for name in names})
    deliver(zone, [History(SOURCE, table, np.full(rows, np.datetime64(DAY)))], Days.one(DAY), replace=True)


def kill_imports(kills: Kills) -> None:
    """Kill an import at each of its points, and import again."""
    from chaos.kills import arm, clear

    zone = zone_of(kills.world)
    for point in POINTS:
        began = time.monotonic()
        shutil.rmtree(zone, ignore_errors=True)
        write(zone, OLD_ROWS)
        arm(kills.folder, point, "", "kill")
        code = kills.started("import", "killed").wait()
        problems = [] if code == -signal.SIGKILL else [f"ended with {code} and was not killed: {kills.log('import')}"]
        kills.figures.kills += code == -signal.SIGKILL
        kills.figures.points |= {point}
        if (found := _rows(zone)) not in {None, OLD_ROWS, NEW_ROWS}:
            problems.append(f"a delivery of {found} rows is said to be complete")
        clear(kills.folder)
        kills.figures.to_heal += 1
        if kills.started("import", "again").wait() or _rows(zone) != NEW_ROWS:
            problems.append(f"imported again, the delivery has {_rows(zone)} rows and not {NEW_ROWS}")
        if left := [path.name for path in zone.iterdir() if path.is_dir() and path.name.startswith(".")]:
            problems.append(f"{', '.join(left)} is left in the landing zone")
        kills.figures.healed += not problems
        kills.figures.over(f"import killed {point}", problems, time.monotonic() - began)


def _rows(zone: Path) -> int | None:
    """Rows of the delivery; None where it is not said to be complete."""
    landing = LandingZone(str(zone))
    if not landing.is_complete(SOURCE, DAY):
        return None
    (delivery,) = landing.deliveries(landing_contract(SOURCE), Days.one(DAY))
    return sum(file.rows for file in delivery.files)
