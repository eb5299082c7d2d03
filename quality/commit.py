"""Which code figures were measured on, for the pages that tell them."""

from __future__ import annotations

import subprocess

from rekindle.settings import PROJECT


def commit() -> str:
    """Name the commit, its day, and whether anything was changed since."""
    last = _git("log", "-1", "--format=%h of %cs")
    return f"{last}, with changes that are not committed" if _git("status", "--porcelain", "--", ":!docs") else last


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip()
