"""
Online Retail: a year of a British gift wholesaler (UCI, CC BY 4.0); real.

Times are London's without a zone and are declared to be UTC, an hour off in summer. A cancelled line is a refund. A
customer registers with the first line that bears the customer's number and keeps the country of that line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rekindle.errors import InputError
from rekindle.landing.filling.samples.dataset import MONEY, Dataset, constant, dates, instants, last_complete_day, text
from rekindle.landing.filling.writer import History
from rekindle.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = "Online Retail: a year of a British gift wholesaler, 2010 to 2011. Real (UCI, CC BY 4.0); given by path."
FILE = "online_retail.parquet"
COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


def read(path: Path | None) -> Dataset:
    """Read the Parquet file, or the folder that it lies in."""
    file = path or settings().data
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        raise InputError(
            f"There is no file {file}.",
            todo="Give the path of online_retail.parquet, or set REKINDLE_DATA to its folder.",
        )
    try:
        lines = pd.read_parquet(file, columns=COLUMNS)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{file} is not the data set as a Parquet file: {str(error).splitlines()[0]}",
            todo="UCI delivers a workbook: save its sheet as Parquet, with the columns as they stand.",
        ) from error
    last = last_complete_day(lines.InvoiceDate)
    of_customers = lines[lines.CustomerID.notna()].astype({"CustomerID": "int64"})
    known = of_customers[of_customers.InvoiceDate.dt.date <= last]
    return Dataset(
        histories=(users(known), items(known), orders(known)),
        first=known.InvoiceDate.min().date(),
        last=last,
        notes=(
            f"{len(lines) - len(of_customers):,} lines without a customer are left out.",
            f"{len(of_customers) - len(known):,} lines after {last} are left out: the source stops within that day.",
        ),
    )


def orders(lines: pd.DataFrame) -> History:
    """Invoice lines numbered in the order of the file; a negative quantity or an invoice C… is a refund."""
    is_refund = (lines.Quantity < 0) | lines.InvoiceNo.str.startswith("C")
    price = pa.array(lines.UnitPrice).cast(pa.decimal128(18, 3))
    quantity = pa.array(lines.Quantity.abs()).cast(pa.decimal128(19, 0))
    amount = pc.round(pc.multiply(price, quantity), ndigits=2, round_mode="half_up").cast(MONEY)
    rows = {
        "order_id": text(lines.InvoiceNo),
        "line_id": text(lines.groupby("InvoiceNo").cumcount()),
        "user_id": text(lines.CustomerID),
        "occurred_at": instants(lines.InvoiceDate),
        "kind": text(is_refund.map({True: "refund", False: "sale"})),
        "amount": amount,
        "currency": constant("GBP", lines),
        "item_id": text(lines.StockCode),
    }
    return History("orders", pa.table(rows), dates(lines.InvoiceDate))


def users(lines: pd.DataFrame) -> History:
    """Customers, registered with their first line."""
    first = lines.sort_values(["InvoiceDate", "CustomerID"], kind="stable").drop_duplicates("CustomerID")
    rows = {
        "user_id": text(first.CustomerID),
        "registered_at": instants(first.InvoiceDate),
        "country": text(first.Country),
    }
    return History("users", pa.table(rows), dates(first.InvoiceDate))


def items(lines: pd.DataFrame) -> History:
    """Articles as described on the first line that bears them."""
    first = lines.sort_values(["InvoiceDate", "StockCode"], kind="stable").drop_duplicates("StockCode")
    rows = {"item_id": text(first.StockCode), "title": text(first.Description.str.strip())}
    return History("items", pa.table(rows), dates(first.InvoiceDate))
