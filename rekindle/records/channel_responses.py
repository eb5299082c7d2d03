"""What users of a channel did with what they were shown: the rows of a small mart, kept where reports read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.records.rows import select

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class ChannelResponse:
    """Sums over the users of a channel that a rate and its error follow from: a row of marts.channel_responses."""

    day: date
    """Last of the 7 days."""
    channel: str
    """Empty where it is not known."""
    measure: str
    users: int
    per: float
    """What is counted per: impressions, clicks, or clicks that say for how long."""
    y: float
    """Clicks, purchases or seconds."""
    uu: float
    uy: float
    yy: float


def channel_responses(day: date) -> list[ChannelResponse]:
    """List what is known of the 7 days to a day."""
    return select(ChannelResponse, "rekindle.channel_response where day = %s order by measure, channel", [day])
