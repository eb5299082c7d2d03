"""The ledger of the holdout, decided on as a publish does, on users that are given by their phones."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from rekindle.permission import holdout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.postgres import Connection

QUERY = "select user_id, true as eligible_before_holdout from candidate_user"
DAY = date(2017, 6, 5)


class Ledger:
    """What an administrator's connection to a migrated database decides within its transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Any = connection
        self.connection.execute("create temporary table candidate_user (user_id text)")

    def decide(self, phones: Mapping[str, str], share: float = 0.05, salt: str = "salt") -> dict[str, bool]:
        """Decide on users by the HMACs of their phones; returns who of all on record is held out."""
        self.connection.execute("truncate candidate_user, rekindle.permission")
        with self.connection.cursor().copy(
            "copy rekindle.permission (user_id, day, code, phone_hmac) from stdin"
        ) as copy:
            for user, phone_hmac in phones.items():
                copy.write_row((user, DAY, "not_mobile", phone_hmac))
        self.connection.execute("insert into candidate_user select user_id from rekindle.permission")
        asked = {"holdout_salt": salt, "holdout_share": share, "table_day": DAY}
        holdout.decide(self.connection, QUERY, asked)
        return self.arms

    @property
    def arms(self) -> dict[str, bool]:
        """Who is held out, of all on record."""
        rows = self.connection.execute("select user_id, bool_or(is_held_out) from rekindle.holdout group by user_id")
        return dict(rows.fetchall())

    def lose(self) -> None:
        """Forget everything."""
        self.connection.execute("truncate rekindle.holdout")
