"""A landing zone of made-up users, as large as asked: nothing in it depends on a clock or a random state."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

FIRST = date(2021, 1, 1)
MICROSECONDS_A_DAY = 86_400_000_000


def fill(landing: Path, users: int, days: int, active_share: float = 0.14) -> int:
    """Deliver `users` and `orders` for some days; about `active_share` of the users buy on a day. Returns the orders."""
    draw = np.random.default_rng(7)
    rhythm = draw.beta(1.2, 6.0, users) * active_share / 0.167
    total = 0
    for offset in range(days):
        day = FIRST + timedelta(offset)
        buyers = np.flatnonzero(draw.random(users) < rhythm)
        total += len(buyers)
        start = (day - date(1970, 1, 1)).days * MICROSECONDS_A_DAY
        at = pa.array(start + draw.integers(0, MICROSECONDS_A_DAY, len(buyers)), pa.timestamp("us", "UTC"))
        cents = draw.integers(100, 9_000, len(buyers))
        orders = pa.table(
            {
                "order_id": pa.array([f"{day}-{buyer}" for buyer in buyers]),
                "user_id": pa.array([f"u{buyer}" for buyer in buyers]),
                "occurred_at": at,
                "kind": pa.array(["sale"] * len(buyers)),
                "amount": pa.array(cents / 100).cast(pa.decimal128(18, 2)),
                "currency": pa.array(["USD"] * len(buyers)),
            }
        )
        _deliver(landing, "orders", day, orders)
        known = range(users) if offset == 0 else ()
        registered = pa.array([start] * len(known), pa.timestamp("us", "UTC"))
        _deliver(
            landing,
            "users",
            day,
            pa.table({"user_id": pa.array([f"u{u}" for u in known], pa.string()), "registered_at": registered}),
        )
    return total


def _deliver(landing: Path, source: str, day: date, rows: pa.Table) -> None:
    folder = landing / source / f"day={day}"
    folder.mkdir(parents=True)
    if rows.num_rows:
        pq.write_table(rows, folder / "part-0.parquet")
    (folder / "_SUCCESS").touch()
