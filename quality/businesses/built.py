"""
Building a business: `python -m quality.businesses.built NAME FOLDER`, in a process and on a platform of its own.

What is asked for are samples: the rows that a training as of the last day would learn from, as Parquet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from quality.businesses.declared import BUSINESSES, PRODUCTS
from quality.businesses.digest import digest_of
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from ml.training.samples import Sample
    from quality.businesses.declared import Business

KEPT = PROJECT / ".quality"

LOG = "built.log"


def landing_of(business: Business) -> Path:
    """Return the folder of its deliveries, which stay."""
    return folder_of(business) / "landing"


def folder_of(business: Business) -> Path:
    """Return the folder that its rows are kept in: another for each state of the code that makes them."""
    return KEPT / business.name / digest_of(business)


def build(business: Business) -> None:
    """
    Build a business unless it is there; of earlier states of the code nothing is kept.

    Raises RuntimeError where it cannot be built, with the log that says why.
    """
    folder = folder_of(business)
    if (folder / "done").exists():
        return
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {**os.environ, "REKINDLE_HOME": str(folder / "home"), "REKINDLE_LANDING": str(folder / "landing")}
    environment |= {"REKINDLE_CURRENCY": business.currency} if business.currency else {}
    with (folder / LOG).open("wb") as log:
        command = [sys.executable, "-m", __name__, business.name, str(folder)]
        done = subprocess.run(command, cwd=PROJECT, env=environment, stdout=log, stderr=log, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{business.name} could not be built: see {(folder / LOG).relative_to(PROJECT)}")
    (folder / "done").touch()


def sample_of(business: Business, product_name: str) -> Sample | None:
    """Read a sample; None where its history was too short for one."""
    from ml.products import product_named
    from ml.training.samples import Sample

    path, product = folder_of(business) / f"{product_name}.parquet", product_named(product_name)
    if not path.exists():
        return None
    about, totals = json.loads(path.with_suffix(".json").read_text()), _totals_beside(path)
    targets, rows = product.targets(settings()), pq.read_table(path)
    day, kept_out = date.fromisoformat(about["day"]), tuple(about["kept_out"])
    return Sample(
        product_name,
        day,
        targets,
        rows,
        about["snapshots"],
        about["user_share"],
        kept_out,
        totals=pq.read_table(totals) if totals.exists() else None,
    )


def _totals_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_totals.parquet")


def main(name: str, folder: Path) -> None:
    """Fill, build the history, write the samples, and delete the platform."""
    from rekindle import platform

    business = next(one for one in BUSINESSES if one.name == name)
    home = settings().home
    platform.up(home)
    try:
        days = business.fill()
        _write_samples(days.first, days.last, folder)
    finally:
        platform.delete(home)


def _write_samples(first: date, last: date, folder: Path) -> None:
    from ml.products import product_named
    from ml.training import samples
    from rekindle.days import Days
    from rekindle.errors import CheckFailedError
    from rekindle.progress import SILENT
    from rekindle.warehouse.spark import session
    from rekindle.workflow import backfill

    print(backfill.build(Days.between(first, last), None, print, SILENT, score=False).text, flush=True)
    spark = session()
    for name in PRODUCTS:
        try:
            # What is read from a file again is rows alone, so they are a plain sample.
            sample = samples.sample(spark, product_named(name), last, settings(), to_learn=False)
        except CheckFailedError as error:
            print(f"{name}: {error}", flush=True)
            continue
        about = {"day": last.isoformat(), "user_share": sample.user_share, "kept_out": sample.kept_out}
        path = folder / f"{name}.parquet"
        pq.write_table(sample.rows, path)
        if sample.totals is not None:
            pq.write_table(sample.totals, _totals_beside(path))
        path.with_suffix(".json").write_text(json.dumps(about | {"snapshots": dict(sample.snapshots)}))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
