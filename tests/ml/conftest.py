"""A small world whose users come back and spend by a known law, as rows of features.user with their labels."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ml.model.reasons import Wording
from ml.products import PRODUCTS, Product, product_named
from ml.training.samples import Sample
from rekindle.settings import Settings
from rekindle.warehouse import contracts

FIRST_SUNDAY = date(2001, 1, 7)

WORDING = Wording(contracts.load("features.user").phrases, "the chance", "EUR")

ARROW = {
    "date": pa.date32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "id": pa.string(),
    "decimal(18,2)": pa.decimal128(18, 2),
    "map<string,string>": pa.map_(pa.string(), pa.string()),
    "map<string,bigint>": pa.map_(pa.string(), pa.int64()),
    "array<date>": pa.list_(pa.date32()),
}
ZERO = {
    "int": 0,
    "bigint": 0,
    "decimal(18,2)": Decimal("0.00"),
    "map<string,string>": [],
    "map<string,bigint>": [],
    "array<date>": [],
}


def feature_rows(days: list[date], user_count: int, *, seed: int = 0, **given: list) -> pa.Table:
    """
    Rows of features.user, a user and day each, with what came after as columns named like labels.

    A user is active by a rate of their own. Who was active lately and often comes back, by a logistic law; what a user
    spends goes with what they spent.
    """
    draw = np.random.default_rng(seed)
    count = len(days) * user_count
    rate = np.tile(draw.gamma(2.0, 2.0, user_count), len(days))
    recency = draw.integers(7, 120, count)
    often = draw.poisson(rate)
    spent = np.round(often * draw.gamma(2.0, 20.0, count), 2)
    chance = 1 / (1 + np.exp(-(0.5 * often - 0.03 * recency - 0.5)))
    facts = {
        "day": np.repeat(days, user_count).tolist(),
        "user_id": [f"u{i:05d}" for i in range(user_count)] * len(days),
        "registered_on": [FIRST_SUNDAY - timedelta(days=400)] * count,
        "tenure_days": draw.integers(130, 900, count).tolist(),
        "country": draw.choice(["AT", "DE", None], count, p=[0.3, 0.6, 0.1]).tolist(),
        "channel": [None] * count,
        "attributes": [[("age", a)] if a else [] for a in draw.choice(["18-24", "45-54", ""], count)],
        "recency_days": recency.tolist(),
        "active_days_28d": np.minimum(often, 28).tolist(),
        "active_days_90d": np.minimum(often * 2, 90).tolist(),
        "orders_28d": often.tolist(),
        "sale_amount_28d": [Decimal(f"{x:.2f}") for x in spent],
        "sale_amount_90d": [Decimal(f"{2 * x:.2f}") for x in spent],
        "event_counts_28d": [[("visit", int(3 * n))] if n else [] for n in often],
        "gap_mean_days": [float(28 / n) if n > 1 else None for n in often],
        "current_gap_ratio": [float(r * n / 28) if n > 1 else None for r, n in zip(recency, often, strict=True)],
        **given,
    }
    columns = {c.name: pa.array(facts.get(c.name, [ZERO.get(c.type)] * count), ARROW[c.type]) for c in COLUMNS}
    labels = {
        "active_1_7": (draw.random(count) < chance).astype(float),
        "net_revenue_1_30": np.round(spent * draw.gamma(4.0, 0.25, count), 2),
        "net_revenue_31_90": np.round(2 * spent * draw.gamma(4.0, 0.25, count), 2),
    }
    return pa.table({**columns, **{name: pa.array(values) for name, values in labels.items()}})


COLUMNS = contracts.load("features.user").columns


def sundays(count: int) -> list[date]:
    return [FIRST_SUNDAY + timedelta(weeks=n) for n in range(count)]


def sample_of(product: Product, rows: pa.Table, settings: Settings) -> Sample:
    """The sample that Spark would have read: the labels of this product only."""
    targets = product.targets(settings)
    others = {t.label for p in PRODUCTS for t in p.targets(settings)} - {t.label for t in targets}
    kept = rows.drop_columns([name for name in others if name in rows.column_names])
    return Sample(product.name, max(rows["day"].to_pylist()), targets, kept, {}, 1.0)


@pytest.fixture(scope="session")
def business() -> Settings:
    return Settings(lapse_days=7, recall_horizon_days=7, ltv_horizons_days=(30, 90, 365), lateness_days=3)


@pytest.fixture(scope="session")
def recall() -> Product:
    return product_named("recall")


@pytest.fixture(scope="session")
def ltv() -> Product:
    return product_named("ltv")


@pytest.fixture(scope="session")
def recall_sample(recall, business) -> Sample:
    return sample_of(recall, feature_rows(sundays(20), 150), business)


@pytest.fixture(scope="session")
def ltv_sample(ltv, business) -> Sample:
    return sample_of(ltv, feature_rows(sundays(34), 250), business)


@pytest.fixture(scope="session")
def recall_fitted(recall, recall_sample, business):
    from ml.training import fitting, samples

    return fitting.fit(recall, recall_sample, samples.split(recall_sample, business))


@pytest.fixture(scope="session")
def ltv_fitted(ltv, ltv_sample, business):
    from ml.training import fitting, samples

    return fitting.fit(ltv, ltv_sample, samples.split(ltv_sample, business))
