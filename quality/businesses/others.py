"""
Recipes of somebody else, who shares no code with us: a script that reads a landing folder and writes what it foretells.

It lies beside the checkout, or where REKINDLE_REFERENCE says; without it nothing is compared with it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.objectives import OBJECTIVES
from ml.training import backtest as testing
from ml.training.evaluation import Compared, paired
from quality.businesses import built
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from ml.training.backtest import Backtested, Block
    from ml.training.evaluation import Figure
    from ml.training.samples import Sample
    from quality.businesses.declared import Business

SCRIPT = Path(os.environ.get("REKINDLE_REFERENCE", PROJECT.parent / "shared" / "tools" / "reference.py"))

KEYS = ["day", "user_id"]

LIBRARIES = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""What their script learns with."""

UNREAD_WEEKS = 26
"""Before the test, that their script learns recall from where LTV is asked for: it does so unasked, and nobody reads it."""


class FailedError(Exception):
    """Their script has failed; what it said last."""


@dataclass(frozen=True)
class Beside:
    """Our model beside the recipe that their validation days choose, on the same rows of all blocks."""

    difference: Figure
    by_recipe: Mapping[str, float]
    """How each of their recipes ranks, as a mean over the blocks."""
    unmatched: int
    """Rows that only one of both has foretold."""


def foretold(business: Business, product: str, horizon: int, days: Sequence[date]) -> pa.Table | None:
    """
    Let the others foretell some days of a business that is built, having learnt from what was known before them.

    A row is a user, day and recipe. None where they found too little to learn from. Kept beside the business' rows, under a
    digest of what was asked and of whom: nothing of ours changes what they say. Raises FailedError where their script does.
    """
    asked = [product, horizon, *map(str, days), settings().lapse_days, settings().recall_horizon_days]
    versions = [version(name) for name in LIBRARIES]
    sha = hashlib.sha256(SCRIPT.read_bytes() + repr([asked, versions]).encode()).hexdigest()[:16]
    kept = built.folder_of(business) / "others" / f"{sha}.parquet"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            told = Path(folder) / "foretold.parquet"
            _ask(built.landing_of(business), product, horizon, days, told)
            if not told.exists():
                return None
            told.replace(kept)
    rows = pq.read_table(kept)
    return rows.filter(pc.and_(pc.equal(rows["task"], product), pc.equal(rows["horizon"], horizon)))


def _ask(landing: Path, product: str, horizon: int, days: Sequence[date], told: Path) -> None:
    """Let their script write what it foretells."""
    asked = told.with_name("days.txt")
    asked.write_text("\n".join(map(str, days)))
    command = [sys.executable, SCRIPT, landing, "--test-days", asked, "--predictions", told]
    command += ["--lapse", settings().lapse_days, "--horizons", settings().recall_horizon_days]
    if product == "ltv":
        command += ["--ltv", horizon, "--weeks", (max(days) - min(days)).days // 7 + UNREAD_WEEKS]
    else:
        command += ["--ltv", ""]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, check=False)  # noqa: S603 - theirs
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise FailedError(f"{SCRIPT.name} ended with {done.returncode} for {days[0]} to {days[-1]}: {''.join(last)}")


def of_drawn(theirs: pa.Table | None, sample: Sample) -> pa.Table | None:
    """Leave out users whom our sample has not drawn: the others learn from all, and are compared on whom both have judged."""
    if theirs is None or sample.user_share == 1:
        return theirs
    return theirs.filter(pc.is_in(theirs["user_id"], value_set=pc.unique(sample.rows["user_id"])))


def beside(found: Backtested, theirs: Sequence[pa.Table | None]) -> Beside | None:
    """Join what both foretell by day and user; blocks that the others could not learn for are left out."""
    figures = OBJECTIVES[found.product.objective].figures
    metric = figures.ranking[figures.primary]
    compared: list[Compared] = []
    ranks: dict[str, list[float]] = {}
    unmatched = 0
    for block, rows in zip(found.blocks, theirs, strict=True):
        if rows is None or not rows.num_rows or not pc.any(rows["is_chosen"]).as_py():
            continue
        both = joined(block, rows.filter(rows["is_chosen"]))
        is_whole = pc.and_(pc.is_valid(both["ours"]), pc.is_valid(both["score"]))
        unmatched += both.num_rows - pc.sum(is_whole).as_py()
        whole = both.filter(is_whole)
        outcome, ours, score = (whole[name].to_numpy() for name in ("truth", "ours", "score"))
        compared.append(Compared(whole["user_id"].to_numpy(zero_copy_only=False), outcome, ours, score))
        for recipe in pc.unique(rows["recipe"]).to_pylist():
            of = rows.filter(pc.equal(rows["recipe"], recipe))
            ranks.setdefault(recipe, []).append(metric(of["outcome"].to_numpy(), of["score"].to_numpy()))
    if not compared:
        return None
    by_recipe = {recipe: float(np.mean(values)) for recipe, values in ranks.items()}
    return Beside(paired(metric, compared), by_recipe, unmatched)


def joined(block: Block, theirs: pa.Table) -> pa.Table:
    """Put what both say beside each other: `ours` and `truth`, `score` and `outcome`, null where one has no such row."""
    judged = block.judged[testing.MODEL]
    ours = (
        block.rows.select(KEYS)
        .append_column("ours", pa.array(judged.raw))
        .append_column("truth", pa.array(judged.outcome))
    )
    return _plain(ours).join(_plain(theirs.select([*KEYS, "score", "outcome"])), KEYS, join_type="full outer")


def _plain(rows: pa.Table) -> pa.Table:
    """Keys of one type on both sides."""
    keys = {"day": pa.date32(), "user_id": pa.string()}
    return pa.table({name: rows[name].cast(keys.get(name, rows[name].type)) for name in rows.column_names})
