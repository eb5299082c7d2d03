"""Which businesses there are, and how the deliveries of each come about."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekindle.days import Days
from rekindle.landing.filling.samples import SAMPLES
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATA = Path(os.environ.get("REKINDLE_DATA", PROJECT.parent / "shared" / "data"))

SIMULATED = "simulated"

PRODUCTS = "recall", "ltv"


@dataclass(frozen=True)
class Business:
    """A business, and where its deliveries come from."""

    name: str
    about: str
    """Real or simulated, and by whom: stands beside each of its figures."""
    fill: Callable[[], Days]
    """Deliver its whole history into the landing zone of the settings."""
    made_of: Mapping[str, Any] = field(default_factory=dict)
    """What it is declared by, for the digest."""
    data: Path | None = None
    """The file that it is read from; None where it comes with a package, or is simulated."""
    currency: str | None = None
    """Of its amounts; None where it is that of the settings."""

    def why_not(self) -> str | None:
        """Why it cannot be built here; None where it can."""
        return f"{self.data.name} is not in REKINDLE_DATA" if self.data and not self.data.exists() else None


def _sample(name: str, data: Path | None = None, last: date | None = None) -> Days:
    from rekindle.landing.filling import fill

    return fill.sample(name, data, fill.Options(last=last)).days


def _public(name: str, about: str, data: Path | None = None, last: date | None = None) -> Business:
    made_of = {"sample": name, "last": str(last)}
    return Business(name, about, partial(_sample, name, data, last), made_of, data, SAMPLES[name].currency)


def _simulate(users: int, day_count: int, changes: Mapping[str, Mapping[str, Any]]) -> Days:
    from rekindle.landing.filling.simulation.parameters import parameters
    from rekindle.landing.filling.simulation.simulate import simulate

    conf = parameters()
    groups = {group: getattr(conf, group).model_copy(update={**values}) for group, values in changes.items()}
    days = Days.between(conf.first_day, conf.first_day + timedelta(day_count - 1))
    # Of who objects to profiling we learn nothing, and others would.
    return simulate(users, days, conf=conf.model_copy(update=groups), without={"consents"}).days


def _simulated(name: str, about: str, users: int, day_count: int, **changes: Mapping[str, Any]) -> Business:
    # Others' scripts do not find rows that name no user, and know late rows by when they happened: the facts are to be the same.
    changes = {"delivery": {"invalid_share": 0.0, "late_share": 0.0}, **changes}
    made_of = {"users": users, "days": day_count, **changes}
    return Business(name, f"{SIMULATED}: {about}", partial(_simulate, users, day_count, changes), made_of)


BUSINESSES = (
    _public("completejourney", "a grocery chain, simulated by its authors", last=date(2017, 12, 28)),
    _public("cdnow", "a music shop of 1997, real"),
    _public("online-retail", "a wholesaler of gifts, real", DATA / "online_retail.parquet"),
    _simulated("weekly", "most come every week, as conf/simulation.yml says", 2_000, 280),
    _simulated(
        *("annual", "most come once or twice in a year, more than a third of them in its last quarter", 3_000, 800),
        activity={"rate_least": 0.004, "rate_most": 0.2, "echo": 0.0},
        calendar={"year_swing": 0.85},
        population={"registered_before_share": 0.9},
    ),
    _simulated(
        *("fading", "nobody registers any more, and who goes away seldom returns", 3_000, 280),
        activity={"dormant_rate_mean": 0.12, "dormant_first_share": 0.3},
        population={"registered_before_share": 1.0},
    ),
    _simulated(
        *("growing", "four of five users register within the history", 3_000, 280),
        population={"registered_before_share": 0.2},
    ),
    _simulated("thin", "three hundred users", 300, 280),
)
