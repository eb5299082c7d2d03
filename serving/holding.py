"""
Reading what is published into memory, and renewing it beside the one that answers.

A publish changes all of it in one transaction, and it is read in one: nobody is answered from two days. Where Postgres is away,
what is held goes on answering, and says until when it is valid.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql
from pyarrow import csv

from ml.model import artifact
from ml.model.scorer import Scorer
from ml.products import PRODUCTS, RECOMMENDATION
from rekindle.errors import RekindleError
from rekindle.postgres import clock, connect
from rekindle.publishing import answers, bids, publications, recommended
from rekindle.settings import settings
from serving import keys
from serving.bidding import Bids
from serving.held import USER, Held, Known, Offer, Rows, Scoring
from serving.recommended import Offered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from ml.products import Product
    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

LOG = logging.getLogger("serving")

EVERY_SECONDS, END_SECONDS = 10.0, 2.0
"""How often Postgres is asked whether there is something new: who was erased is forgotten so soon."""

TIME = "timestamp with time zone"
AS_ISO = sql.SQL("""to_char({} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""")

CSV_TYPES = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.string(),
    "double precision": pa.float64(),
    TIME: pa.string(),
}
"""Of the types that a publication may declare, as answers show them; a number with decimals is a double."""

ERASED = """
select user_id from sms.erasure_feed
union select user_id from rekindle.withdrawal where kind = 'erasure' and user_id is not null
"""
"""Who was erased, and who has asked for it as the hourly run has read: nothing is left of the latter either."""

WITHDRAWN = """
select user_id from rekindle.withdrawal, (select min(day) as day from serving.rta_bids) as bids
where user_id is not null and recorded_at >= (bids.day + 1)::timestamp at time zone 'utc'
"""
"""Who was heard to withdraw since the end of the day whose bids are published: what was heard before, the day knew."""

UPDATED_AT = "updated_at"
TRACE = ("day", UPDATED_AT)
"""What answers say of a row beside its columns."""


@dataclass
class Holding:
    """What answers are made of now. Whoever answers takes each of the two once, and keeps to it."""

    held: Held | None = None
    """None until a first day was read."""
    known: Known | None = None
    on_new_day: Callable[[Held], None] = lambda _held: None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Of `held`, which both threads replace."""

    def renew_known(self, connection: Connection) -> None:
        """Read whose keys are in force, and who was erased: beside those of before, for what is held may be older."""
        now = read_known(connection)
        before = self.known.erased if self.known else frozenset()
        self.known = replace(now, erased=now.erased | before)
        self._leave_out()

    def _leave_out(self) -> None:
        """Bid for no device of who was erased, or has withdrawn: within seconds of the run that has read it."""
        held, known = self.held, self.known
        if held and held.bids and known:
            bids = held.bids.without(known.erased | known.withdrawn)
            if bids is not held.bids:
                with self._lock:
                    # Another day may have been read meanwhile.
                    if self.held is held:
                        self.held = replace(held, bids=bids)

    def renew_held(self, connection: Connection) -> None:
        """Read the published day where another was published than the one that is held."""
        is_new = self.held is None or _published_at(connection) != self.held.published_at
        if is_new and (held := read_held(connection)) is not None:
            self.on_new_day(held)
            with self._lock:
                self.held = held
            self._leave_out()

    def renewing(self, every_seconds: float = EVERY_SECONDS) -> tuple[Renewing, ...]:
        """Return the threads that renew it: who was erased waits for no day that is being read."""
        return tuple(Renewing(what, every_seconds) for what in (self.renew_known, self.renew_held))


class Renewing(threading.Thread):
    """Renew something again and again; whatever goes wrong, what is held stays, and the log says it."""

    def __init__(self, renew: Callable[[Connection], None], every_seconds: float) -> None:
        super().__init__(name=renew.__name__, daemon=True)
        self._renew, self._every_seconds = renew, every_seconds
        self._ended = threading.Event()

    def run(self) -> None:
        connection: Connection | None = None
        while not self._ended.is_set():
            try:
                if connection is None or connection.closed:
                    connection = connect()
                self._renew(connection)
            except Exception as error:  # noqa: BLE001 - a thread that has ended would renew nothing, and nobody would know
                _say(f"{self.name} did not succeed, and what is held stays", error)
                if connection is not None:
                    connection.close()
            self._ended.wait(self._every_seconds)
        if connection is not None:
            connection.close()

    def end(self) -> None:
        """Let it end; what it is at just now may take it a while longer, and holds nobody up."""
        self._ended.set()
        self.join(END_SECONDS)


def _say(what: str, error: Exception) -> None:
    """Write a line about an error. The text of a foreign one may hold data."""
    LOG.warning("%s: %s", what, error.what if isinstance(error, RekindleError) else type(error).__name__)


def read_known(connection: Connection) -> Known:
    """Read who was erased, and whose keys are in force."""
    with connection.transaction():
        erased = frozenset(user for (user,) in connection.execute(ERASED))
        withdrawn = frozenset(user for (user,) in connection.execute(WITHDRAWN))
        return Known(erased, withdrawn, keys.in_force(connection), clock(connection))


def read_held(connection: Connection) -> Held | None:
    """Read the published day, as of one moment; None where nothing was published yet."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        if (published_at := _published_at_now(connection)) is None:
            return None
        material, to_bid = answers.read(connection), bids.read(connection)
        fresh = {
            table: (day, valid_until)
            for table, day, valid_until in connection.execute("select table_name, day, valid_until from sms.freshness")
        }
        offers = {}
        for product in PRODUCTS:
            publication = publications.of_table(product.table)
            if product.key == (USER,) and publication.table in fresh:
                day, valid_until = fresh[publication.table]
                scoring = _scoring(material, product, day)
                offers[product.name] = Offer(product, day, valid_until, _rows(connection, publication), scoring)
        offered = _offered(connection, fresh)
    inputs = Rows(_whole(material.inputs)) if material.inputs is not None else None
    bidding = Bids.of(to_bid) if to_bid else None
    return Held(offers, inputs, published_at, offered, bidding) if offers or offered else None


def _offered(connection: Connection, fresh: Mapping[str, tuple[date, datetime]]) -> Offered | None:
    """What users are recommended, until when what tools read of it may be used."""
    published = recommended.read(connection)
    table = publications.of_table(RECOMMENDATION.published).table
    if published is None or table not in fresh:
        return None
    items = Rows(_whole(published.items))
    places = {item: place for place, item in enumerate(items.batch.column("item_id").to_pylist())}
    _, valid_until = fresh[table]
    return Offered(published.day, valid_until, published.trace, Rows(_whole(published.users)), items, places)


def _scoring(material: answers.Published, product: Product, day: date) -> Scoring | None:
    """The model of a product's day, whose bytes are checked before they are read; None of one that cannot be used."""
    model = material.models.get(product.name)
    if model is None or material.day != day:
        return None
    try:
        scorer = Scorer.from_files(artifact.unpack(model.archive, model.digest))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the other products are answered
        _say(f"The model of {product.name} is not used", error)
        return None
    absent = {target.label for target in product.targets(settings())} - {one.label for one in scorer.forecasts}
    if absent:
        LOG.warning("The model of %s is not used: it says nothing of %s.", product.name, ", ".join(sorted(absent)))
        return None
    return Scoring.of(model, scorer)


def _published_at(connection: Connection) -> datetime | None:
    with connection.transaction():
        return _published_at_now(connection)


def _published_at_now(connection: Connection) -> datetime | None:
    """When something that answers are made of was last published."""
    sources = [*(product.table for product in PRODUCTS), RECOMMENDATION.published]
    tables = [publications.of_table(source).table for source in sources]
    row = connection.execute(
        "select max(published_at) from sms.freshness where table_name = any(%s)", [tables]
    ).fetchone()
    return row[0] if row else None


def _rows(connection: Connection, publication: Publication) -> Rows:
    """All current rows of a published table, by COPY: a million of them as Python's values would hold up the answers."""
    columns: Mapping[str, pa.DataType] = {
        USER: pa.string(),
        **{column.name: CSV_TYPES.get(column.type, pa.float64()) for column in publication.current_columns},
        **dict.fromkeys(TRACE, pa.string()),
    }
    times = {UPDATED_AT, *(column.name for column in publication.current_columns if column.type == TIME)}
    selected = [(AS_ISO if name in times else sql.SQL("{}")).format(sql.Identifier(name)) for name in columns]
    query = sql.SQL("copy (select {} from {} order by user_id) to stdout (format csv)").format(
        sql.SQL(", ").join(selected), sql.Identifier(*publication.target.split("."))
    )
    with tempfile.TemporaryFile() as file:
        with connection.cursor().copy(query) as copied:
            for block in copied:
                file.write(block)
        if not file.tell():
            return Rows(_whole(pa.schema(columns.items()).empty_table()))
        file.seek(0)
        table = csv.read_csv(
            file,
            csv.ReadOptions(column_names=list(columns)),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict(columns),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
    return Rows(_whole(pa.table({name: _told_once(name, table[name]) for name in table.column_names})))


def _told_once(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts that many rows share, a model's digest and words of reasons, each once; others as they are."""
    if name == USER or not pa.types.is_string(column.type):
        return column
    encoded = column.combine_chunks().dictionary_encode()
    return pa.chunked_array([encoded]) if 2 * len(encoded.dictionary) < len(column) else column


def _whole(table: pa.Table) -> pa.RecordBatch:
    """A table in one piece: a value is then found without looking for its chunk."""
    return (
        table.combine_chunks().to_batches(max_chunksize=max(table.num_rows, 1))[0] if table.num_rows else _none(table)
    )


def _none(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=table.schema)
