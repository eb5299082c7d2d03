"""
Partitions: a published history is cut into months, so that a day's publish works on a month and not on years.

The months are in schema `rekindle`: readers see the history as one table in `sms`, and have rights on that alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

LONGEST_MONTH_DAYS = 31


def make_room(connection: Connection, publication: Publication, day: date) -> None:
    """Make the month of a day, if it is not there."""
    month, first = _month(publication, day), day.replace(day=1)
    after = (first + timedelta(days=LONGEST_MONTH_DAYS)).replace(day=1)
    ((there,),) = connection.execute("select to_regclass(%s) is not null", [month])
    if there:
        return
    history = publication.history_target
    # Made apart and attached: `create table … partition of` would wait for all readers, and let none in meanwhile.
    connection.execute(f"create table {month} (like {history} including all)")
    connection.execute(f"alter table {history} attach partition {month} for values from ('{first}') to ('{after}')")


def analyze(connection: Connection, publication: Publication, day: date) -> None:
    """
    Let Postgres' planner know of a day that was just written.

    By itself it looks a minute later, and until then takes a new day of a known month for one row: of a million users a join of
    two histories ran for minutes by a nested loop. This look takes half a second there.
    """
    connection.execute(f"analyze {_month(publication, day)}")


def _month(publication: Publication, day: date) -> str:
    return f"rekindle.{publication.table}_history_{day:%Y_%m}"
