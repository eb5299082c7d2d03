"""What training hands to the registry, and what a version's page is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from ml.model.encoder import Encoder
    from ml.training.gate import Verdict


class Native(Protocol):
    """What has native files: a scorer, or a recipe of recommendations."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """What it reads, by column the type."""
        ...

    @property
    def outputs(self) -> Sequence[str] | Mapping[str, str]:
        """The labels that it predicts, or by column the type of what it says."""
        ...

    @property
    def encoders(self) -> Sequence[Encoder]: ...

    @property
    def needs(self) -> Sequence[str]:
        """The packages that it imports."""
        ...

    def to_files(self) -> dict[str, bytes]: ...


@dataclass(frozen=True)
class Trained:
    """What training hands to the registry."""

    day: date
    run_id: str
    scorer: Native
    verdict: Verdict
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    figures: Mapping[str, Any]
    """The evaluations with their intervals, by horizon."""
    sample_digest: str
    """Of the rows that it was fitted and judged on."""
    documents: Mapping[str, str]
    """Texts and pictures, by file name."""
    tags: Mapping[str, str]
    learnt: str = ""
    """Sentences for people: on which days it was judged, and from which it has learnt."""
    champion: Mapping[str, Any] = field(default_factory=lambda: {"why_not": "there was none"})
    """The figures of the champion's recipe on the same rows, or `why_not`."""
    judged: Native | None = None
    """The model that the verdict is about, where `scorer` is its recipe fitted again."""
    last_label_day: date | None = None
    """The last day whose label `scorer` has learnt."""
    recalibrates: str | None = None
    """The version whose raw scores `scorer` has, where only the calibration is new."""
