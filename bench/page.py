"""docs/speed.md, docs/scale.md: the table of the last whole run, between two marks; people have written what stands around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import machine
from bench.measured import HEADS
from quality.commit import commit
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.measured import Measured

SPEED, SCALE = (PROJECT / "docs" / f"{name}.md" for name in ("speed", "scale"))
BEGINS, ENDS = "<!-- measured -->\n", "<!-- end of what was measured -->\n"


def line(one: Measured) -> str:
    """A line for people who watch."""
    return " | ".join(cell for cell in one.cells if cell)


def write(path: Path, found: Sequence[Measured], failed: Sequence[str], loads: Sequence[str], minutes: float) -> None:
    """Write the table where the last one stands."""
    before, rest = path.read_text(encoding="utf-8").split(BEGINS)
    _, after = rest.split(ENDS)
    path.write_text(f"{before}{BEGINS}{text(found, failed, loads, minutes)}{ENDS}{after}", encoding="utf-8")


def text(found: Sequence[Measured], failed: Sequence[str], loads: Sequence[str], minutes: float) -> str:
    table = [HEADS, ("---",) * len(HEADS), *(one.cells for one in found)]
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    not_measured = f"Could not be measured: {', '.join(failed)}.\n\n" if failed else ""
    return (
        f"Measured in {minutes:.0f} minutes, on the code of {commit()}; {machine.told()}. Processes that wanted a core, "
        f"on average over 1, 5 and 15 minutes, before each piece and at the end: {'; '.join(loads)}.\n\n{not_measured}{rows}\n"
    )
