"""Which versions of a model made the scores of a day: since when each is champion, and what the gate said of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from psycopg import sql

from rekindle import records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication
    from rekindle.records import Gate, Promotion

MADE_BY = {"model_name", "model_version", "is_backfilled"}
"""The columns by which a history says what made a row."""


@dataclass(frozen=True)
class Office:
    """Who was promoted of a product, the first one first, and what the gate said of each of its versions."""

    promotions: Sequence[Promotion] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """The figure that the gate reads, on days that the model had not seen, beside that of the best naive rule."""

    figure: str
    value: float
    naive: float | None
    """None where what is judged is the naive rule itself."""
    difference: tuple[float, float, float] | None
    """The difference, and its 95 % interval."""
    to_beat: str
    made_by: str
    """What the version is, in words; empty where that was not recorded."""
    is_rule: bool


@dataclass(frozen=True)
class ScoredBy:
    """A version that scored users of a product's day."""

    product: str
    version: str
    users: int
    is_backfilled: bool
    since: date | None
    """The first day that it is champion for; None where no promotion of it is recorded."""
    is_withdrawn: bool
    """Whether a rollback has taken it out of office since."""
    gate: Gate | None
    compared: Compared | None
    page: str | None
    """Where it stands in MLflow, if that has an address."""


def offices(publications: Sequence[Publication]) -> dict[str, Office]:
    """Find who was promoted of what is published, and what was said of it."""
    return {
        p.name: Office(records.promotions(p.name), records.gates(p.name))
        for p in publications
        if {c.name for c in p.columns} >= MADE_BY
    }


def find(connection: Connection, publication: Publication, day: date, office: Office) -> tuple[ScoredBy, ...]:
    """Find the versions whose scores of a day are published, first the one that scored most."""
    rows = connection.execute(
        sql.SQL(
            """
            select model_name, model_version, count(*), bool_or(is_backfilled) from {} where day = %s
            group by model_name, model_version having model_version is not null order by count(*) desc, model_version
            """
        ).format(sql.Identifier(*publication.history_target.split("."))),
        [day],
    )
    return tuple(
        ScoredBy(
            publication.name,
            version,
            users,
            is_backfilled,
            *_in_office(office.promotions, version, day),
            gate=office.gates.get(version),
            compared=compared(office.gates[version].figures) if version in office.gates else None,
            page=_page(model, version),
        )
        for model, version, users, is_backfilled in rows.fetchall()
    )


def _in_office(promotions: Sequence[Promotion], version: str, day: date) -> tuple[date | None, bool]:
    """Say from which day on a version was champion when it scored a day, and whether that was taken back."""
    standing = records.standing(promotions)
    for some, is_withdrawn in ((standing, False), (promotions, True)):
        since = [
            p.effective_from_day
            for p in some
            if p.version == version and p.effective_from_day <= day and p.reason != records.ROLLBACK
        ]
        if since:
            return since[-1], is_withdrawn
    return None, False


def compared(figures: Mapping[str, Any]) -> Compared | None:
    """Read the figure of the longest horizon, which the gate reads; None where none were kept."""
    if not figures:
        return None
    told = figures[max(figures, key=lambda horizon: int(re.findall(r"\d+", horizon)[-1]))]
    name, is_rule = told["primary"], told.get("is_rule", False)
    # A rule is compared with itself, which says nothing.
    difference = None if is_rule else told["difference"].get(name)
    return Compared(
        figure=name,
        value=told["model"][name]["value"],
        # Of another calibration of the same scores no rule was fitted.
        naive=None if is_rule or name not in told["naive"] else told["naive"][name]["value"],
        difference=(difference["value"], difference["low"], difference["high"]) if difference else None,
        to_beat=" and ".join(told.get("to_beat", ())),
        made_by=" and ".join(told.get("made_by", ())),
        is_rule=is_rule,
    )


def _page(model: str, version: str) -> str | None:
    """Link a version in MLflow, without the log-in that the address of its server may hold."""
    server = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if server.scheme not in {"http", "https"}:
        return None
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/#/models/{quote(model)}/versions/{quote(version)}"
