"""Of 1,000,000 published rows, those that have changed are found in milliseconds, by the index alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from quality.database import own_database
from quality.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, CHANGED, PULLS = 1_000_000, 1_000, 20
AT_MOST_MS = 50.0

FILL = """
insert into sms.audience
    (user_id, in_population, eligible, eligible_before_holdout, suppression_reason, schema_version, day, run_id, updated_at,
     content_updated_at)
select 'u' || n, false, false, false, 'not_in_population', 1, '2017-06-05', 'r', at, at
from generate_series(1, %(rows)s) as n
cross join lateral (select timestamptz '2017-06-06' + n / 50000 * interval '1 day') as t(at)
"""
CHANGE = """
update sms.audience set (updated_at, content_updated_at) = (now(), now()) where user_id in
    (select 'u' || n * %(every)s from generate_series(1, %(changed)s) as n)
"""
PULLED = {
    "the pairs, by updated_at": "user_id, updated_at",
    "twenty columns, by updated_at": "user_id, updated_at, in_population, eligible, suppression_reason, phone_e164, valid_until,"
    " send_window_start, send_window_end, timezone, return_probability, decile, expected_gain, value_if_returns, segment,"
    " country, holdout, campaign_id, experiment_arm, reason_1",
}
QUERY = """
select {columns} from sms.audience where (updated_at, user_id) > (%s, %s) order by updated_at, user_id limit 10000
"""


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Fill, change some rows, and pull them many times as a reader."""
    rows = round(ROWS * size)
    changed = min(CHANGED, rows // 10)
    with own_database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL, {"rows": rows})
        ((last,),) = connection.execute("select max(updated_at) from sms.audience").fetchall()
        connection.execute(CHANGE, {"every": rows // changed, "changed": changed})
        connection.execute("vacuum (analyze) sms.audience")
        connection.execute("set role sms_reader")
        for what, columns in PULLED.items():
            query = QUERY.format(columns=columns)
            plan = "\n".join(line for (line,) in connection.execute(f"explain {query}", [last, "v"]).fetchall())
            seconds, count = _timed(connection, query, [last, "v"])
            yield Figure(f"rows pulled: {what}", count, at_least=changed, at_most=changed, digits=0)
            yield Figure(
                f"median milliseconds to pull {changed:,} of {rows:,} rows: {what}", seconds * 1000, at_most=AT_MOST_MS
            )
            scan = "Index Only Scan" if columns == "user_id, updated_at" else "Index Scan"
            yield Figure(
                f"found by an {scan}: {what}", f"{scan} using" in plan and "Sort" not in plan, at_least=1, digits=0
            )


def _timed(connection: psycopg.Connection[Any], query: str, values: list[Any]) -> tuple[float, int]:
    seconds, count = [], 0
    for _ in range(PULLS):
        begun = time.monotonic()
        count = len(connection.execute(query, values).fetchall())
        seconds.append(time.monotonic() - begun)
    return float(np.median(seconds)), count
