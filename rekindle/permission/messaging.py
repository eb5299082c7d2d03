"""What is taken for what in messages: `conf/messaging.yml`, where a sentence stands beside each value."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when the model is made
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rekindle import yml
from rekindle.settings import PROJECT

FILE = PROJECT / "conf" / "messaging.yml"

Count = Annotated[int, Field(gt=0)]


class Segments(BaseModel):
    """Thresholds of the segments that users are named by, each the least or the most of a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    big_spender_amount: Annotated[float, Field(gt=0)]
    regular_active_days: Count
    occasional_active_days: Count
    just_lapsed_days: Count
    lapsed_days: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Refuse thresholds of which one leaves a class without anybody."""
        if self.occasional_active_days >= self.regular_active_days or self.just_lapsed_days >= self.lapsed_days:
            message = "occasional_active_days must be below regular_active_days, just_lapsed_days below lapsed_days"
            raise ValueError(message)
        return self


class Country(BaseModel):
    """
    What of the quiet hours and days of the settings is otherwise in a country.

    Where nobody knows a country's public holidays no day is known to be allowed: `public_holidays: none` says that there are
    none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    send_from_hour: Annotated[int, Field(ge=0, le=23)] | None = None
    send_until_hour: Annotated[int, Field(ge=1, le=24)] | None = None
    send_on_sundays: bool | None = None
    public_holidays: Literal["observed", "none"] = "observed"


class Messaging(BaseModel):
    """All of the file; a name that nothing reads is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    harmless_words: frozenset[str]
    segments: Segments
    countries: Mapping[Annotated[str, Field(pattern="^[A-Z]{2}$")], Country] = Field(default_factory=dict)


@cache
def messaging() -> Messaging:
    """Read the file, once per process."""
    return Messaging(**yml.read(FILE))
