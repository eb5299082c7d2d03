"""`python -m quality [CHECK …]`: run the checks, all or those named; exit code 1 if one does not hold, 2 if there is none."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
import traceback

from quality import checks


def names() -> list[str]:
    """Each file in quality/checks is a check."""
    return sorted(module.name for module in pkgutil.iter_modules(checks.__path__))


def run(name: str) -> bool:
    """Run a check and print what it measured; one that cannot run does not hold."""
    module, begun, held = importlib.import_module(f"quality.checks.{name}"), time.monotonic(), []
    print(f"{name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
    try:
        for figure in module.figures(1.0):
            print(figure.line(), flush=True)
            held.append(figure.holds)
    except Exception:  # noqa: BLE001 - the other checks are still to be run
        traceback.print_exc()
        held.append(False)
    if not held:
        print("  FAIL  measured nothing")
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return bool(held) and all(held)


def main(wanted: list[str]) -> int:
    """Run what is wanted, or everything."""
    if unknown := set(wanted) - set(names()):
        print(f"There is no check {', '.join(sorted(unknown))}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    results = {name: run(name) for name in wanted or names()}
    failed = [name for name, holds in results.items() if not holds]
    print(
        f"{len(results) - len(failed)} of {len(results)} checks hold.",
        *([f"Not: {', '.join(failed)}."] if failed else []),
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
