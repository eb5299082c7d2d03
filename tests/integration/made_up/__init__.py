"""
A made-up product, source, feature and more, laid over a copy of the checkout: what adding one takes, file by file.

Each folder holds the files of one addition, where they would stand in the checkout. Others change lines of files that are there.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from rekindle.settings import PROJECT

HERE = Path(__file__).parent
ADDED = ("product", "learner", "objective", "label", "table", "source", "DAG")

CHANGED = {
    "feature": {
        "contracts/features.user.yml": (
            "  refund_amount_{w}d:\n",
            (
                "  refunded_dates_{w}d: {for: [90], type: bigint, between: [0, w], empty: 0, is: Dates with a refund., "
                'unit: date with a refund, says: "{value} within {w}"}\n'
            ),
        ),
        "spark_jobs/features/user.py": (
            '    "refund_amount_{w}d": _money("refund_amount"),\n',
            (
                '    "refunded_dates_{w}d": lambda times: F.count_distinct('
                'F.when((times > 0) & (F.col("refund_amount") > 0), F.col("activity_on"))),\n'
            ),
        ),
    },
    "published column": {
        "contracts/scores.recall_daily.yml": (
            "    lapsed_days: {type: integer}\n",
            "    raw_score: {type: double precision}\n",
        ),
        "docs/for-sms-tools.md": (
            "| `lapsed_days` |",
            "| `raw_score` | recall | The score before calibration, in log-odds. |\n",
        ),
    },
    "mart column": {
        "dbt_project/models/marts/training/recall_population.sql": (
            "        recency_days as lapsed_days\n",
            "        floor(recency_days / 7) as lapsed_weeks,\n",
        ),
        "dbt_project/models/marts/training/recall_population.yml": (
            "      - {name: lapsed_days, data_type: int,",
            "      - {name: lapsed_weeks, data_type: bigint, description: Whole weeks since the last active day.}\n",
        ),
    },
}
"""By addition and file: how the line begins that the new one is put before, and the new one."""


def files_of(addition: str) -> set[str]:
    """The files that an addition adds or changes, as paths in the checkout."""
    if addition in CHANGED:
        return set(CHANGED[addition])
    found = (path.relative_to(HERE / addition) for path in (HERE / addition).rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def copy_of_the_checkout(target: Path, *, tests: bool = False) -> Path:
    """Copy what git would commit, of the tests if they are asked for, and lay all additions over it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file() and (tests or not name.startswith("tests/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, target / name)
    for addition in ADDED:
        shutil.copytree(HERE / addition, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for changes in CHANGED.values():
        for name, (before, line) in changes.items():
            text = (target / name).read_text()
            assert text.count(f"\n{before}") == 1, (
                f"{name} has no single line {before!r}: say where the made-up line goes."
            )
            (target / name).write_text(text.replace(f"\n{before}", f"\n{line}{before}"))
    return target
