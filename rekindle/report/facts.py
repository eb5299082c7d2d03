"""What the report knows about a day, before it is a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from rekindle.bidding.results import Strategy
    from rekindle.publishing.publications import Unit
    from rekindle.records import Gate, RecordedCheck, Run, Stage
    from rekindle.report.came_true import CameTrue
    from rekindle.report.responses import Responses
    from rekindle.report.scored_by import ScoredBy

DAYS_SHOWN = 14
"""Two weeks: each weekday can be compared with its like."""

Kind = Literal["share", "amount"]
"""How a figure is drawn: a share evenly and in percent, any other amount on a logarithmic axis in its unit."""


def kind_of(unit: Unit) -> Kind:
    """Say how a figure of a unit is drawn."""
    return "share" if unit == "share" else "amount"


@dataclass(frozen=True)
class Publish:
    """The last publish of a product's day."""

    run_id: str
    published_at: datetime
    is_current: bool


@dataclass(frozen=True)
class Spread:
    """How the scores of a day are spread."""

    day: date
    row_count: int
    mean: float
    deciles: tuple[float, ...]
    """The 10th to the 90th percentile."""
    counts: tuple[int, ...]
    """Users per bin: below the first edge, then between each two edges; the last bin has its upper edge too."""


@dataclass(frozen=True)
class Score:
    """A published score column, on the day and on the day published before it; one of them may be missing."""

    column: str
    about: str
    kind: Kind
    edges: tuple[float, ...]
    day: Spread | None
    before: Spread | None
    unit: Unit = "money"
    """What an amount is counted in."""


@dataclass(frozen=True)
class ProductDay:
    """What was published of a product for the day, and its population on the days before."""

    name: str
    table: str
    """Its table of current rows, in schema `sms`."""
    about: str
    publish: Publish | None
    populations: Mapping[date, int]
    scores: tuple[Score, ...]
    headline: str | None = None
    """The score that stands for the others in an overview."""
    scored_by: tuple[ScoredBy, ...] = ()
    """The versions that made the day's scores; none where no model did."""


@dataclass(frozen=True)
class TopUser:
    """A user high in the list: own score, reasons with their contribution, scores of other products, value at stake."""

    user_id: str
    score: Decimal
    reasons: tuple[tuple[str, str], ...]
    others: Mapping[str, Decimal]
    at_stake: Decimal | None = None


@dataclass(frozen=True)
class TopList:
    """The users with the most at stake of the publication that another is of: whom tools are about to send to."""

    product: str
    column: str
    kind: Kind
    users: tuple[TopUser, ...]
    says: str = "score"
    """What they are ordered by."""
    total: Decimal | None = None
    """What is at stake of all users of the day, where an amount is."""


@dataclass(frozen=True)
class Freshness:
    """What a published table says of itself."""

    table_name: str
    day: date
    row_count: int
    published_at: datetime
    valid_until: datetime
    status: str


@dataclass(frozen=True)
class DayFacts:
    """All that the page about a run's day is made of."""

    day: date
    run: Run
    stages: tuple[Stage, ...]
    checks: tuple[RecordedCheck, ...]
    products: tuple[ProductDay, ...]
    top: TopList | None
    freshness: tuple[Freshness, ...]
    eligible_count: int
    sources: Mapping[str, Literal["fact", "state"]]
    """The landing sources that there are contracts for, and their kind."""
    currency: str
    sample_notes: tuple[str, ...]
    """What is to be known about the data where they are a sample."""
    seen_at: datetime
    waiting: Mapping[str, Gate] = field(default_factory=dict)
    """By product the version that passed its gate by this day and waits for a person."""
    off: tuple[str, ...] = ()
    """What was found, within the last week, of champions whose level does not hold."""
    came_true: tuple[CameTrue, ...] = ()
    """What became known of earlier scores, by product and label."""
    responses: tuple[Responses, ...] = ()
    """What users did with what they were shown, by channel; none where nothing was."""
    ads: tuple[Strategy, ...] = ()
    """What ads have bought and caused, by strategy; none where nobody bids."""
