"""What is sent and what is answered, as /openapi.json describes it."""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003 - pydantic reads the annotations when the program runs
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_USERS = 1000
MAX_ID = 256
"""Characters of a user's id, as ingestion takes them."""

UserId = Annotated[str, Field(min_length=1, max_length=MAX_ID)]


class Asked(BaseModel):
    """Whom or what to score: users whom the day knows, or rows of features."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"users": ["u0000042", "u0000043"]}]}, hide_input_in_errors=True
    )

    users: Annotated[list[UserId], Field(min_length=1, max_length=MAX_USERS)] | None = None
    inputs: dict[str, Annotated[list[Any], Field(min_length=1, max_length=MAX_USERS)]] | None = Field(
        None,
        description="For each feature that the model reads a list, with a value for each row; null where it is not known.",
    )
    day: date | None = Field(None, description="With inputs: the day that they are about, if not the published one.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.users is None) == (self.inputs is None):
            raise ValueError("send either users or inputs")
        if self.users is not None and self.day is not None:
            raise ValueError("a day goes with inputs: users are known of the published day alone")
        return self


class Model(BaseModel):
    """The model that scored."""

    name: str
    version: str
    digest: str


class About(BaseModel):
    """What an answer is about."""

    product: str
    day: date
    status: str = Field(
        description="valid, or expired: the day's scores have run out, and no newer ones are published."
    )
    valid_until: datetime


class Published(About):
    """What was published of a user."""

    score: dict[str, Any]


class Scored(About):
    """Scores on request: a row each, in the order in which they were asked for."""

    model: Model
    scores: list[dict[str, Any]]


class Described(About):
    """A product's model, and what it reads."""

    title: str
    model: Model
    inputs: dict[str, str] = Field(description="Type of each feature, by name.")


class What(BaseModel):
    """What happened, and what to do."""

    code: str
    what: str
    todo: str


class Problem(BaseModel):
    """Why there is no answer."""

    error: What
