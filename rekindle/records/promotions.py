"""Which version of a product's model scores from which day on, and what the gate said of each version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rekindle.errors import InputError
from rekindle.postgres import only_value, transact
from rekindle.records.rows import SAME_AGAIN, insert_many, jsonb_of, select, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from rekindle.postgres import Connection

ROLLBACK = "rollback"
"""How the promotion log marks a step back."""


@dataclass(frozen=True)
class Promotion:
    """A model version became the champion for scoring days from `effective_from_day` on."""

    promotion_id: int
    product: str
    version: str
    digest: str
    effective_from_day: date
    reason: str
    run_id: str
    promoted_at: datetime
    promoted_by: str | None = None
    """The account of Postgres that did it; None of what was promoted before that was kept."""


def append_promotion(  # noqa: PLR0917 - the record's columns, in their order
    product: str, version: str, digest: str, effective_from_day: date, reason: str, run_id: str
) -> None:
    """Record a promotion or a rollback. Rows are only ever added."""
    transact(
        lambda connection: insert_many(
            connection,
            "rekindle.promotion (product, version, digest, effective_from_day, reason, run_id)",
            [(product, version, digest, effective_from_day, text_of(reason), run_id)],
            again=SAME_AGAIN,
        )
    )


def promotions(product: str) -> list[Promotion]:
    """Find a product's promotions, oldest first: the last one that a day allows is its champion."""
    return select(Promotion, "rekindle.promotion where product = %s order by promotion_id", [product])


def promoted_products() -> list[str]:
    """Find the products of which a version was ever promoted."""
    rows = transact(
        lambda connection: connection.execute("select distinct product from rekindle.promotion order by 1").fetchall()
    )
    return [product for (product,) in rows]


def standing(promotions: Iterable[Promotion]) -> list[Promotion]:
    """Return the promotions that no rollback has withdrawn, the champion last; where all are, a rollback withdraws none."""
    left: list[Promotion] = []
    for promotion in promotions:
        if promotion.reason == ROLLBACK:
            del left[-1:]
        else:
            left.append(promotion)
    return left


@dataclass(frozen=True)
class Gate:
    """What the gate said of a version of a product's model, and of which bytes."""

    product: str
    version: str
    digest: str
    passed: bool
    why: str
    figures: Mapping[str, Any] = field(hash=False)
    sample_digest: str | None
    """Of the rows that it was trained and judged on; None where `from_tags`."""
    trained_day: date
    from_tags: bool = False
    """Whether it was registered before gates were kept here, and taken over from MLflow."""
    recorded_at: datetime | None = None
    route: str | None = None
    """By which way it came through the gate, see `ml.training.gate`; None of a version of before there were several."""
    criteria: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    """Each with name, threshold, value, low, high, passed and, in a sentence, told."""
    judged_digest: str | None = None
    """Of the model that the figures are of: `digest`, or where its recipe was fitted again on all days, another."""
    last_label_day: date | None = None
    """The last day whose label what scores has learnt, or is calibrated by."""
    run_id: str | None = None
    recalibrates: str | None = None
    """The version whose raw scores it has, of one of which only the calibration is new; None of one that was trained."""


def record_gate(gate: Gate) -> None:
    """Record what the gate said. Rows are only ever added; one that says something else of the same version is refused."""

    def work(connection: Connection) -> tuple[str, bool]:
        _insert_gates(connection, [gate])
        (found,) = connection.execute(
            "select digest, passed from rekindle.gates where product = %s and version = %s",
            [gate.product, gate.version],
        )
        return found

    if transact(work) != (gate.digest, gate.passed):
        raise InputError(
            f"Another version {gate.version} of {gate.product} was judged before: MLflow counts its versions anew.",
            todo="Connect the MLflow that goes with this database, or give both a new start.",
            safe="The version just registered can neither score nor be promoted.",
            code="gate_recorded_otherwise",
        )


def gates(product: str) -> dict[str, Gate]:
    """Find what the gate said of a product's versions, by version."""
    found = select(Gate, "rekindle.gates where product = %s", [product])
    return {gate.version: gate for gate in found}


def waiting(product: str) -> Gate | None:
    """
    Find the latest version that passed the gate and waits for a person: never promoted, and not of before the champion.

    Of the day of the champion that is one with a later number: on a day a champion is calibrated anew, and then another trained.
    One that a rollback has withdrawn was promoted once, and waits for nobody.
    """
    return waiting_of(promotions(product), gates(product))


def waiting_of(log: Sequence[Promotion], judged: Mapping[str, Gate]) -> Gate | None:
    """Find in a product's promotion log and verdicts, by version, the one that waits."""
    promoted, in_office = {promotion.version for promotion in log}, standing(log)
    champion = judged.get(in_office[-1].version) if in_office else None
    open_ = [
        gate
        for gate in judged.values()
        if gate.passed and gate.version not in promoted and (not champion or _turn(gate) >= _turn(champion))
    ]
    return max(open_, key=_turn, default=None)


def _turn(gate: Gate) -> tuple[date, int]:
    return gate.trained_day, int(gate.version)


def judged_products() -> list[str]:
    """Find the products of which a version was ever judged."""
    rows = transact(
        lambda connection: connection.execute("select distinct product from rekindle.gates order by 1").fetchall()
    )
    return [product for (product,) in rows]


def has_taken_over_gates() -> bool:
    """Whether the verdicts of versions that were registered before gates were kept are taken over, or there were none."""
    return transact(lambda c: only_value(c.execute("select exists (select from rekindle.gates_taken_over)")))


def take_over_gates(gates: Sequence[Gate]) -> bool:
    """Record the verdicts of versions that were registered before, which happens once; False where it had happened."""

    def work(connection: Connection) -> bool:
        first = connection.execute(f"insert into rekindle.gates_taken_over default values {SAME_AGAIN}").rowcount == 1
        if first:
            _insert_gates(connection, gates)
        return first

    return transact(work)


def _insert_gates(connection: Connection, gates: Sequence[Gate]) -> None:
    insert_many(
        connection,
        "rekindle.gates (product, version, digest, passed, why, figures, sample_digest, trained_day, from_tags, route, criteria,"
        " judged_digest, last_label_day, run_id, recalibrates)",
        [
            (
                *(g.product, g.version, g.digest, g.passed, text_of(g.why)),
                *(jsonb_of(g.figures), g.sample_digest, g.trained_day, g.from_tags, g.route, jsonb_of(g.criteria)),
                *(g.judged_digest, g.last_label_day, g.run_id, g.recalibrates),
            )
            for g in gates
        ],
        again=SAME_AGAIN,
    )
