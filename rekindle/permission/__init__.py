"""
Permission: who may be texted, when, and who is held out. What is unknown about it is a reason not to send.

The codes are decided by the query of the publication that tools send from; what it needs beside is prepared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.permission import holdout, windows
from rekindle.permission.loading import Given, load, spooled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rekindle.postgres import Connection

__all__ = ["Given", "decide_beforehand", "load", "spooled"]

WINDOWS = """
create temporary table if not exists send_window (
    window_key text collate "C" primary key, code text, timezone text, starts timestamptz, ends timestamptz
) on commit drop
"""

VALID_UNTIL = "select (%(table_day)s::date + 1)::timestamp at time zone 'UTC' + make_interval(hours => %(valid_hours)s)"

CONTACTED = """
select window_key, min(zones), min(country), min(usual_hour) from rekindle.permission where code is null group by window_key
"""


def decide_beforehand(connection: Connection, query: str, asked: Mapping[str, Any]) -> None:
    """
    Find the windows, and decide who is held out, of those who might be texted by what a query says.

    The query has `user_id` and `eligible_before_holdout`, which must not depend on what is decided here. It finds windows in
    the temporary table `send_window`, and who is held out in rekindle.holdout.
    """
    _find_windows(connection, asked)
    holdout.decide(connection, query, asked)


def _find_windows(connection: Connection, asked: Mapping[str, Any]) -> None:
    """Once for each combination of what a window depends on, of which there are few."""
    connection.execute(WINDOWS)
    connection.execute("truncate send_window")
    ((valid_until,),) = connection.execute(VALID_UNTIL, asked)
    rules = windows.rules()
    found = {
        key: windows.next_window(zones, country, usual_hour, asked["time"], valid_until, rules)
        for key, zones, country, usual_hour in connection.execute(CONTACTED).fetchall()
    }
    with connection.cursor().copy("copy send_window from stdin") as copy:
        for key, window in found.items():
            copy.write_row((key, *_cells(window)))


def _cells(window: windows.Window | str) -> tuple[Any, ...]:
    if isinstance(window, str):
        return window, None, None, None
    return None, window.timezone, window.starts, window.ends
