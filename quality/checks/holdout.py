"""Nobody changes arms over 30 runs and 1,000 users who are created anew, and the share is the setting's within chance."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import psycopg

from quality.database import own_database
from quality.figures import Figure, lots
from quality.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS, RUNS, CREATED_ANEW, SHARE = 20_000, 30, 1_000, 0.05
LOST_EVERY = 10
"""In every so many runs the ledger itself is lost and made anew."""

STANDARD_ERRORS = 3.0


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Let users come, go, and come back under other ids with the phones that they had."""
    users, drawn = round(USERS * size), lots("Rekindle's holdout")
    anew = max(round(CREATED_ANEW * size / RUNS), 1) + 1
    phone_of = {f"u{n}": hashlib.sha256(f"phone {n}".encode()).hexdigest() for n in range(users)}
    with own_database() as url, psycopg.connect(url) as connection:
        ledger = Ledger(connection)
        arms = ledger.decide(phone_of, SHARE)
        first = {phone: arms[user] for user, phone in phone_of.items()}
        flips = created = 0
        for run in range(RUNS):
            if run % LOST_EVERY == LOST_EVERY - 1:
                ledger.lose()
            leaving = drawn.choice(sorted(phone_of), anew, replace=False).tolist()
            for user in leaving:
                phone_of[f"{user}-{run}"] = phone_of.pop(user)
            created += len(leaving)
            present = drawn.permutation(sorted(phone_of))[: users // 2].tolist()
            ledger.decide({user: phone_of[user] for user in present}, SHARE)
            arms = ledger.decide(phone_of, SHARE)
            flips += sum(arms[user] != first[phone] for user, phone in phone_of.items())
        connection.rollback()
    yield Figure("changes of arm", flips, at_most=0, digits=0)
    yield Figure("runs", RUNS, at_least=RUNS, digits=0)
    yield Figure("users created anew with their phone", created, at_least=CREATED_ANEW * size, digits=0)
    off = (sum(first.values()) - users * SHARE) / math.sqrt(users * SHARE * (1 - SHARE))
    yield Figure(
        "standard errors between the share held out and the setting", abs(off), at_most=STANDARD_ERRORS, digits=2
    )
