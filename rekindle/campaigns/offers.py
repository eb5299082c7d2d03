"""
Offers: what may be given with a message, at what cost, as conf/offers.yml says.

`none`, a message without an offer, always exists.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rekindle import yml
from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = PROJECT / "conf" / "offers.yml"

NO_OFFER = "none"


class Offer(BaseModel):
    """What a user may be given with a message. Amounts are in the deployment's currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    says: Annotated[str, Field(min_length=1)]
    """What it is, for people."""
    cost: Annotated[float, Field(ge=0)] = 0.0
    """Of one redemption. Whoever returns is expected to redeem it, also who would have returned without a message."""
    margin: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of net revenue that is left of what is bought with it; without one, the setting `margin`."""
    redeemed_by: str | None = None
    """The type of event that shows that it was redeemed."""
    lowest_value: Annotated[float, Field(ge=0)] = 0.0
    """Only a user whose value_if_returns is at least this much may get it."""
    lift: Annotated[float, Field(gt=0)] | None = None
    """The share by which a message with it raises the odds of a return; without one, the setting `prior_lift`."""
    claims: tuple[str, ...] = ()
    """What a message with it may promise, word for word: `10 %`, `free`."""


class Offers(BaseModel):
    """The file conf/offers.yml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offers: tuple[Offer, ...] = ()
    segment_cost: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Cost of one segment by the country of the phone; elsewhere it is the setting `message_cost`."""

    @field_validator("offers")
    @classmethod
    def _refuse_repeated(cls, offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
        names = [offer.name for offer in offers]
        if len({*names, NO_OFFER}) <= len(names):
            raise ValueError(f"each offer needs a name of its own, and {NO_OFFER} is taken: it is no offer")
        return offers

    def named(self, name: str) -> Offer:
        """Return the offer of a name. Raises InputError where there is none."""
        for offer in (NONE, *self.offers):
            if offer.name == name:
                return offer
        raise InputError(
            f"There is no offer {name!r}.",
            todo=f"Choose one of {', '.join(o.name for o in (NONE, *self.offers))}, or add it to conf/offers.yml.",
            safe="Nothing was planned.",
            code="unknown_offer",
        )

    def chosen(self, names: Iterable[str] | None) -> tuple[Offer, ...]:
        """Return the offers of some names, no offer first, which always exists; all of them where none is named."""
        if names is None:
            return (NONE, *self.offers)
        wanted = [self.named(name) for name in dict.fromkeys(names)]
        return (NONE, *(offer for offer in wanted if offer != NONE))

    def cost_of_segment(self, country: str | None) -> float:
        """Return what one segment costs to a country's phones."""
        return self.segment_cost.get(country or "", settings().message_cost)


NONE = Offer(name=NO_OFFER, says="a message without an offer")


@cache
def offers(path: Path = FILE) -> Offers:
    """Read conf/offers.yml; without the file there is no offer but none."""
    try:
        raw = yml.read(path) if path.exists() else {}
        return Offers.model_validate(raw or {})
    except (ValidationError, yaml.YAMLError) as error:
        told = yml.wrong(error) if isinstance(error, ValidationError) else "it is no YAML"
        raise InputError(
            f"conf/{path.name} cannot be used: {told}.",
            todo="Correct it; the comments in it say what there may be.",
            safe="Nothing was planned.",
            code="unreadable_offers",
        ) from None
