"""
Verdicts of versions that were registered before Postgres kept them: taken over from MLflow's tags, once.

Whoever may edit in MLflow may set a tag, so no tag is ever believed again: not at scoring, not at promoting, not at a second
migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ml.products import PRODUCTS
from ml.registry.versions import PASSED, stored_versions
from rekindle import records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities.model_registry import ModelVersion

    from ml.products import Registered
    from rekindle.records import Gate


@dataclass(frozen=True)
class TakenOver:
    """What was taken over, and which versions were not, in a sentence each."""

    gates: Sequence[Gate] = ()
    left_out: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Say it to people, a line for each version."""
        taken = [
            f"Taken over from MLflow's tags: version {gate.version} of {gate.product}, gate "
            f"{'passed' if gate.passed else 'failed'}, digest {gate.digest[:12]}…"
            for gate in self.gates
        ]
        return [*taken, *self.left_out]


def take_over() -> TakenOver:
    """
    Record in Postgres what the tags say of the versions that are there, unless that was done before.

    The digest of a version that was promoted is in the promotion log: where its tag says another, it is left out.
    """
    if records.has_taken_over_gates():
        return TakenOver()
    found = [
        _told_by_tags(product, stored)
        for product in PRODUCTS
        if product.is_trained
        for stored in stored_versions(product)
    ]
    told = TakenOver(
        [one for one in found if isinstance(one, records.Gate)], [one for one in found if isinstance(one, str)]
    )
    return told if records.take_over_gates(told.gates) else TakenOver()


def _told_by_tags(product: Registered, stored: ModelVersion) -> Gate | str:
    """Read a verdict from tags, or say why it is not taken over."""
    tags, number = stored.tags, str(stored.version)
    promoted = {promotion.digest for promotion in records.promotions(product.name) if promotion.version == number}
    left_out = f"Version {number} of {product.name} is not taken over and cannot score: "
    if not {"gate", "digest", "trained_day"} <= tags.keys():
        return f"{left_out}it has no verdict."
    if promoted - {tags["digest"]}:
        return f"{left_out}its tag has another digest than the promotion log."
    return records.Gate(
        product=product.name,
        version=number,
        digest=tags["digest"],
        passed=tags["gate"] == PASSED,
        why=tags.get("gate_why", ""),
        figures={},
        sample_digest=None,
        trained_day=date.fromisoformat(tags["trained_day"]),
        from_tags=True,
    )
