"""
Contracts: what each table that Spark or ML writes is, read from `contracts/<schema>.<table>.yml`.

One YAML holds columns, key, partition and checks; the CREATE TABLE statement, the checks of an audit and, for landing
sources, the rules of ingestion are derived from it. dbt's tables carry their contract in their own yml.

`personal` says that a column is about a person, and how: an `id` names one, a `phone` is a number, a `text` is what somebody
wrote, a `device` the hash of an advertising id, a `trait` what is known of somebody. A landing source with a phone, a text or a
device is confidential: of its rows that cannot be loaded, quarantine keeps what is not personal. A phone stands as it was
delivered in one table; any other keeps an HMAC of it and says so by `of_phone`, the name of the column that is delivered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from rekindle import yml
from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rekindle.records import Severity

FOLDER = PROJECT / "contracts"

SPARK_TYPES = {"id": "string"}
"""Our own type names; every other is Spark's. An `id` is a string that names something: short, printable, not empty."""

BuiltBy = Literal["ingest", "build", "score", "recommend"]

Personal = Literal["id", "phone", "text", "device", "trait"]
"""How a column is about a person."""

CONTRACT_KEYS = {"table", "is", "owner", "key", "partition", "columns", "stop_if", "warn_if", "landing"}
CONTRACT_KEYS |= {"built_by", "reads", "always_built", "self", "days", "publish", "keep"}
COLUMN_KEYS = {
    "type",
    "is",
    "nullable",
    "between",
    "in",
    "matches",
    "default",
    "derived",
    "few",
    "for",
    "empty",
    "unit",
    "says",
    "personal",
    "required",
    "of_phone",
    "watched",
    "adds_up",
}
CONFIDENTIAL = ("phone", "text", "device")
"""Kinds of personal columns of which even a broken row shows nothing: in the place of a hash may stand the id itself."""

CONDITIONS = {
    "rows_change_by",
    "mean_moves_by",
    "constant",
    "null_share",
    "sums_differ",
    "rows_match",
    "rows_where",
}


Measure = Literal["money", "time"]
"""Units that a number is said in, and not counted in."""


@dataclass(frozen=True)
class Words:
    """
    How people would say a value: with `{value}`, the number and its unit, `{w}`, the days of its window, and `{key}`.

    `negative` and `missing` say what `value` does not fit; `unit` is what is counted, one and many of it, or money, or time in
    seconds. `beside` is another column, and how its value is said behind this one: what is usual.
    """

    value: str
    negative: str | None = None
    missing: str | None = None
    unit: tuple[str, str] | Measure | None = None
    window: int | None = None
    beside: tuple[str, str] | None = None


@dataclass(frozen=True)
class Column:
    """
    One column: its type, what it is, what its values must be, and how they are said.

    `derived` is SQL over the other columns. A column of a family knows its window. `empty` stands where nothing was counted.
    """

    name: str
    type: str
    description: str
    nullable: bool = False
    between: tuple[float | None, float | None] | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = None
    default: str | None = None
    derived: str | None = None
    empty: Any = None
    family: str | None = None
    window: int | None = None
    words: Words | None = None
    personal: Personal | None = None
    required: bool = False
    """A landing file must have the column, though its cells may be empty."""
    of_phone: str | None = None
    """The delivered column of phones that this one keeps HMACs of."""
    has_few: bool = False
    """A delivery with very many values of it is warned of: each is a category of its own, and an id or an address is none."""
    is_watched: bool = True
    """Whether a move of its distribution within a week is news; that time passes is none."""

    adds_up: bool = False
    """Whether the value of a day is that of the day before, plus what enters the column's window, minus what leaves it."""

    @property
    def must_be_delivered(self) -> bool:
        """Whether a landing file without the column is refused."""
        return self.required or (not self.nullable and self.default is None)

    @property
    def spark_type(self) -> str:
        return SPARK_TYPES.get(self.type, self.type)


@dataclass(frozen=True)
class Landing:
    """
    How a source is read: facts are identified by key and date, states by key; `time` says when a fact happened, or when a state
    became known, where it says so itself.

    A source is `required`, or it is not, or it belongs to a group, of which one is. Without what is `for` permission a day is
    scored all the same: nobody is permitted anew.
    """

    source: str
    kind: Literal["fact", "state"]
    required: bool | str
    time: str | None = None
    serves: Literal["scores", "permission"] = "scores"
    timeless: str | None = None
    """SQL over the delivered cells that is true of a row which counts without its time where that cannot be used."""
    by_hour: bool = False
    """Whether hours of a day may be delivered ahead, for taking permission away: what the day loads holds the same again."""


@dataclass(frozen=True)
class Contract:
    """What a table is. `stop_if` keeps a partition from being released, `warn_if` only says so."""

    table: str
    description: str
    owner: str
    key: tuple[str, ...]
    partition: tuple[str, ...]
    columns: tuple[Column, ...]
    stop_if: Mapping[str, Any] = field(default_factory=dict)
    warn_if: Mapping[str, Any] = field(default_factory=dict)
    landing: Landing | None = None
    built_by: BuiltBy = "build"
    """Ingestion, a Spark job named like the table, scoring, or the one learning that makes all recommendations."""
    reads: Mapping[str, str] | Literal["landing"] = field(default_factory=dict)
    """
    The tables that a day is built from, and how far back each is read; see rekindle.warehouse.lineage. `landing` is what
    ingestion writes beside the sources' own tables.
    """
    own_reach: str | None = None
    """How far back the table reads itself."""
    days: Literal["every", "weekly", "served"] = "every"
    """Which days of a history are wanted: every one; the weekly ones that samples are taken from and the latest; or none, because
    it is of use on days alone that a daily run publishes."""
    keep: str | None = None
    always_built: bool = False
    """Whether it is made of more than `reads` says, of which there is no fingerprint: what people decide in Postgres."""
    """The setting that says for how many days rows are kept; None where they stay."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """The key without the day: what names a thing across deliveries."""
        return tuple(name for name in self.key if name != "day")

    @property
    def delivered(self) -> tuple[Column, ...]:
        """Columns that a landing file may hold: all but the day and what is derived from the others; phones by their names."""
        return tuple(
            replace(c, name=c.of_phone or c.name) for c in self.columns if c.name != "day" and c.derived is None
        )

    @property
    def keyed_phones(self) -> tuple[str, ...]:
        """Delivered columns of phones of which only an HMAC is kept."""
        return tuple(c.of_phone for c in self.columns if c.of_phone)

    @property
    def is_confidential(self) -> bool:
        """Whether it holds phones, hashes of devices or what people wrote."""
        return any(column.personal in CONFIDENTIAL for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def lands(self) -> Landing:
        """How its landing source is read; asked of contracts of landing sources only."""
        assert self.landing is not None, f"{self.table} is no landing source"  # noqa: S101 - says what was asked of whom
        return self.landing

    @property
    def happened_at(self) -> str:
        """The column that says when a fact happened; asked of contracts of facts only."""
        assert self.lands.time is not None, f"{self.table} holds no facts"  # noqa: S101 - says what was asked of whom
        return self.lands.time

    @property
    def by_severity(self) -> tuple[tuple[Severity, Mapping[str, Any]], ...]:
        return ("stop", self.stop_if), ("warn", self.warn_if)

    @property
    def phrases(self) -> dict[str, Words]:
        """How the values of its columns are said, by column."""
        return {column.name: column.words for column in self.columns if column.words}

    def windows(self, family: str) -> tuple[int, ...]:
        """The windows, in days, for which a family has a column; none where there is no such family."""
        return tuple(c.window for c in self.columns if c.family == family and c.window is not None)

    def create_table(self) -> str:
        """Spark SQL that creates the table, empty, if it is not there."""
        columns = ",\n  ".join(f"`{c.name}` {c.spark_type} COMMENT {quoted(c.description)}" for c in self.columns)
        none = without_statistics(c.name for c in self.columns if c.personal)
        statistics = "".join(f", {quoted(name)} = {quoted(value)}" for name, value in none.items())
        return (
            f"CREATE TABLE IF NOT EXISTS {self.table} (\n  {columns}\n) USING iceberg\n"
            f"PARTITIONED BY ({', '.join(self.partition)})\n"
            f"COMMENT {quoted(self.description)}\n"
            f"TBLPROPERTIES ('rekindle.owner' = {quoted(self.owner)}, 'write.wap.enabled' = 'true'{statistics})"
        )


def without_statistics(columns: Iterable[str]) -> dict[str, str]:
    """
    Properties of a table whose manifests hold no smallest and largest value of some columns, and so no person's.

    Files are pruned by day; nothing looks for a person by them.
    """
    return {f"write.metadata.metrics.column.{name}": "none" for name in columns}


def quoted(text: str) -> str:
    """Quote a text as Spark reads it: a backslash begins an escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@cache
def tables() -> tuple[str, ...]:
    """Names of all tables that have a contract, in alphabetical order; what is only published (`sms.*`) is none of them."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yml") if p.stem != "shared" and not p.stem.startswith("sms.")))


@cache
def landing_sources() -> tuple[str, ...]:
    """Names of the landing sources: users first, because rows of other sources are looked up in them."""
    sources = [c.landing for c in map(load, tables()) if c.landing]
    return tuple(s.source for s in sorted(sources, key=lambda s: (s.source != "users", s.kind != "state", s.source)))


@cache
def load(table: str) -> Contract:
    """
    Read the contract of a table.

    Raises InputError for an unknown table, and for a contract with a key that nobody reads: a check that is misspelt
    must not silently be no check.
    """
    path = FOLDER / f"{table}.yml"
    if not path.is_file():
        raise InputError(f"There is no table {table!r} with a contract.", todo=f"Choose one of: {', '.join(tables())}.")
    text = path.read_text().replace("$currency", settings().currency)
    raw = yml.loads(text)
    shared = yml.read(FOLDER / "shared.yml")
    _refuse_unknown(table, raw, CONTRACT_KEYS)
    columns = tuple(
        column
        for name, spec in raw["columns"].items()
        for column in _columns(table, name, shared[name] if spec == "shared" else spec)
    )
    for conditions in (raw.get("stop_if"), raw.get("warn_if")):
        _refuse_unknown(table, conditions or {}, CONDITIONS)
    source = table.split(".")[1]
    partition = raw["partition"]
    return Contract(
        table=raw["table"],
        description=raw["is"],
        owner=raw["owner"],
        key=tuple(raw["key"]),
        partition=tuple(partition) if isinstance(partition, list) else (partition,),
        columns=columns,
        stop_if=raw.get("stop_if") or {},
        warn_if=raw.get("warn_if") or {},
        landing=_landing(source, raw["landing"]) if "landing" in raw else None,
        built_by=raw.get("built_by", "ingest" if "landing" in raw else "build"),
        reads=raw.get("reads") or {},
        own_reach=raw.get("self"),
        days=raw.get("days", "every"),
        keep=raw.get("keep"),
        always_built=raw.get("always_built", False),
    )


@cache
def permission_sources() -> tuple[str, ...]:
    """Names of the landing sources without which a day is scored, and nobody is permitted anew."""
    return tuple(source for source in landing_sources() if load(f"raw.{source}").lands.serves == "permission")


def _landing(source: str, spec: Mapping[str, Any]) -> Landing:
    given = {"serves" if name == "for" else name: value for name, value in spec.items()}
    if given.get("serves", "scores") not in {"scores", "permission"}:
        raise InputError(
            f"The contract of raw.{source} is for {given['serves']}, which nobody knows.",
            todo="Write `for: permission`, or nothing where scores are made of it.",
        )
    return Landing(source=source, **given)


def landing_contract(source: str) -> Contract:
    """Contract of the raw table that a landing source is loaded into."""
    if source not in landing_sources():
        raise InputError(
            f"There is no landing source {source!r}.", todo=f"Choose one of: {', '.join(landing_sources())}."
        )
    return load(f"raw.{source}")


def _columns(table: str, name: str, spec: Mapping[str, Any]) -> list[Column]:
    """The column of an entry, or of a family one for each of its windows."""
    _refuse_unknown(f"{table}.{name}", spec, COLUMN_KEYS)
    if "for" not in spec:
        return [_column(name, spec)]
    return [replace(_column(name.format(w=w), spec, w), family=name, window=w) for w in spec["for"]]


def _column(name: str, spec: Mapping[str, Any], window: int | None = None) -> Column:
    about = spec["is"] if window is None else spec["is"].format(w=count(window, ("day", "days")))
    return Column(
        name=name,
        type=spec["type"],
        description=about,
        nullable=spec.get("nullable", False),
        between=_between(spec["between"], window) if "between" in spec else None,
        one_of=tuple([spec["in"]] if isinstance(spec["in"], str) else spec["in"]) if "in" in spec else None,
        matches=spec.get("matches"),
        default=spec.get("default"),
        derived=spec.get("derived"),
        empty=spec.get("empty"),
        words=_words(spec, window) if "says" in spec else None,
        personal=_personal(name, spec),
        required=spec.get("required", False),
        of_phone=spec.get("of_phone"),
        has_few=spec.get("few", False),
        is_watched=spec.get("watched", True),
        adds_up=spec.get("adds_up", False),
    )


def _personal(name: str, spec: Mapping[str, Any]) -> Personal | None:
    kind: Personal | None = spec.get("personal")
    if kind is not None and kind not in get_args(Personal):
        raise InputError(
            f"The column {name} is personal in a way that nobody knows: {kind}.",
            todo=f"Use one of: {', '.join(get_args(Personal))}.",
        )
    return kind


def _between(edges: Sequence[Any], window: int | None) -> tuple[float | None, float | None]:
    low, high = (window if edge == "w" else edge for edge in edges)
    return low, high


def _words(spec: Mapping[str, Any], window: int | None) -> Words:
    said = spec["says"]
    unit = spec.get("unit")
    if isinstance(unit, str) and unit not in get_args(Measure):
        unit = (unit, f"{unit}s")
    told: dict[str, Any] = {"value": said} if isinstance(said, str) else dict(said)
    (beside,) = told.pop("beside", {}).items() or (None,)
    return Words(**told, unit=tuple(unit) if isinstance(unit, list) else unit, window=window, beside=beside)


def count(number: float, unit: tuple[str, str]) -> str:
    """Say how many there are: `1 day`, `6.2 days`. Whole numbers have no point, others one decimal."""
    said = f"{number:.0f}" if float(number).is_integer() else f"{number:.1f}"
    return f"{said} {unit[number != 1]}"


def duration(seconds: float) -> str:
    """Say how long it took: `1 second`, `12 minutes`, `3.4 hours`."""
    unit, long = next((unit for unit in (("hour", 3600), ("minute", 60)) if seconds >= unit[1]), ("second", 1))
    return count(round(seconds / long, 1), (unit, f"{unit}s"))


def _refuse_unknown(where: str, spec: Mapping[str, Any], known: set[str]) -> None:
    unknown = set(spec) - known
    if unknown:
        raise InputError(
            f"The contract of {where} has {', '.join(sorted(unknown))}, which nothing reads.",
            todo=f"Use only: {', '.join(sorted(known))}.",
        )
