"""What training hands to the registry, and what a version's page is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from ml.model.scorer import Scorer
    from ml.training.gate import Verdict


@dataclass(frozen=True)
class Trained:
    """What training hands to the registry."""

    day: date
    run_id: str
    scorer: Scorer
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
    judged: Scorer | None = None
    """The model that the verdict is about, where `scorer` is its recipe fitted again."""
    last_label_day: date | None = None
    """The last day whose label `scorer` has learnt."""
    recalibrates: str | None = None
    """The version whose raw scores `scorer` has, where only the calibration is new."""
