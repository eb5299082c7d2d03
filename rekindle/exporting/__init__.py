"""
Exports: what was published, as files for tools that read no Postgres.

They read schema `sms` only, as the role of the readers may, in one snapshot and row by row: a table never comes whole into
memory. An export is no record of anything: the same export again is the same rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql
from psycopg.rows import dict_row

from rekindle.errors import InputError
from rekindle.exporting.files import part_file
from rekindle.exporting.forms import CHANGED_AT, FORMS, PERMITTED, PHONE
from rekindle.exporting.watermark import Watermark
from rekindle.postgres import clock, transact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from rekindle.exporting.forms import Form, Row
    from rekindle.postgres import Connection

ROWS_AT_ONCE = 5_000

WINDOW = ("timezone", "send_window_start", "send_window_end")
RUNS_OUT = "valid_until"

ATTRIBUTES = (
    "eligible",
    "suppression_reason",
    PHONE,
    *WINDOW,
    RUNS_OUT,
    "return_probability",
    "decile",
    "expected_gain",
    "value_if_returns",
    "segment",
    "holdout",
    "campaign_id",
    "experiment_arm",
)
"""What a tool that follows changes is told of a user: each attribute of each changed row is billed."""

CELLS = (
    "user_id",
    PHONE,
    *WINDOW,
    RUNS_OUT,
    "consent_at",
    "consent_source",
    "policy_version",
    "return_probability",
    "decile",
    "expected_gain",
    "value_if_returns",
    "ltv_30",
    "currency",
    "segment",
    "country",
    "reason_1",
    "reason_2",
    "reason_3",
)
"""What a file of who may be texted holds of a user."""

OF_A_CAMPAIGN = ("campaign_id", "rank", "arm", "offer")
"""What a file of a campaign holds beside that."""

Follow = Literal["all", "content"]
FOLLOWED: Mapping[Follow, str] = MappingProxyType({"all": "updated_at", "content": "content_updated_at"})
"""The column that says when a row has changed."""

MAY_BE_TEXTED = sql.SQL("(a.eligible and a.valid_until > %(at)s)")


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path | None
    """None where nothing has changed, and so nothing was written."""
    row_count: int
    eligible_count: int
    """Rows of users who may be texted."""
    watermark: Watermark | None = None
    """What to give as `since` next time; None where the file holds no changes but who may be texted now."""
    left_out_count: int = 0
    """Users whom the campaign wants to text and who may not be texted, now."""


@dataclass(frozen=True)
class Selected:
    """A query over schema `sms`, the columns of it that go into the file, and the values that it takes."""

    query: sql.Composed
    columns: tuple[str, ...]
    values: Mapping[str, Any]


def export_audience(
    form_name: str, to: Path, *, since: Watermark | None = None, follow: Follow = "all", at: datetime | None = None
) -> Exported:
    """
    Export sms.audience: the rows that have changed since a watermark, or, as CSV, who may be texted now.

    Changes come with who is not eligible any more, and with who was erased: a tool that sees no deletions learns it so. `at`
    is the time at which a permission must hold; by default Postgres' clock says it. With `follow` content a row counts as
    changed only where more has changed than its `valid_until`, which is then left out: a copy of it would run out.
    """
    form = _form(form_name)
    if form.is_of_changes:
        return _export(form, to, "audience", lambda moment: _changes(since, follow, moment), at, since)
    if since or follow != "all":
        raise InputError(
            f"{form_name} holds who may be texted now: of changes alone, who left would stay in an earlier file.",
            todo="Leave out --since and --follow, and let the new file replace the one before.",
            code="usage",
        )
    return _export(form, to, "audience", _who_may_be_texted, at)


def export_campaign(campaign_id: str, form_name: str, to: Path, *, at: datetime | None = None) -> Exported:
    """
    Export whom a campaign texts, in its order: nobody of its controls, and nobody who may not be texted any more.

    It holds who may be texted now and no changes: who opts out later is in the changes of sms.audience.
    """
    form = _form(form_name)
    wanted = transact(lambda connection: _wanted_count(connection, campaign_id))
    done = _export(
        form, to, f"campaign-{_in_a_name(campaign_id)}", lambda moment: _texted_by(campaign_id, form, moment), at
    )
    return replace(done, watermark=None, left_out_count=wanted - done.row_count)


def _form(name: str) -> Form:
    if name not in FORMS:
        raise InputError(f"There is no form {name!r} of an export.", todo=f"Choose one of: {', '.join(FORMS)}.")
    return FORMS[name]


def _export(  # noqa: PLR0917 - what an export is of
    form: Form,
    to: Path,
    name: str,
    select: Callable[[datetime], Selected],
    at: datetime | None,
    since: Watermark | None = None,
) -> Exported:
    def work(connection: Connection) -> Exported:
        connection.execute("set transaction isolation level repeatable read, read only")
        moment = at or clock(connection)
        selected, rows = select(moment), _Counted(since)
        with part_file(to if to.is_dir() else to.parent) as part:
            with connection.cursor("export", row_factory=dict_row) as cursor:
                cursor.itersize = ROWS_AT_ONCE
                cursor.execute(selected.query, selected.values)
                part.file.writelines(form.lines(selected.columns, rows.of(cursor)))
            if form.is_of_changes and not rows.count:
                return Exported(None, 0, 0, since)
            stamp = rows.last.stamp if rows.last and form.is_of_changes else f"{moment:%Y%m%dT%H%M%S}"
            path = to / f"{name}-{stamp}.{form.suffix}" if to.is_dir() else to
            part.finish(path)
        return Exported(path, rows.count, rows.eligible_count, rows.last if form.is_of_changes else None)

    return transact(work)


@dataclass
class _Counted:
    """Counts rows as they go by, and notes the last."""

    last: Watermark | None
    count: int = 0
    eligible_count: int = 0

    def of(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            self.count += 1
            self.eligible_count += row[PERMITTED]
            self.last = Watermark(row[CHANGED_AT], row["user_id"])
            yield row


# What is read


def _changes(since: Watermark | None, follow: Follow, moment: datetime) -> Selected:
    moved = sql.Identifier("a", FOLLOWED[follow])
    columns = tuple(name for name in ATTRIBUTES if follow == "all" or name != RUNS_OUT)
    query = sql.SQL(
        "select {columns} from sms.audience as a where ({moved}, a.user_id) > (%(since_at)s, %(since_user)s)"
        " order by {moved}, a.user_id"
    ).format(columns=_named(columns, moved), moved=moved)
    start = (since.changed_at, since.user_id) if since else ("-infinity", "")
    return Selected(query, columns, {"at": moment, "since_at": start[0], "since_user": start[1]})


def _who_may_be_texted(moment: datetime) -> Selected:
    query = sql.SQL(
        "select {columns} from sms.audience as a where {may} order by a.expected_gain desc nulls last, a.user_id"
    ).format(columns=_named(CELLS), may=MAY_BE_TEXTED)
    return Selected(query, CELLS, {"at": moment})


def _texted_by(campaign_id: str, form: Form, moment: datetime) -> Selected:
    wanted = ATTRIBUTES if form.is_of_changes else CELLS
    columns = tuple(name for name in wanted if name not in OF_A_CAMPAIGN)
    query = sql.SQL(
        "select {own}, {columns} from sms.campaign_list as c join sms.audience as a using (user_id)"
        " where c.campaign_id = %(campaign_id)s and not c.is_control and {may} order by c.rank, a.user_id"
    ).format(
        own=sql.SQL(", ").join(sql.Identifier("c", name) for name in OF_A_CAMPAIGN),
        columns=_named(columns),
        may=MAY_BE_TEXTED,
    )
    return Selected(query, (*OF_A_CAMPAIGN, *columns), {"at": moment, "campaign_id": campaign_id})


def _wanted_count(connection: Connection, campaign_id: str) -> int:
    """Count whom a campaign wants to text, whether or not they may be, now."""
    planned, wanted = connection.execute(
        "select count(*), count(*) filter (where not is_control) from sms.campaign_list where campaign_id = %s",
        [campaign_id],
    ).fetchone() or (0, 0)
    if not planned:
        raise InputError(
            "No campaign of this name was published.",
            todo="Look at sms.campaign_list for those that were, or plan it: rekindle plan --campaign NAME",
            safe="Nothing was written.",
            code="unknown_campaign",
        )
    return wanted


def _named(columns: Sequence[str], moved: sql.Identifier | None = None) -> sql.Composed:
    """
    Columns of sms.audience, and beside them the user, whether they may be texted at the moment, and when the row has changed.

    Permission and phone are what they are at the moment: one that has run out is none, whether or not it is renewed.
    """
    at_the_moment = {
        "eligible": MAY_BE_TEXTED,
        PHONE: sql.SQL("case when {} then a.{} end").format(MAY_BE_TEXTED, sql.Identifier(PHONE)),
    }
    named = {"user_id": sql.Identifier("a", "user_id"), PERMITTED: MAY_BE_TEXTED}
    named |= {CHANGED_AT: moved or sql.Identifier("a", "updated_at")}
    named |= {name: at_the_moment.get(name, sql.Identifier("a", name)) for name in columns}
    return sql.SQL(", ").join(
        sql.SQL("{} as {}").format(expression, sql.Identifier(name)) for name, expression in named.items()
    )


def _in_a_name(text: str) -> str:
    """A campaign's name as part of the name of a file: nothing in it leaves the folder."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
