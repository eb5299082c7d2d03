"""
Erasure: a person is removed everywhere, and what is held on one is told.

In this order, each step done twice being done once, so that whoever was killed begins again: permission is taken away and
deliveries are dropped; phones that said stop are kept as HMACs; files are masked; each table of the warehouse is cleaned,
upstream first; Postgres is; tools are told. Several people cost one rewrite a table, not one each.

What stays, and for how long, says docs/privacy.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.erasure import database, files, people, personal, warehouse
from rekindle.erasure.database import delete_old_histories
from rekindle.erasure.held import held
from rekindle.errors import InputError
from rekindle.landing import tombstones
from rekindle.points import durable
from rekindle.progress import SILENT
from rekindle.settings import settings
from rekindle.warehouse import tags
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from pyspark.sql import SparkSession

    from rekindle.erasure.people import People
    from rekindle.erasure.personal import Holding
    from rekindle.progress import Progress

    LearntFrom = Callable[[SparkSession, Collection[str]], Sequence[Mapping[str, Any]]]
    """Which versions of models have learnt from some users: given by who knows models."""

__all__ = ["Erased", "delete_old_histories", "erase", "erase_pending", "forget", "held"]

OPT_OUTS = "permission.opt_outs"
"""Where the warehouse keeps which phones have said stop."""
WITHDRAWALS = "raw.consents"


@dataclass(frozen=True)
class Erased:
    """What an erasure did."""

    user_count: int
    run_id: str
    removed_rows: Mapping[str, int] = field(default_factory=dict)
    """By table, of those that had any."""
    masked_files: Mapping[str, int] = field(default_factory=dict)
    """By folder of the home."""
    kept_opt_outs: int = 0
    models: Sequence[Mapping[str, Any]] = ()
    """Versions that have learnt from the people, and can no longer be made again as they were."""
    forgotten: int = 0
    """People whose days in the feed are over: nothing names them any more."""

    def counts(self) -> dict[str, int]:
        """How many people were erased, and forgotten, and of how many rows."""
        removed = sum(self.removed_rows.values())
        return {"erased people": self.user_count, "their rows": removed, "forgotten people": self.forgotten}

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def erase(
    spark: SparkSession,
    user_ids: Collection[str],
    *,
    at: datetime | None = None,
    learnt_from: LearntFrom | None = None,
    progress: Progress = SILENT,
) -> Erased:
    """
    Erase people everywhere. `at` is Postgres' time where it is not given.

    Raises InputError, before anything is done, where an id is empty or there is no key to know them by later.
    """
    ids = {user_id.strip(tombstones.BLANKS) for user_id in user_ids}
    if not ids or not all(ids):
        raise InputError(
            "Nobody is named who is to be erased.",
            todo="Name users by their ids.",
            safe="Nothing was done.",
            code="usage",
        )
    key = tombstones.key()
    with records.own_run("erasure", Days.one(postgres.today())) as run_id:
        return _erase(spark, ids, at, key=key, run_id=run_id, learnt_from=learnt_from, progress=progress)


def erase_pending(
    spark: SparkSession, *, at: datetime | None = None, learnt_from: LearntFrom | None = None
) -> Erased | None:
    """
    Erase all who have asked, and whoever was erased and is there again; forget those whose days in the feed are over.

    There again is somebody whose delivery was being loaded while they were erased. Returns None where nothing was to be done.
    """
    run_id = records.new_run_id()
    asked = database.asked()
    pending = {one.user_id for one in asked if not one.is_done}
    done = {one.user_id for one in asked if one.is_done}
    if done and (database.are_there(done) or _are_there(spark, done)):
        pending |= done
    erased = erase(spark, pending, at=at, learnt_from=learnt_from) if pending else None
    forgotten = database.forget(at, run_id)
    if erased is None and not forgotten:
        return None
    told = erased or Erased(0, run_id)
    return Erased(**{**vars(told), "forgotten": forgotten})


def forget(at: datetime | None = None) -> int:
    """Delete what still names people whose days in the feed are over; returns how many they were."""
    return database.forget(at, records.new_run_id())


def _erase(
    spark: SparkSession,
    ids: Collection[str],
    at: datetime | None,
    *,
    key: str,
    run_id: str,
    learnt_from: LearntFrom | None,
    progress: Progress,
) -> Erased:
    with progress.step("taking permission away"), durable("beginning of an erasure"):
        began = database.begin(ids, at, run_id)
    holdings = personal.in_warehouse(spark)
    with progress.step("looking for their phones and devices"):
        found = people.find(spark, holdings, ids, key, database.remembered(ids))
        database.remember(found)
        found.show(spark)
        with durable("opt-outs of the erased"):
            kept = database.keep_opt_outs(found, _closed(spark, holdings), began)
            database.log(ids, "opt-outs", {"kept": kept})
    learnt = [dict(model) for model in learnt_from(spark, ids)] if learnt_from else []
    database.log(ids, database.MODELS, {"learnt_from": learnt})
    models = database.models_of(ids)
    with progress.step("masking files"), durable("masked files"):
        masked = files.mask(settings().home, found.texts)
        database.log(ids, "files", masked)
    removed: dict[str, int] = {}
    tagged = tags.wanted()
    with progress.step("cleaning tables", total=len(holdings)) as step:
        for holding in holdings:
            with durable("cleaned table", holding.table):
                done = warehouse.clean(spark, holding, tagged.get(holding.table, {}))
            removed[holding.table] = done.removed_rows + done.blanked_texts
            database.log(ids, f"table {holding.table}", done.to_json())
            step.advance()
    with progress.step("cleaning Postgres"):
        with durable("cleaned Postgres"):
            removed |= database.clean(found, run_id)
        removed = {table: count for table, count in removed.items() if count}
        with durable("end of an erasure"):
            database.finish(ids, {"removed_rows": removed}, run_id)
    return Erased(len(ids), run_id, removed, masked, kept, models)


def _closed(spark: SparkSession, holdings: Collection[Holding]) -> set[str]:
    """HMACs of the people's phones of which the warehouse knows that they must not be texted."""
    there = {holding.table for holding in holdings}
    closed: set[str] = set()
    if OPT_OUTS in there:
        said = spark.table(f"{CATALOG}.{OPT_OUTS}").where(f"phone_hmac in (select phone_hmac from {people.PHONES})")
        closed |= {row[0] for row in said.select("phone_hmac").distinct().collect()}
    withdrawn = spark.table(f"{CATALOG}.{WITHDRAWALS}").where(
        f"action = 'withdraw' and user_id in (select user_id from {people.IDS})"
    )
    if withdrawn.limit(1).count():
        # Which of their numbers was meant, nobody asks any more: none of them is texted because its next holder grants.
        closed |= {row[0] for row in spark.table(people.PHONES).collect()}
    return closed


def _are_there(spark: SparkSession, ids: Collection[str]) -> bool:
    """Whether a table holds anything of people who were erased."""
    who: People = database.remembered(ids)
    who.show(spark)
    return any(warehouse.rows_of(spark, holding) for holding in personal.in_warehouse(spark) if holding.of("id"))
