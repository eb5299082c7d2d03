"""
Who was sent a message on the days that a label is about, and who would have been, had they stayed away.

Recall's score is the chance of a return without a message of ours. Rows with one are learnt from, as such; candidates are chosen,
calibrated and judged on rows without one. To take for these whoever was sent none would be wrong, by more than messages change:
who comes back is no longer among those who are sent any, so who was sent none has come back more often (Suissa 2008, Immortal
time bias in pharmaco-epidemiology). Of those who came back with no message before, as many are therefore put among the messaged
as would have been sent one on the days that were left. That share is the product-limit estimate (Kaplan and Meier 1958) among
users of the same day who were as likely to be sent one (strata of a propensity score: Rosenbaum and Rubin 1984). It is what
weights by the inverse probability of censoring do (Robins and Finkelstein 2000), by leaving rows out instead.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ml.model.encoder import Dense, Encoded, Encoders, doubles
from ml.model.learners import LEARNERS, Examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.products import Target

COLUMNS = ("messages", "message_after_days", "active_after_days")
"""What a row of marts.labels says beside the label."""

STRATA = 5
"""Of users of a day: five take nine tenths of a bias away (Cochran 1968)."""

MIN_SENT = 50
"""Rows with a message, and without one: of fewer nobody can say who is more likely to be sent one."""

LEARNT_FROM = 20_000
"""Rows that are learnt from who is sent messages: of more a stratum moves by less than its own noise."""


def with_messaged(
    rows: pa.Table, target: Target, leave_out: Sequence[str], weight: np.ndarray | None = None
) -> pa.Table:
    """
    Put for `COLUMNS` one column that says 1 of who was, or would have been, sent a message on the days of a target, else 0.

    A message of the day of the return counts as before it: it was decided on by what was known the day before. Where nobody was
    sent any there is no such column. `leave_out` are columns that nobody is told apart by; `weight` is how much each row counts.
    """
    message, active = (np.nan_to_num(doubles(rows[name]), nan=np.inf) for name in COLUMNS[1:])
    told = rows.drop_columns(list(COLUMNS))
    sent = np.isfinite(message) & (message <= active)
    if not sent.any():
        return told
    returned = np.isfinite(active) & ~sent
    groups = _groups(told, sent, np.isfinite(active), leave_out=leave_out)
    stays = staying(groups, np.minimum(active, target.to_day), message, target.to_day, weight)
    would = np.zeros(len(sent), bool)
    would[returned] = _drawn(told, np.flatnonzero(returned)) >= stays[returned]
    return told.append_column(target.messaged, pa.array((sent | would).astype(np.int8)))


def staying(
    groups: np.ndarray, until: np.ndarray, message: np.ndarray, last: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """
    Estimate the chance of being sent no message after a day, up to the last, of who was sent none up to it, by group.

    Each row is at risk on the days 1 to `until`, its return or the last day, as long as no message came; `message` is the day of
    the first, infinite without one.
    """
    stayed = np.ones((int(groups.max()) + 1, last + 1))
    for day in range(1, last + 1):
        at_risk = (until >= day) & (message >= day)
        risk, sent = (
            np.bincount(groups[rows], None if weight is None else weight[rows], minlength=len(stayed))
            for rows in (at_risk, at_risk & (message == day))
        )
        stayed[:, day] = stayed[:, day - 1] * (1 - sent / np.where(risk > 0, risk, 1))
    upto = stayed[groups, until.astype(int)]
    return np.divide(stayed[groups, last], upto, out=np.zeros(len(groups)), where=upto > 0)


def _groups(rows: pa.Table, sent: np.ndarray, returned: np.ndarray, *, leave_out: Sequence[str]) -> np.ndarray:
    """
    Number users of a day who are about as likely to be sent a message.

    Told by those who did not come back: of them all days were open to one.
    """
    _, days = np.unique(rows["day"].to_numpy(), return_inverse=True)
    whole = np.flatnonzero(~returned)
    some = whole[:: -(-len(whole) // LEARNT_FROM) or 1]
    if min(sent[some].sum(), (~sent[some]).sum()) < MIN_SENT:
        return days
    learnt = rows.take(pa.array(some))
    encoders = Encoders(learnt, leave_out=leave_out)
    if not encoders.of(Dense).features:
        return days
    (part,) = LEARNERS["logistic"].fit(encoders, "binary", Examples(Encoded(learnt), sent[some].astype(np.float64)), 0)
    # Some at a time: the matrix of a whole sample is as large as all that a training holds of it otherwise.
    parts = (rows.slice(at, LEARNT_FROM) for at in range(0, rows.num_rows, LEARNT_FROM))
    likely = np.concatenate([part.raw(Encoded(few)) for few in parts])
    order = np.lexsort((likely, days))
    counts = np.bincount(days)
    rank = np.empty(len(days), dtype=int)
    rank[order] = np.arange(len(days)) - np.repeat(np.cumsum(counts) - counts, counts)
    return days * STRATA + rank * STRATA // counts[days]


def _drawn(rows: pa.Table, at: np.ndarray) -> np.ndarray:
    """Draw a number from 0 to 1 for some rows by a hash of user and day: the same in every sample that has the row."""
    some = rows.select(["user_id", "day"]).take(pa.array(at))
    named = (
        f"{user} {day}".encode() for user, day in zip(*(column.to_pylist() for column in some.columns), strict=True)
    )
    hashed = (int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) for name in named)
    return np.fromiter(hashed, np.float64, len(at)) / 2**64
