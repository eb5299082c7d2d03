"""A day's facts as a base that tests change in the fields they are about, and scores to publish."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ml.products import product_named
from rekindle import publishing, records
from rekindle.days import Days
from rekindle.records import RecordedCheck, Run, Stage
from rekindle.report.facts import DayFacts, Freshness, ProductDay, Publish, Score, Spread, TopList, TopUser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DAY = date(2017, 6, 14)
YESTERDAY = DAY - timedelta(days=1)
MORNING = datetime(2017, 6, 15, 4, 5, tzinfo=UTC)
RUN_ID = "4f0c" * 8

REASONS = pa.list_(pa.struct([("feature", pa.string()), ("words", pa.string()), ("contribution", pa.float64())]))


def a_run(**fields: Any) -> Run:
    base = Run(RUN_ID, "daily", DAY, DAY, "done", MORNING, MORNING, None, None)
    return replace(base, **fields)


def a_stage(name: str, **fields: Any) -> Stage:
    return replace(Stage(RUN_ID, DAY, name, "done", 1.5, 10, {}, MORNING), **fields)


def ingestion(source: str, **figures: Any) -> Stage:
    base = {"delivered": 10, "loaded": 10, "duplicates": 0, "quarantined": 0, "warnings": {}}
    return a_stage(f"ingest {source}", detail=base | figures)


def a_check(**fields: Any) -> RecordedCheck:
    base = RecordedCheck(RUN_ID, DAY, "raw.orders", "amount is not null", "stop", "passed", None, {}, MORNING)
    return replace(base, **fields)


def a_score(**fields: Any) -> Score:
    today = Spread(DAY, 4, 0.5, tuple(n / 10 for n in range(1, 10)), (0, 1, 0, 3))
    before = Spread(YESTERDAY, 2, 0.25, today.deciles, (0, 1, 1, 0))
    base = Score("return_probability", "Calibrated.", "share", (0.0, 0.4, 0.8, 1.2), today, before)
    return replace(base, **fields)


def a_product(**fields: Any) -> ProductDay:
    base = ProductDay(
        "recall",
        "recall_scores",
        "The chance.",
        Publish(RUN_ID, MORNING, is_current=True),
        {YESTERDAY: 2, DAY: 4},
        (a_score(),),
    )
    return replace(base, **fields)


def a_user(user_id: str = "u1", **fields: Any) -> TopUser:
    base = TopUser(user_id, Decimal("0.931"), (("last active 9 days ago", "-0.35"),), {"ltv_90": Decimal("12.30")})
    return replace(base, **fields)


def facts(**fields: Any) -> DayFacts:
    """Return the facts of a good day."""
    base = DayFacts(
        day=DAY,
        run=a_run(),
        stages=(ingestion("orders"), a_stage("publish")),
        checks=(a_check(),),
        products=(a_product(),),
        top=TopList("recall", "return_probability", "share", (a_user(),)),
        freshness=(Freshness("recall_scores", DAY, 4, MORNING, MORNING + timedelta(days=1), "current"),),
        eligible_count=0,
        sources={"users": "state", "orders": "fact"},
        currency="USD",
        sample_notes=(),
        seen_at=MORNING,
    )
    return replace(base, **fields)


@pytest.fixture
def a() -> SimpleNamespace:
    """The makers of facts: each takes the fields that a test is about."""
    return SimpleNamespace(
        day=DAY,
        yesterday=YESTERDAY,
        run_id=RUN_ID,
        facts=facts,
        run=a_run,
        stage=a_stage,
        ingestion=ingestion,
        check=a_check,
        score=a_score,
        product=a_product,
        user=a_user,
        top=lambda *users: TopList("recall", "return_probability", "share", users),
    )


@pytest.fixture
def publish(database) -> Callable[..., str]:  # noqa: ARG001 - the scores are published there
    """
    Publish made-up scores for a day, `{user: probability}` and `{user: value in 90 days}`; returns the run's id.

    A return is worth half of that value.
    """

    def work(
        day: date, recall: dict[str, float], ltv: dict[str, Decimal], words: str = "last active 9 days ago"
    ) -> str:
        run_id = records.start_run("daily", Days.one(day))
        returning = _scores(day, run_id, list(recall), list(recall.values()), words) | {
            "return_probability": pa.array(list(recall.values()), pa.float64()),
            "lapsed_days": pa.array([9] * len(recall), pa.int32()),
            "horizon_days": pa.array([7] * len(recall), pa.int32()),
            **dict.fromkeys(("uplift", "uplift_low", "uplift_high"), pa.nulls(len(recall), pa.float64())),
        }
        money, count = pa.decimal128(18, 2), len(ltv)
        worth = _scores(day, run_id, list(ltv), list(ltv.values()), words) | {
            "ltv_30": pa.array([value / 2 for value in ltv.values()], pa.decimal128(20, 4)).cast(money, safe=False),
            "ltv_90": pa.array(list(ltv.values()), money),
            "ltv_365": pa.nulls(count, money),
            **{f"ltv_{n}_{end}": pa.nulls(count, money) for n in (30, 90, 365) for end in ("low", "high")},
            **dict.fromkeys(("purchase_probability", "p_alive"), pa.nulls(count, pa.float64())),
            **{f"ltv_{n}_status": pa.array(["modelled"] * count) for n in (30, 90)},
            "ltv_365_status": pa.array(["not_available"] * count),
            "currency": pa.array(["USD"] * count),
        }
        halves = [ltv[user] / 2 if user in ltv else None for user in recall]
        if_returns = pa.array(halves, pa.decimal128(20, 4)).cast(money, safe=False)
        published = {
            "recall": returning,
            "ltv": worth,
            "return_value": {
                "day": returning["day"],
                "user_id": returning["user_id"],
                **{f"value_if_returns{end}": if_returns for end in ("", "_low", "_high")},
                "currency": pa.array(["USD"] * len(recall)),
                "run_id": returning["run_id"],
            },
        }
        publishing.publish({product_named(name): pa.table(rows) for name, rows in published.items()}, day, run_id)
        return run_id

    return work


def _scores(day: date, run_id: str, users: Sequence[str], raw: Sequence[Any], words: str) -> dict[str, pa.Array]:
    """Make the columns that all scores have."""
    count = len(users)
    reason = [{"feature": "recency_days", "words": words, "contribution": -0.354}]
    return {
        "day": pa.array([day] * count, pa.date32()),
        "user_id": pa.array(users),
        "raw_score": pa.array([float(value) for value in raw], pa.float64()),
        "percentile": pa.array([50] * count, pa.int32()),
        "decile": pa.array([5] * count, pa.int32()),
        "reasons": pa.array([reason] * count, REASONS),
        "baseline": pa.array([0.1] * count),
        "other_contribution": pa.array([0.2] * count),
        "model_name": pa.array(["rekindle"] * count),
        "model_version": pa.array(["1"] * count),
        "model_digest": pa.array(["a" * 64] * count),
        "run_id": pa.array([run_id] * count),
        "is_backfilled": pa.array([False] * count),
    }
