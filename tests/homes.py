"""
Folders for platforms of tests, none of which outlives the run of pytest: not its processes, and not its data.

Workers that run tests side by side (pytest-xdist) are killed when somebody interrupts the run. So the process that started
them looks for what they have left.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rekindle import platform


@dataclass
class Homes:
    """The homes of a run: a worker gives its own the same `beginning` of a name as who started it."""

    # A blank in the path, because people's paths have them.
    beginning: str = f"rekindle tests {os.getpid()} "

    def new(self) -> Path:
        """Make a folder for a platform."""
        return Path(tempfile.mkdtemp(prefix=self.beginning))

    def delete_all(self) -> None:
        """Stop and delete each platform of this run that is still there."""
        for home in Path(tempfile.gettempdir()).glob(f"{self.beginning}*"):
            if (home / "secrets.json").exists():
                platform.delete(home)


HOMES = Homes()
