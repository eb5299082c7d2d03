"""What there is to say of each table: one list from the landing zone to `sms`, each after what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rekindle.publishing import publications
from rekindle.warehouse import contracts, dbt, lineage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rekindle.publishing.publications import Publication, PublishedColumn
    from rekindle.warehouse.contracts import Contract

Layer = Literal["landing", "raw", "features", "marts", "scores", "recommendations", "published"]

LAYERS: Mapping[Layer, str] = {
    "landing": "Files as they are delivered: a folder per source and day.",
    "raw": "Every valid row as it was delivered, and what ingestion says of the deliveries.",
    "features": "Tiles that can be added up, and what was known of each user at the end of a day.",
    "marts": "Who is in a population, what came of it, and what people read; built and tested by dbt.",
    "scores": "What the champions say of each member of a population.",
    "recommendations": "What to show whom, learnt anew each day by the recipe of a champion.",
    "published": "What tools read, in Postgres: current rows, and their history by day.",
}
"""The layers in their order, and what they hold."""

LAYER_OF: Mapping[lineage.Kind, Layer] = {
    "ingest": "raw",
    "build": "features",
    "marts": "marts",
    "score": "scores",
    "recommend": "recommendations",
}


@dataclass(frozen=True)
class Described:
    """A table, a delivered source or a published table; `reads` says by name how far back."""

    name: str
    layer: Layer
    about: str
    owner: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    """Name, type, and what it is."""
    reads: Mapping[str, str]


def described() -> tuple[Described, ...]:
    """All that data pass through, each after what it reads."""
    return (*_landing(), *_warehouse(), *_published())


def _landing() -> Iterator[Described]:
    for source in contracts.landing_sources():
        contract = contracts.landing_contract(source)
        columns = tuple((c.name, c.spark_type, c.description) for c in contract.delivered)
        about = f"landing/{source}/day=YYYY-MM-DD/*, complete with its _SUCCESS."
        yield Described(_landed(source), "landing", about, contract.owner, contract.identity, columns, {})


def _landed(source: str) -> str:
    return f"landing.{source}"


def _warehouse() -> Iterator[Described]:
    for table in lineage.graph().tables.values():
        reads = {name: reach.text for name, reach in table.reads.items()}
        if table.is_by_product:
            # It is written together with the sources' tables, of the same files.
            reads = {_landed(source): "day" for source in contracts.landing_sources()}
        if table.kind == "marts":
            columns = tuple((c["name"], c["data_type"], c["description"]) for c in dbt.columns(table.name).values())
            about = dbt.description(table.name)
            yield Described(table.name, "marts", about, "", (), columns, reads)
            continue
        contract = contracts.load(table.name)
        if contract.landing:
            reads = {_landed(contract.landing.source): "day", **reads}
        yield Described(
            table.name,
            LAYER_OF[table.kind],
            contract.description,
            contract.owner,
            contract.key,
            _columns(contract),
            reads,
        )


def _columns(contract: Contract) -> tuple[tuple[str, str, str], ...]:
    return tuple((c.name, c.spark_type, c.description) for c in contract.columns)


def _published() -> Iterator[Described]:
    for p in publications.declared():
        reads = {f"sms.{table}": "its current rows" for table in p.reads}
        if p.contract:
            reads = {p.contract.table: "day"}
        owner = p.contract.owner if p.contract else ""
        yield Described(p.target, "published", p.description, owner, p.key, _of_published(p, p.current_columns), reads)
        if p.history:
            about = f"{p.description} As it was published for each day."
            columns = _of_published(p, p.history_columns)
            yield Described(p.history_target, "published", about, owner, ("day", *p.key), columns, reads)


def _of_published(p: Publication, columns: tuple[PublishedColumn, ...]) -> tuple[tuple[str, str, str], ...]:
    keys = tuple((name, "text", said) for name, said in p.said_of_key.items())
    standing = map(publications.standing_column, ("schema_version", *publications.STAMPS))
    return (*keys, *((c.name, c.type, c.description) for c in (*columns, *standing)))
