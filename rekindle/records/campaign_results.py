"""What became known of campaigns: the rows of a small mart, kept where their pages read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.records.rows import select

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class CampaignResult:
    """Sums over an arm, in a segment or, where that is empty, of everybody: a row of marts.campaign_results."""

    day: date
    """The delivery that completed the label."""
    kind: str
    campaign_id: str
    feature_day: date
    label: str
    segment: str
    arm: str
    is_control: bool
    has_x: bool
    probability: float | None
    clusters: int
    users: int
    y: float
    x: float
    uu: float
    uy: float
    ux: float
    yy: float
    xx: float
    xy: float
    cost: float


@dataclass(frozen=True)
class Measured:
    """A campaign of which something has become known; `kind` is planned, elsewhere or holdout."""

    kind: str
    campaign_id: str


def campaign_results(campaign: Measured, until: date) -> list[CampaignResult]:
    """List what is known of a campaign with the delivery of a day, in the order in which it became known."""
    return select(
        CampaignResult,
        "rekindle.campaign_result where kind = %s and campaign_id = %s and day <= %s order by day, label, segment, arm",
        [campaign.kind, campaign.campaign_id, until],
    )


def measured_on(day: date) -> list[Measured]:
    """List the campaigns of which a day's delivery made something known."""
    return select(
        Measured,
        "(select distinct kind, campaign_id from rekindle.campaign_result where day = %s) as measured order by 1, 2",
        [day],
    )
