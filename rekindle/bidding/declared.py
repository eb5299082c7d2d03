"""
What conf/rta.yml declares: whom ads are bid for, how high, how many of all, and who is left alone to compare with.

`marts.rta_decisions` is made by it, and the service names its default.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rekindle import yml
from rekindle.errors import InputError
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

FILE = PROJECT / "conf" / "rta.yml"

Audience = Literal["recall", "acquisition"]
"""`recall`: lapsed users. `acquisition`: registered users who were never active, or too long ago for recall."""

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

LEAST_SHARE, MOST_SHARE = 0.1, 0.9
"""Who bids for nearly nobody, or nearly everybody, has decided nothing: ad platforms ask for a share between these."""

CONTROL_END = "_control"
"""What the name of a strategy ends with where it is of users whom the strategy wants, and who are left alone to compare with."""

MOST_CAP_DAYS = 90
"""So far back the decisions of a day read exposures, as their yml says."""


class Declaration(BaseModel):
    """A part of the file: with no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Consent(Declaration):
    """What a user must have granted."""

    message_channel: Annotated[str, Field(min_length=1)]
    purpose: Annotated[str, Field(min_length=1)]


class Multipliers(Declaration):
    """How high is bid for an audience, in multiples of the bid of whoever asks: (value / median) ^ exponent, within limits."""

    id: Id
    exponent: Annotated[float, Field(ge=0, le=4)]
    """0 bids the same for all; below 0 less would be bid for who is worth more."""
    least: Annotated[float, Field(gt=0, le=10)]
    most: Annotated[float, Field(gt=0, le=10)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most")
        return self


class Share(Declaration):
    """Of the devices that may be bid for, how many are."""

    least: Annotated[float, Field(ge=LEAST_SHARE, le=MOST_SHARE)]
    most: Annotated[float, Field(ge=LEAST_SHARE, le=MOST_SHARE)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least >= self.most:
            raise ValueError("least is not less than most")
        return self


class Cap(Declaration):
    """After how many exposures within how many days a device is not bid for."""

    exposures: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=MOST_CAP_DAYS)]


class Control(Declaration):
    """Users whose devices are never bid for: those whose salted hash is among the lowest share of all."""

    share: Annotated[float, Field(ge=0, le=0.5)]
    salt: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{8,64}$")]


class Rta(Declaration):
    """The file conf/rta.yml."""

    default: Id
    consent: Consent
    strategies: Annotated[dict[Audience, Multipliers], Field(min_length=1)]
    share: Share
    cap: Cap
    control: Control

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        ids = [self.default, *(one.id for one in self.strategies.values())]
        if len(set(ids)) < len(ids):
            raise ValueError("each strategy needs an id of its own, and the default another")
        return self


@cache
def rta(path: Path = FILE) -> Rta:
    """Read conf/rta.yml. Raises InputError where it cannot be used, and says which of it."""
    try:
        return Rta.model_validate(yml.read(path))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        told = yml.wrong(error) if isinstance(error, ValidationError) else "it is no YAML, or not there"
        raise InputError(
            f"conf/{path.name} cannot be used: {told}.",
            todo="Correct it; the comments in it say what there may be.",
            safe="Nothing was decided: the decisions of the day before stay until they run out.",
            code="unusable_rta",
        ) from None
