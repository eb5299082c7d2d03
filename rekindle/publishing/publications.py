"""
Publications: what is published in schema `sms`, as the contracts declare it.

The contract of a score table says it in its section `publish`. What is no table of the warehouse has a file of its own,
`contracts/sms.<table>.yml`, with the same section and a query over Postgres as its source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal, get_args

from rekindle import yml
from rekindle.errors import InputError
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rekindle.warehouse.contracts import Column, Contract

Unit = Literal["share", "money", "days", "count"]
WhoLeft = Literal["blanked", "kept", "deleted"]

STAMPS = ("day", "run_id", "updated_at")
"""When and by whom a row's content last changed; all other columns are its content."""

MEMBER = "in_population"
"""Whether a row is about somebody whom the source still has; only where who left is blanked."""

FILE_KEYS = {"table", "is", "owner", "key", "publish"}
KEYS = {"name", "table", "history", "who_left", "keeps", "figures", "headline", "shown", "columns", "schema_version"}
KEYS |= {"query", "of", "reads", "permits", "at_stake", "since"}
SINCE_KEYS = {"column", "but_for"}
STAKE_KEYS = {"value", "says", "otherwise", "says_otherwise"}
REQUIRED = {"name", "table", "who_left", "columns"}
COLUMN_KEYS = {"type", "is", "nullable", "between", "in", "matches", "reason", "only", "like"}

PERMISSION = "marts.permission"
DECISIONS = "marts.rta_decisions"
"""What a publish takes from the warehouse beside the tables that it publishes. It waits for both, and for a good end of neither:
without the day's, who was permitted and bid for before stays so until that runs out."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
"""Names go into SQL as they are; 15 characters of Postgres' 63 are left for what ours are made into."""

TYPE = re.compile(
    r"text|integer|bigint|boolean|date|double precision|timestamp with time zone|numeric\(\d{1,2},\d{1,2}\)"
)
"""As Postgres spells them, so that what is declared can be compared with what is there."""


@dataclass(frozen=True)
class PublishedColumn:
    """
    A published column: the source's column of its name, rounded to its type, or the `reason`th of the source's reasons.

    The rules are those of the source's contract.
    """

    name: str
    type: str
    description: str
    nullable: bool = True
    between: tuple[float | None, float | None] | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = None
    reason: int | None = None
    history_only: bool = False


@dataclass(frozen=True)
class Since:
    """A column that moves with `updated_at`, but for changes of some columns alone: what is renewed by the day, say."""

    column: str
    but_for: tuple[str, ...]


@dataclass(frozen=True, eq=False)  # one object a declaration, so that it can be a key
class Publication:
    """
    What is published where: a table of current rows and, where wanted, its history by day.

    Its source is the day's partition of a contract's table, or a query over Postgres. A query may be `of` another
    published table: it is then about the day that table is about. It is done again when something that it `reads` changed.

    Where it says who may be sent to (`permits`), its own query names whom it is about, and contracts/sms.permission.sql, which
    is the same for all, makes of it the query that is asked.

    A query may name as parameters, `%(cap_days)s`, all numbers, texts and switches of the settings, and
    `%(time)s`: the time of the publish, Postgres' unless another was given (old data, simulations);
    `%(table_day)s`: the day that the table will be about. A % of its own is written %%.
    """

    name: str
    table: str
    description: str
    key: tuple[str, ...]
    """Texts, compared by bytes."""
    said_of_key: Mapping[str, str]
    columns: tuple[PublishedColumn, ...]
    who_left: WhoLeft
    """A row whose key the source no longer has is blanked but for what it `keeps`, kept as it was, or deleted."""
    history: bool = False
    keeps: tuple[str, ...] = ()
    figures: Mapping[str, Unit] = field(default_factory=dict)
    """The columns that people compare from day to day."""
    headline: str | None = None
    """The figure that orders the rows."""
    shown: tuple[str, ...] = ()
    """What people see of a row in a terminal, beside its key."""
    permits: str | None = None
    """The column that says whether a row may be sent to."""
    since: Since | None = None
    """The column that says since when a row is as it is."""
    at_stake: Mapping[str, str] | None = None
    """What orders the users that tools send to: see rekindle/publishing/stake.py."""
    schema_version: int = 1
    contract: Contract | None = None
    query: str | None = None
    of: str | None = None
    reads: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return f"sms.{self.table}"

    @property
    def history_target(self) -> str:
        return f"{self.target}_history"

    @property
    def staging(self) -> str:
        return f"staged_{self.name}"

    def column(self, name: str) -> PublishedColumn:
        return next(column for column in self.columns if column.name == name)

    @property
    def current_columns(self) -> tuple[PublishedColumn, ...]:
        return tuple(c for c in self.columns if not c.history_only)

    @property
    def history_columns(self) -> tuple[PublishedColumn, ...]:
        return tuple(c for c in self.columns if c.name != MEMBER)


@cache
def declared() -> tuple[Publication, ...]:
    """
    Return all publications: those from the warehouse by name, then those from queries, each after what it reads.

    Raises InputError where a declaration says what nobody reads or names what is not there.
    """
    own = [_from_file(path) for path in sorted(contracts.FOLDER.glob("sms.*.yml")) if path.stem != "sms.shared"]
    scored = [p for p in map(_from_contract, contracts.tables()) if p is not None]
    found = (*sorted(scored, key=lambda p: p.name), *own)
    tables = {p.table for p in found}
    for publication in found:
        unknown = {*publication.reads, *([publication.of] if publication.of else [])} - tables
        if unknown:
            raise _wrong(publication.name, f"reads {', '.join(sorted(unknown))}, which nobody publishes")
    for what in ("name", "table"):
        values = [getattr(p, what) for p in found]
        if len(set(values)) < len(values):
            raise _wrong(" and ".join(sorted(values)), f"share a {what}")
    try:
        order = TopologicalSorter({p.table: p.reads for p in own}).static_order()
        places = {table: place for place, table in enumerate(order)}
    except CycleError as error:
        raise _wrong(" and ".join(error.args[1]), "read each other") from error
    return (*found[: len(scored)], *sorted(own, key=lambda p: places[p.table]))


def of_table(table: str) -> Publication:
    """Return the publication of a table of the warehouse."""
    for publication in declared():
        if publication.contract is not None and publication.contract.table == table:
            return publication
    raise InputError(
        f"{table} is not published.",
        todo=f"Say in contracts/{table}.yml, section publish, what of it is.",
        safe="Nothing was published.",
    )


def scored_tables() -> frozenset[str]:
    """Return the tables of the warehouse whose rows are published."""
    return frozenset(p.contract.table for p in declared() if p.contract)


def leaders() -> frozenset[str]:
    """Return the tables that another publication is of: whom tools are about to send to."""
    return frozenset(p.of for p in declared() if p.of)


@cache
def standing_column(name: str) -> PublishedColumn:
    """Return a column that every published table has: a stamp, or the version of the schema."""
    return _column("sms.shared", name, "shared", None)


def _from_contract(table: str) -> Publication | None:
    section = yml.read(contracts.FOLDER / f"{table}.yml").get("publish")
    if section is None:
        return None
    contract = contracts.load(table)
    return _publication(section, contract.description, contract.identity, contract)


def _from_file(path: Path) -> Publication:
    raw = yml.read(path)
    _refuse_unknown(path.stem, raw, FILE_KEYS)
    section = raw["publish"]
    if "query" not in section or raw["table"] != path.stem or path.stem != f"sms.{section.get('table')}":
        raise _wrong(path.stem, "needs a query, and the name of its file as its table")
    return _publication(section, raw["is"], tuple(raw["key"]), None)


def _publication(
    section: Mapping[str, Any], description: str, key: tuple[str, ...], contract: Contract | None
) -> Publication:
    where = f"sms.{section.get('table')}" if contract is None else contract.table
    _refuse_unknown(where, section, KEYS)
    if missing := REQUIRED - set(section):
        raise _wrong(where, f"does not say {', '.join(sorted(missing))}")
    columns = [_column(where, name, spec, contract) for name, spec in section["columns"].items()]
    if section["who_left"] == "blanked":
        columns.insert(0, _column(where, MEMBER, "shared", None))
    publication = Publication(
        name=section["name"],
        table=section["table"],
        description=description,
        key=key,
        said_of_key={name: _said_of_key(where, name, contract) for name in key},
        columns=tuple(columns),
        who_left=section["who_left"],
        history=section.get("history", False),
        keeps=tuple(section.get("keeps", ())),
        figures=section.get("figures", {}),
        headline=section.get("headline"),
        shown=tuple(section.get("shown", ())),
        permits=section.get("permits"),
        since=_since(where, section.get("since")),
        at_stake=section.get("at_stake"),
        schema_version=section.get("schema_version", 1),
        contract=contract,
        query=_query(section),
        of=section.get("of"),
        reads=tuple(section.get("reads", ())),
    )
    _refuse_what_does_not_fit(publication)
    return publication


def _query(section: Mapping[str, Any]) -> str | None:
    """Return what is asked of Postgres: of a table that permits, the one question on permission about its own users."""
    own: str | None = section.get("query")
    if own is None or "permits" not in section:
        return own
    permission = (contracts.FOLDER / "sms.permission.sql").read_text(encoding="utf-8")
    return permission.format(asked=own, target=f"sms.{section['table']}")


def _since(where: str, said: Mapping[str, Any] | None) -> Since | None:
    if said is None:
        return None
    _refuse_unknown(where, said, SINCE_KEYS)
    return Since(said["column"], tuple(said["but_for"]))


def _column(where: str, name: str, spec: Mapping[str, Any] | str, contract: Contract | None) -> PublishedColumn:
    """Read a column; what it does not say itself, the column of its name in the contract says that it is taken from."""
    shared = _shared(contracts.FOLDER)
    if spec == "shared" and name not in shared:
        raise _wrong(f"{where}.{name}", "is in no list of shared columns")
    own: Mapping[str, Any] = shared[name] if isinstance(spec, str) else spec
    _refuse_unknown(f"{where}.{name}", own, COLUMN_KEYS)
    if "like" in own:
        contract = contracts.load(own["like"])
    source = _source(contract, name)
    description = own.get("is") or (source.description if source else None)
    if description is None or not TYPE.fullmatch(own["type"]) or not NAME.fullmatch(name):
        raise _wrong(f"{where}.{name}", "needs a name, a type as Postgres spells it and a sentence on what it is")
    one_of = own.get("in", source.one_of if source else None)
    between = own.get("between", source.between if source else None)
    # A query's column may be empty where the table that it is like has a value: the left side of a join, say.
    required = source is not None and not source.nullable and "like" not in own
    return PublishedColumn(
        name=name,
        type=own["type"],
        description=description,
        nullable=own.get("nullable", not required),
        between=tuple(between) if between else None,
        one_of=tuple(one_of) if one_of else None,
        matches=own.get("matches", source.matches if source else None),
        reason=own.get("reason"),
        history_only=own.get("only") == "history",
    )


def _said_of_key(where: str, name: str, contract: Contract | None) -> str:
    shared = _shared(contracts.FOLDER)
    if name in shared:
        return shared[name]["is"]
    if source := _source(contract, name):
        return source.description
    raise _wrong(f"{where}.{name}", "is in no list of shared columns, which says what a key is")


def _source(contract: Contract | None, name: str) -> Column | None:
    return contract.column(name) if contract and name in contract.names else None


def _refuse_what_does_not_fit(p: Publication) -> None:
    for one in (p.name, p.table, *p.key):
        if not NAME.fullmatch(one):
            raise _wrong(p.target, f"has {one}, which is no name for Postgres")
    if p.who_left not in get_args(WhoLeft):
        raise _wrong(p.target, f"does not know {p.who_left} for who left")
    if set(p.figures.values()) - set(get_args(Unit)):
        raise _wrong(p.target, f"has a figure whose unit is none of {', '.join(get_args(Unit))}")
    if p.figures and p.headline is None:
        raise _wrong(p.target, "has figures and no headline, which orders its rows")
    if p.query is not None and (p.history or p.who_left == "blanked"):
        raise _wrong(p.target, "comes from a query: it has no history, and its query says what is left of who left")
    if p.since is not None and p.query is None:
        raise _wrong(p.target, "says since when its rows are as they are, which only what comes from a query can")
    if p.at_stake is not None and (set(p.at_stake) != STAKE_KEYS or p.of is None):
        raise _wrong(p.target, f"says what is at stake, but not by {', '.join(sorted(STAKE_KEYS))} and of which table")
    _refuse_wrong_columns(p)


def _refuse_wrong_columns(p: Publication) -> None:
    names = {column.name for column in p.columns}
    named = {*p.figures, *p.keeps, *p.shown, *({p.headline, p.permits} - {None})}
    named |= {p.since.column, *p.since.but_for} if p.since else set()
    if absent := named - names:
        raise _wrong(p.target, f"names {', '.join(sorted(map(str, absent)))}, which is none of its columns")
    if taken := names & {*p.key, *STAMPS, "schema_version"}:
        raise _wrong(p.target, f"declares {', '.join(sorted(taken))}, which every published table has")
    for column in p.columns if p.contract else ():
        if column.name != MEMBER and _source(p.contract, "reasons" if column.reason else column.name) is None:
            raise _wrong(p.target, f"has a column {column.name} that the table of its scores has not")


@cache
def _shared(folder: Path) -> Mapping[str, Any]:
    """Columns that are described once, by name; read once, for each column of each publication asks."""
    found: dict[str, Any] = yml.read(folder / "sms.shared.yml")
    return found


def _refuse_unknown(where: str, spec: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(spec) - known:
        raise _wrong(where, f"has {', '.join(sorted(unknown))}, which nothing reads")


def _wrong(where: str, what: str) -> InputError:
    return InputError(
        f"The publication of {where} {what}.",
        todo="Correct its section `publish`; rekindle/publishing/publications.py says what there may be.",
        safe="Nothing was published.",
    )
