"""
`python -m bench [PIECE …]`: how fast it is beside what a user would pick instead, as a table that docs/speed.md keeps.

Ratios are of one run. Without pieces all are measured that take an hour together; each builds what it needs in `.bench/`.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback

from bench import machine, page
from bench.world import learned

PIECES = "shop", "scoring", "publishing", "days", "features"


def main(wanted: list[str]) -> int:
    """Measure what is wanted; exit code 1 if a limit is missed or something could not be measured."""
    if unknown := set(wanted) - set(PIECES):
        print(
            f"There is no piece {', '.join(sorted(unknown))}. Choose from: {', '.join(PIECES)}.",
            file=sys.stderr,
        )
        return 2
    found, failed, loads, began = [], [], [machine.load()], time.monotonic()
    for name in wanted or PIECES:
        piece = importlib.import_module(f"bench.pieces.{name}")
        print(f"{name}: {(piece.__doc__ or '').strip().splitlines()[0]}", flush=True)
        try:
            for one in piece.measured():
                found.append(one)
                print(f"  {page.line(one)}", flush=True)
        except Exception:  # noqa: BLE001 - the other pieces are still to be measured
            traceback.print_exc()
            failed.append(name)
        loads.append(machine.load())
    if learned.cache_info().currsize:
        learned().end()
    minutes = (time.monotonic() - began) / 60
    missed = [one for one in found if not one.holds]
    print(f"{len(found)} lines in {minutes:.1f} minutes, {len(missed)} missed, {len(failed)} pieces failed.")
    if not wanted:
        page.write(found, failed, loads, minutes)
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
