"""MovieLens 100k in RecBole's form; each rating is an interaction, whatever it says."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from ml.recommendation import Items, Known, Users
from rekindle.settings import PROJECT

FOLDER = Path(os.environ.get("REKINDLE_DATA", PROJECT.parent / "shared" / "data")) / "growth"
SECONDS_A_DAY = 86_400
YEARS_A_BAND = 10


def movielens(folder: Path = FOLDER) -> Known:
    """Read the three files."""
    rows = _read(folder / "ml-100k.inter")
    items, users = _read(folder / "ml-100k.item"), _read(folder / "ml-100k.user")
    return Known.of(
        [row["user_id"] for row in rows],
        [row["item_id"] for row in rows],
        [float(row["timestamp"]) / SECONDS_A_DAY for row in rows],
        items=Items.of([row["item_id"] for row in items], [row["class"].split() for row in items]),
        users=Users.of(
            [row["user_id"] for row in users],
            age_band=[str(int(row["age"]) // YEARS_A_BAND * YEARS_A_BAND) for row in users],
            gender=[row["gender"] for row in users],
            occupation=[row["occupation"] for row in users],
        ),
    )


def _read(path: Path) -> list[dict[str, str]]:
    """Each column without its type, which stands behind a colon."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = [name.partition(":")[0] for name in next(lines)]
        return [dict(zip(names, line, strict=True)) for line in lines]
