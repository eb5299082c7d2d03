"""
A made-up product, source and feature, laid over a copy of the checkout: what adding one takes, file by file.

Each folder holds the files of one addition, where they would stand in the checkout. A feature changes lines of two files.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from rekindle.settings import PROJECT

HERE = Path(__file__).parent
ADDITIONS = ("product", "label", "table", "source")

FEATURE = {
    "contracts/features.user.yml": (
        "  refund_amount_{w}d:\n",
        (
            "  refunded_dates_{w}d: {for: [90], type: bigint, between: [0, w], empty: 0, is: Dates with a refund., "
            'unit: date with a refund, says: "{value} within {w}"}\n'
        ),
    ),
    "spark_jobs/features/user.py": (
        '    "refund_amount_{w}d": _total("refund_amount"),\n',
        (
            '    "refunded_dates_{w}d": lambda near: F.count_distinct('
            'F.when(near & (F.col("refund_amount") > 0), F.col("activity_on"))),\n'
        ),
    ),
}
"""By file: the line that the new one is put before, and the new one."""


def files_of(addition: str) -> set[str]:
    """The files that an addition adds or changes, as paths in the checkout."""
    if addition == "feature":
        return set(FEATURE)
    found = (path.relative_to(HERE / addition) for path in (HERE / addition).rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def copy_of_the_checkout(target: Path) -> Path:
    """Copy what git would commit, and lay all additions over it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, target / name)
    for addition in ADDITIONS:
        shutil.copytree(HERE / addition, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, line) in FEATURE.items():
        text = (target / name).read_text()
        assert text.count(before) == 1, f"{name} has no single line {before!r}: say where the made-up line goes."
        (target / name).write_text(text.replace(before, line + before))
    return target
