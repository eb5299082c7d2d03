"""
Tags: snapshots that models have learnt from and that stay readable for longer than others.

Only those of versions that were in office within the last quarter: whoever asks why a model scored as it did asks while it does.
An erasure ends that, by name: what it leaves of such a snapshot is no longer what the model has learnt from.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import postgres, records
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from pyspark.sql import SparkSession

    from rekindle.records import Gate, Promotion

QUARTER = timedelta(weeks=13)
"""For so long after a version has left office its tags stay."""

AFTER_ERASURE = "_after_erasure"
"""Ends the name of a tag whose snapshot has lost somebody."""


def wanted() -> dict[str, dict[str, int]]:
    """By table the tags of versions in office within the last quarter, and the snapshot that each has learnt from."""
    since = postgres.today() - QUARTER
    found: dict[str, dict[str, int]] = {}
    for product in records.promoted_products():
        promoted, gates = in_office(records.promotions(product), since), records.gates(product)
        for version, run_id in learnt_in(promoted, gates).items():
            for table, (snapshot, *_) in records.snapshots(run_id).items():
                found.setdefault(table, {})[f"{product}_{version}"] = snapshot
    return found


def learnt_in(promoted: Iterable[Promotion], gates: Mapping[str, Gate]) -> dict[str, str]:
    """
    By version the run that it was trained in; of a calibration anew also that of the version whose raw scores it has.

    Who promotes by hand has read no sample, so it is not always the run of the promotion.
    """
    found = {}
    for promotion in promoted:
        gate = gates.get(promotion.version)
        found[promotion.version] = (gate and gate.run_id) or promotion.run_id
        root = gates.get(gate.recalibrates) if gate and gate.recalibrates else None
        if root and root.run_id:
            found[root.version] = root.run_id
    return found


def in_office(promotions: list[Promotion], since: date) -> list[Promotion]:
    """
    The promotions of a product's versions that were in office at some time since a day; the last one still is.

    A step back brings a version into office whose own promotion tells what it has learnt from.
    """
    ends = [promotion.promoted_at.date() for promotion in promotions[1:]]
    left = {p.version for p, end in zip(promotions, ends, strict=False) if end >= since}
    left |= {p.version for p in promotions[-1:]}
    return [p for p in promotions if p.version in left and p.reason != records.ROLLBACK]


def keep(spark: SparkSession, table: str, wanted: Mapping[str, int]) -> int:
    """Tag the wanted snapshots of a table as far as they are there, and drop all other tags; returns how many were dropped."""
    name = f"{CATALOG}.{table}"
    tags = {row["name"] for row in spark.sql(f"SELECT name FROM {name}.refs WHERE type = 'TAG'").collect()}
    over = [tag for tag in tags if tag.removesuffix(AFTER_ERASURE) not in wanted]
    for tag in over:
        spark.sql(f"ALTER TABLE {name} DROP TAG IF EXISTS `{tag}`")
    missing = {tag: snapshot for tag, snapshot in wanted.items() if not {tag, f"{tag}{AFTER_ERASURE}"} & tags}
    there = {row[0] for row in spark.sql(f"SELECT snapshot_id FROM {name}.snapshots").collect()} if missing else set()
    for tag, snapshot in missing.items():
        if snapshot in there:
            spark.sql(f"ALTER TABLE {name} CREATE TAG `{tag}` AS OF VERSION {snapshot}")
    return len(over)


def keep_what_is_left(spark: SparkSession, table: str, wanted: Mapping[str, int]) -> None:
    """Tag what an erasure has left of a table, for the versions whose tags it had to drop."""
    for tag in wanted:
        spark.sql(f"ALTER TABLE {CATALOG}.{table} CREATE TAG IF NOT EXISTS `{tag}{AFTER_ERASURE}`")
