"""
CDNOW: every purchase of 23,570 customers who first bought in the first quarter of 1997, to June 1998; real.

The file has dates only: a purchase stands at midnight UTC. Each of its rows is an order; a purchase of nothing (amount
0) is in the source, and stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from rekindle.landing.filling.samples.dataset import (
    Dataset,
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

ABOUT = "CDNOW: 18 months of 23,570 customers of a music shop, 1997 to 1998. Real."


def read(path: Path | None) -> Dataset:
    """Read the master file that the package lifetimes carries."""
    refuse_path("cdnow", path)
    file = package_file("lifetimes", "datasets", "CDNOW_master.txt")
    sales = pd.read_csv(file, sep=r"\s+", dtype={"customer_id": str, "date": str})
    sales["on"] = pd.to_datetime(sales.date, format="%Y%m%d")
    return Dataset(
        histories=(users(sales), orders(sales)), first=sales.on.min().date(), last=last_complete_day(sales.on)
    )


def orders(sales: pd.DataFrame) -> History:
    """One order a row, numbered within customer and date in the order of the file."""
    number = sales.groupby(["customer_id", "date"]).cumcount()
    rows = {
        "order_id": text(sales.customer_id + "-" + sales.date + "-" + number.astype(str)),
        "line_id": constant("0", sales),
        "user_id": text(sales.customer_id),
        "occurred_at": instants(sales.on),
        "kind": constant("sale", sales),
        "amount": money(sales.dollar_value),
        "currency": constant("USD", sales),
    }
    return History("orders", pa.table(rows), dates(sales.on))


def users(sales: pd.DataFrame) -> History:
    """Customers, registered with their first purchase."""
    first = sales.groupby("customer_id", as_index=False).on.min().sort_values(["on", "customer_id"])
    rows = {"user_id": text(first.customer_id), "registered_at": instants(first.on)}
    return History("users", pa.table(rows), dates(first.on))
