"""
`python -m bench [PIECE …]`: how fast it is beside what a user would pick instead, as a table that docs/speed.md keeps.

Ratios are of one run. Without pieces all are measured that take an hour together; `million` is not among them, and writes
docs/scale.md. Each builds what it needs in `.bench/`.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback

from bench import machine, page
from bench.world import learned

WITHIN_AN_HOUR = "shop", "scoring", "publishing", "days", "answers", "features"
MILLION = ("million",)
PIECES = WITHIN_AN_HOUR + MILLION
PAGES = {WITHIN_AN_HOUR: page.SPEED, MILLION: page.SCALE}
"""Which page is written when just these were measured."""


def main(wanted: list[str]) -> int:
    """Measure what is wanted; exit code 1 if a limit is missed or something could not be measured."""
    if unknown := set(wanted) - set(PIECES):
        print(
            f"There is no piece {', '.join(sorted(unknown))}. Choose from: {', '.join(PIECES)}.",
            file=sys.stderr,
        )
        return 2
    measuring = tuple(wanted) or WITHIN_AN_HOUR
    found, failed, loads, began = [], [], [machine.load()], time.monotonic()
    for name in measuring:
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
    if path := PAGES.get(measuring):
        page.write(path, found, failed, loads, minutes)
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
