"""
Public data sets as landing histories.

Each module reads one data set where it lies and returns it in the landing columns. None makes up what its source does
not have: `registered_at` is the first purchase where the source knows no registration, and the docs say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rekindle.errors import InputError
from rekindle.landing.filling.samples import cdnow, complete_journey, online_retail
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rekindle.landing.filling.samples.dataset import Dataset


@dataclass(frozen=True)
class Sample:
    """A public data set: what it is, in which currency, and how it is read."""

    about: str
    currency: str
    read: Callable[[Path | None], Dataset]


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "completejourney": Sample(complete_journey.ABOUT, "USD", complete_journey.read),
        "cdnow": Sample(cdnow.ABOUT, "USD", cdnow.read),
        "online-retail": Sample(online_retail.ABOUT, "GBP", online_retail.read),
    }
)


def read(name: str, path: Path | None = None) -> Dataset:
    """Read a sample; `path` is where it lies, for those that come with no package."""
    if name not in SAMPLES:
        raise InputError(f"There is no sample {name!r}.", todo=f"Choose one of: {', '.join(SAMPLES)}.")
    sample = SAMPLES[name]
    if settings().currency != sample.currency:
        raise InputError(
            f"The amounts of {name} are {sample.currency} and this deployment counts in {settings().currency}: "
            "every order would be quarantined.",
            todo=f"Set REKINDLE_CURRENCY={sample.currency}, for this command and for those that follow.",
        )
    return sample.read(path)
