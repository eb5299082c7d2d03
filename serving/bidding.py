"""
Answers to auctions, while they wait: whether to bid for a device, by which strategy, and how high.

What is held is the devices that the published day bids for, those of its control group, and nothing of any other: one that was
refused, one of somebody who was erased and one that nobody has ever seen get the same answer, the default, which is no bid. The
control group is not bid for either; its answers say whose control it is, so that logs of requests do. An advertising id is hashed
as it comes in, and neither it nor its hash is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from rekindle.bidding.declared import rta
from rekindle.publishing.answers import USER

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from numpy.typing import NDArray

    from rekindle.publishing.bids import Published

HASH_BYTES = 32

NOBODYS = sha256(b"00000000-0000-0000-0000-000000000000").digest()
"""What a device says that lets nobody follow it."""


@dataclass(frozen=True)
class Bid:
    """What is answered of a device: a strategy, and what the usual bid is to be multiplied by."""

    strategy: str
    multiplier: float
    is_bid: bool


def no_bid() -> Bid:
    """Return the default: of what is unknown, late or expired."""
    return Bid(rta().default, 0.0, is_bid=False)


@dataclass(frozen=True)
class Bids:
    """The devices that are bid for, in the order of their hashes, one row per device and user: 43 bytes each."""

    hashes: NDArray[np.bytes_] = field(repr=False)
    users: NDArray[np.uint64] = field(repr=False)
    """Of each row's user the first eight bytes of the id's SHA-256: two who share them are forgotten together."""
    codes: NDArray[np.uint8] = field(repr=False)
    """The strategy's place among `strategies`."""
    hundredths: NDArray[np.uint16] = field(repr=False)
    """Multipliers, in hundredths."""
    strategies: tuple[str, ...]
    valid_until: datetime

    @classmethod
    def of(cls, published: Published) -> Bids:
        """Pack what is published, in the order of the hashes whatever order it came in."""
        rows = published.rows
        whole = rows["id_hash"].combine_chunks()
        hashes = np.frombuffer(whole.buffers()[1], f"S{HASH_BYTES}")[whole.offset : whole.offset + len(whole)]
        told = rows["strategy"].combine_chunks().dictionary_encode()
        order = np.argsort(hashes, kind="stable")
        return cls(
            hashes[order],
            np.fromiter(map(user_key, rows[USER].to_pylist()), np.uint64, rows.num_rows)[order],
            told.indices.to_numpy().astype(np.uint8)[order],
            np.rint(100 * rows["multiplier"].to_numpy()).astype(np.uint16)[order],
            tuple(told.dictionary.to_pylist()),
            published.valid_until,
        )

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return sum(column.nbytes for column in (self.hashes, self.users, self.codes, self.hundredths))

    def without(self, user_ids: Collection[str]) -> Bids:
        """Leave out each device that one of some users has."""
        theirs = np.isin(self.users, np.fromiter(map(user_key, user_ids), np.uint64, len(user_ids)))
        if not theirs.any():
            return self
        kept = ~np.isin(self.hashes, self.hashes[theirs])
        columns = (self.hashes[kept], self.users[kept], self.codes[kept], self.hundredths[kept])
        return Bids(*columns, self.strategies, self.valid_until)

    def answer(self, advertising_id: str, now: datetime) -> Bid:
        """Return the bid for a device; the default where there is none, and where the day has run out."""
        hashed = hash_of(advertising_id)
        place = int(np.searchsorted(self.hashes, np.array(hashed, self.hashes.dtype)))
        # numpy tells a text without the zeros that it ends with.
        is_held = place < len(self.hashes) and self.hashes[place] == hashed.rstrip(b"\0")
        if not is_held or hashed == NOBODYS or now >= self.valid_until:
            return no_bid()
        multiplier = float(self.hundredths[place]) / 100
        return Bid(self.strategies[self.codes[place]], multiplier, is_bid=multiplier > 0)


def hash_of(advertising_id: str) -> bytes:
    """SHA-256 of an advertising id, normalised as the source `devices` has it."""
    return sha256(advertising_id.strip().lower().encode("utf-8", "surrogatepass")).digest()


def user_key(user_id: str) -> int:
    """What is held of a user."""
    return int.from_bytes(sha256(user_id.encode()).digest()[:8], "big")
