"""What the drills have counted, and the promises that were broken."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Figures:
    """Of all drills of a run; each is one line when it is over."""

    drills: int = 0
    kills: int = 0
    by_scheduler: int = 0
    points: set[str] = field(default_factory=set)
    full_disks: int = 0
    reads: int = 0
    torn: int = 0
    lost: int = 0
    doubled: int = 0
    to_heal: int = 0
    healed: int = 0
    broken: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def over(self, drill: str, problems: list[str], seconds: float) -> None:
        """Tell what came of a drill."""
        self.drills += 1
        self.broken += [f"{drill}: {problem}" for problem in problems]
        print(f"{'BROKEN' if problems else 'kept  '}  {drill:<64} {seconds:6.1f} s", flush=True)
        for problem in problems:
            print(f"        {problem}", flush=True)

    def skip(self, what: str, why: str) -> None:
        """Say by name what was not tried."""
        self.skipped.append(what)
        print(f"skipped {what}: {why}", flush=True)

    @property
    def line(self) -> str:
        share = f"{self.healed / self.to_heal:.0%}" if self.to_heal else "-"
        return (
            f"{self.kills} kills at {len(self.points)} named points and at random, {self.by_scheduler} of them under Airflow's "
            f"scheduler; {self.full_disks} full disks; {self.reads:,} reads, {self.torn} torn; {self.lost} rows lost, "
            f"{self.doubled} doubled; {share} of {self.to_heal} healed by a re-run; {len(self.broken)} promises broken, "
            f"{len(self.skipped)} drills skipped; {(time.monotonic() - self.began) / 60:.1f} minutes, simulated users."
        )
