"""
Lateness: what a history would have looked like while it was delivered.

A history knows everything on the day it happened; a delivery does not. A model that is trained on the former and served
with the latter is worse than its test says, so a share of the facts can be delivered late.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from rekindle.errors import InputError
from rekindle.warehouse.contracts import landing_contract

if TYPE_CHECKING:
    from datetime import date

    from rekindle.landing.filling.writer import History

FORM = re.compile(r"(0|0?\.\d+|1|1\.0+|0\.0*):([1-9]\d{0,2})")
HASHES = "which rows are..", "by how many days"
"""Keys of two independent hashes; pandas wants sixteen characters."""


@dataclass(frozen=True)
class Lateness:
    """`share` of the facts are delivered one to `most_days` days after the day they happened on."""

    share: float
    most_days: int

    @classmethod
    def parse(cls, text: str) -> Lateness:
        """Read `0.05:3`: five in a hundred rows, up to three days."""
        match = FORM.fullmatch(text)
        if match is None:
            raise InputError(
                f"{text!r} is no lateness.",
                todo="Write SHARE:DAYS, for example 0.05:3 (five in a hundred, up to three days).",
            )
        return cls(float(match[1]), int(match[2]))

    def delay(self, history: History, last: date) -> History:
        """
        Deliver a share of a history's facts later. States keep their day.

        A hash of a row's key decides, so the same row is as late on every machine and in every import. No row is
        delivered after `last`: a history ends whole.
        """
        contract = landing_contract(history.source)
        if contract.lands.kind == "state" or len(history.days) == 0:
            return history
        identity = [name for name in contract.identity if name in history.rows.column_names]
        keys = pd.DataFrame({name: _as_bytes(history.rows[name]).to_pandas() for name in identity})
        lot, wait = (
            pd.util.hash_pandas_object(keys, index=False, hash_key=key, categorize=False).to_numpy() for key in HASHES
        )
        late = lot < self.share * 2.0**64
        delays = np.where(late, 1 + wait % np.uint64(self.most_days), 0).astype("timedelta64[D]")
        return replace(history, days=np.minimum(history.days + delays, np.maximum(history.days, np.datetime64(last))))


def _as_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as bytes: what is not UTF-8 is for ingestion to judge. Other ids of Parquet files as their text."""
    kind = column.type
    is_text = any(is_(kind) for is_ in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string))
    return (column if is_text else column.cast(pa.string())).cast(pa.binary())
