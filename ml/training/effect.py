"""
What a message changes for whom, from a business's own campaigns that were assigned by lot.

Reads:  campaigns.assignment, marts.labels, and the product's population and features of the last day before each assignment

The trial is of whoever was a member of the population when they were assigned: all of it was known before the lots were
drawn. A campaign whose control has not its planned size counts for nothing, as in what sms.audience says of all. What is
learnt and what may be published of it is ml.uplift's; here is what it is learnt from, and what is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ml import inputs
from ml.model.encoder import Dense
from ml.model.uplift import Uplift
from ml.training import samples
from ml.training.strata import BUCKETS
from ml.uplift import Trial, learning
from rekindle.days import Days
from rekindle.experiments import sample_ratio
from rekindle.warehouse import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from ml.model.protected import Protected
    from ml.products import Product
    from ml.training.samples import Sample
    from ml.uplift.learning import Learnt

ASSIGNMENT = "campaigns.assignment"

KINDS = ("planned", "elsewhere")
"""Of assignments. The global holdout says what all messages do together, from the first on, and not what one does."""

LOOKED_BACK_DAYS = 364
"""Campaigns whose outcome became known within a year are learnt from, those that sms.audience takes the mean of."""

MIN_CLUSTERS = 100
"""In each arm of a campaign, as there: with fewer its control has no size to speak of."""

FACTS = ("campaign", "cluster", "is_control", "probability", "return_probability", "outcome")

NONE = "No user has an uplift of their own:"


@dataclass(frozen=True)
class Assigned:
    """Who was assigned by lot, a row per campaign and user, in order."""

    facts: pa.Table
    """The columns of `FACTS`; the outcome as it came."""
    features: pa.Table
    """The same rows: day, user_id, and what was known at the end of that day."""
    snapshot: int | None
    """Of the assignments, None of a table that nothing was ever written to."""

    @classmethod
    def nobody(cls, snapshot: int | None) -> Self:
        return cls(pa.table({name: pa.array([], pa.string()) for name in FACTS}), pa.table({}), snapshot)


@dataclass(frozen=True)
class Taught:
    """What campaigns have taught."""

    learnt: Learnt | None
    """None where no campaign is large enough, or none is believed."""
    uplift: Uplift | None
    """What scores; None where a user's own cannot be told."""
    campaigns: int
    """Those that were learnt from."""
    not_believed: int
    """Those whose control has not its planned size."""
    snapshot: int | None

    @property
    def told(self) -> str:
        """Say for people whether users have an uplift of their own, and why."""
        if self.learnt is None:
            refused = f" Not believed, for their controls have not the planned size: {self.not_believed}."
            return f"{NONE} no campaign tells of it.{refused if self.not_believed else ''}"
        worth = self.learnt.judged.worth if self.learnt.judged else None
        of = f"{sum(self.learnt.users.values()):,} assignments by lot (campaigns: {self.campaigns})"
        if not self.learnt.checks.is_believed:
            return f"{NONE} of {of} the arms are not what lots make."
        if not self.learnt.chosen:
            return f"{NONE} {of} are too few to learn from."
        if worth is None:
            return f"{NONE} in {of} no learner did better than the same effect for everybody."
        qini = f"{worth.qini.value:.4f} [{worth.qini.low:.4f}, {worth.qini.high:.4f}]"
        if self.uplift is None:
            return f"{NONE} in {of} the Qini of whom a message moves is {qini}, which includes 0."
        return f"Each user has an uplift of their own, learnt from {of}: its Qini is {qini}."

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it, without the models: those are in the model's own file."""
        learnt = {name: told for name, told in self.learnt.to_json().items() if name != "model"} if self.learnt else {}
        return {"campaigns": self.campaigns, "not_believed": self.not_believed, "says": self.told, **learnt}


def taught(assigned: Assigned, protected: Protected) -> Taught:
    """Learn from the campaigns that are large enough and believed."""
    facts = assigned.facts
    campaign, treated = _array(facts, "campaign"), ~_array(facts, "is_control").astype(bool)
    sizes = {name: _sizes(facts, campaign == name, treated) for name in np.unique(campaign)}
    large = {name: size for name, size in sizes.items() if min(size.values()) >= MIN_CLUSTERS}
    planned = {name: _planned(facts, campaign == name, treated) for name in large}
    kept = [name for name, size in large.items() if _is_believed(size, planned[name])]
    refused = len(large) - len(kept)
    if not kept:
        return Taught(None, None, 0, refused, assigned.snapshot)
    rows = np.flatnonzero(np.isin(campaign, kept))
    features = assigned.features.take(rows)
    encoder = Dense.fit(features, leave_out=protected.kept_out_of(features))
    trial = Trial.of(
        encoder.features,
        encoder.encode(features),
        treated[rows],
        _array(facts, "outcome")[rows],
        cluster=_array(facts, "cluster")[rows].astype(str),
        campaign=campaign[rows].astype(str),
        # In a campaign of which nothing was known before, all have the same, and nothing is taken out.
        covariate=np.nan_to_num(_array(facts, "return_probability").astype(np.float64)[rows]),
    )
    found = learning.learn(trial, [planned[name] for name in kept])
    uplift = None
    if found.status == "modelled" and found.judged:
        uplift = Uplift(encoder, found.judged.effects, found.judged.line)
    return Taught(found, uplift, len(kept), refused, assigned.snapshot)


def _array(rows: pa.Table, name: str) -> np.ndarray:
    return rows[name].to_numpy()


def _sizes(facts: pa.Table, inside: np.ndarray, treated: np.ndarray) -> dict[str, int]:
    cluster = _array(facts, "cluster")
    arms = {"treated": inside & treated, "control": inside & ~treated}
    return {name: len(set(cluster[chosen])) for name, chosen in arms.items()}


def _planned(facts: pa.Table, inside: np.ndarray, treated: np.ndarray) -> float | None:
    """Return the planned share of all that were to be treated, in however many arms; None where nobody has said."""
    control = _array(facts, "probability")[inside & ~treated].astype(np.float64)
    return None if np.isnan(control).any() else 1 - float(control.max())


def _is_believed(sizes: Mapping[str, int], planned: float | None) -> bool:
    shares = {"treated": planned, "control": 1 - planned} if planned else None
    return shares is None or sample_ratio(sizes, shares).verdict != "alarm"


def read(spark: SparkSession, product: Product, sample: Sample) -> Assigned:
    """Read who was assigned, and what came of it within the window of the target, by what the sample knew and as it read it."""
    from pyspark.sql import functions as F

    (target,), day = sample.targets, sample.day
    snapshots = {**sample.snapshots, ASSIGNMENT: tables.snapshot_id(spark, ASSIGNMENT)}
    known_within = F.col("day").between(F.lit(day - timedelta(LOOKED_BACK_DAYS)), F.lit(day))
    by_lot = samples.as_read(spark, ASSIGNMENT, snapshots[ASSIGNMENT]).where(known_within & F.col("kind").isin(*KINDS))
    days = tuple(row.feature_day for row in by_lot.select("feature_day").distinct().orderBy("feature_day").collect())
    if not days:
        return Assigned.nobody(snapshots[ASSIGNMENT])

    def of_days(table: str) -> DataFrame:
        return samples.as_read(spark, table, snapshots[table]).where(tables.day_in(Days(days)))

    labels = samples.as_read(spark, samples.LABELS, snapshots[samples.LABELS])
    came = labels.where(known_within & (F.col("label") == target.label))
    # A row for each label that is completed; the day of this one's label picks one of them.
    assigned = (
        by_lot.join(came.withColumnRenamed("value", "outcome"), ["day", "feature_day", "user_id"])
        .withColumn("campaign", F.concat_ws(" ", "kind", "campaign_id"))
        .select(*FACTS, F.col("feature_day").alias("day"), "user_id")
    )
    members = assigned.join(of_days(product.population), ["day", "user_id"], "left_semi")
    members = _drawn(members.join(samples.objecting(spark, day), "user_id", "left_anti"))
    features = inputs.with_features(product, members.select("day", "user_id").distinct(), of_days)
    rows = members.join(features, ["day", "user_id"]).toArrow()
    rows = rows.sort_by([("campaign", "ascending"), ("user_id", "ascending"), ("day", "ascending")])
    return Assigned(rows.select(FACTS), rows.drop_columns(list(FACTS)), snapshots[ASSIGNMENT])


def _drawn(members: DataFrame) -> DataFrame:
    """Draw as many rows as a sample may have, by a hash of the cluster: who was assigned as one stays together."""
    share = min(1.0, samples.MAX_ROWS / max(1, members.count()))
    return members.where(f"pmod(xxhash64('trial', cluster), {BUCKETS}) < {round(share * BUCKETS)}")
