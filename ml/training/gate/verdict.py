"""What the gate says: each criterion with what it asked for and what was found, and the verdict they come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.training.evaluation import Figure

Route = Literal["first", "better", "simpler", "refresh", "recalibration", "rule", "unreadable"]
"""
By which way a version came through the gate, or tried to: no model in office yet; better than the champion's recipe, or simpler
and not worse; the champion's recipe on newer days, or only its calibration; the best naive rule where no candidate beats it; a
model or a rule beside no champion, for that cannot be read.
"""

UNREADABLE: Route = "unreadable"


@dataclass(frozen=True)
class Criterion:
    """One question of the gate and its answer."""

    name: str
    passed: bool
    told: str
    """The answer in words."""
    threshold: float | None = None
    """What was asked for; of a range its nearer end."""
    value: float | None = None
    low: float | None = None
    """The interval of the value, where it has one."""
    high: float | None = None

    @classmethod
    def of(cls, name: str, told: str, *, passed: bool, figure: Figure, threshold: float) -> Criterion:
        """Ask for a figure that has an interval."""
        return cls(name, passed, told, threshold, figure.value, figure.low, figure.high)

    def to_json(self) -> dict[str, Any]:
        return vars(self).copy()


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and why in one sentence that names every criterion, first the one that decided."""

    passed: bool
    why: str
    criteria: tuple[Criterion, ...] = ()
    is_rule: bool = False
    """Whether it is about a naive rule in the place of a model."""
    route: Route | None = None

    @classmethod
    def of(cls, criteria: Sequence[Criterion], route: Route) -> Verdict:
        """Pass where each criterion does; the first that does not decides, else the first of all."""
        decided = next((criterion for criterion in criteria if not criterion.passed), criteria[0])
        ordered = (decided, *(criterion for criterion in criteria if criterion is not decided))
        why = "; ".join(criterion.told for criterion in ordered)
        return cls(decided.passed, why, ordered, is_rule=route == "rule", route=route)

    def after(self, beginning: str) -> Verdict:
        """Say something before the reasons."""
        return replace(self, why=f"{beginning}: {self.why}")

    def beside_unreadable(self, told: str) -> Verdict:
        """Say that a champion is in office that it was not compared with, for it cannot be read: a person has to decide."""
        return replace(self.after(told), route=UNREADABLE)

    def beside(self, *more: Criterion) -> Verdict:
        """Keep further criteria that did not decide."""
        return replace(self, criteria=(*self.criteria, *more))

    def unless(self, *more: Criterion) -> Verdict:
        """Fail where one of these is not met, whatever the others say."""
        lost = [criterion for criterion in more if not criterion.passed]
        if not lost:
            return self.beside(*more)
        why = "; ".join([*(criterion.told for criterion in lost), self.why])
        met = [criterion for criterion in more if criterion.passed]
        return replace(self, passed=False, why=why, criteria=(*lost, *self.criteria, *met))

    def failed(self, *names: str) -> bool:
        """Whether one of these criteria was not met."""
        return any(criterion.name in names for criterion in self.criteria if not criterion.passed)
