"""What is sent and what is answered, as /openapi.json describes it."""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003 - pydantic reads the annotations when the program runs
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_USERS = 1000
MAX_ID = 256
"""Characters of a user's id, as ingestion takes them."""

MAX_IMPRESSIONS = 100

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


class Named(BaseModel):
    """An item to be put in order; of a new one its category says where it enters."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    item_id: Annotated[str, Field(min_length=1, max_length=MAX_ID)]
    category: Annotated[str, Field(max_length=MAX_ID)] | None = None


class ToRank(BaseModel):
    """For whom, and which items."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "u0000042", "items": [{"item_id": "i7"}, {"item_id": "new", "category": "tea"}]}]
        },
        hide_input_in_errors=True,
    )

    user_id: UserId
    items: Annotated[list[Named], Field(min_length=1, max_length=MAX_USERS)]


class OfUser(BaseModel):
    """What a user's answer is about."""

    day: date
    status: str = Field(description="valid, or expired: what is published has run out, and nothing newer is.")
    valid_until: datetime
    model: Model
    user_id: str


class Shown(BaseModel):
    """An item of a user's list."""

    rank: int
    item_id: str
    title: str | None
    score: float | None = Field(description="Higher is better within a user; null of what fills the list up.")
    retriever: str = Field(description="What speaks most for it.")
    is_fallback: bool = Field(description="Whether it is popular among users alike, and was not found for this user.")


class Recommended(OfUser):
    """What a user is recommended, best first."""

    items: list[Shown]


class Placed(BaseModel):
    """An item in its order."""

    rank: int
    item_id: str
    by: str = Field(description="list: it is in the user's own; else by its category, by popularity, or unknown.")
    score: float | None


class LeftOut(BaseModel):
    """An item that the user may not be shown."""

    item_id: str
    why: str = Field(description="blocked, in_stock (out of stock), or countries (not sold in the user's).")


class Ranked(OfUser):
    """Items in their order for a user."""

    items: list[Placed]
    left_out: list[LeftOut]


class _Sent(BaseModel):
    """A part of what an ad exchange sends: of its many fields those that are read, and no other is looked at."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Device(_Sent):
    """OpenRTB's device: its advertising id, and whether its owner wants nobody to follow it."""

    ifa: Annotated[str, Field(max_length=MAX_ID)] | None = Field(None, description="The advertising id, not hashed.")
    lmt: int | None = Field(None, description="1 where tracking is to be limited: then there is no bid.")
    dnt: int | None = Field(None, description="1 where the device is not to be tracked: then there is no bid.")


class Impression(_Sent):
    """OpenRTB's imp: a place for an ad."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID)]
    tagid: Annotated[str, Field(max_length=MAX_ID)] | None = None


class Auction(_Sent):
    """
    An auction, in OpenRTB 2.6's names, or plainly: an advertising id, or its hash.

    With `imp` the answer to no bid is 204, as OpenRTB has it; without, it says so.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "r-1",
                    "device": {"ifa": "38400000-8cf0-11bd-b23e-10b96e40000d"},
                    "imp": [{"id": "1", "tagid": "home-top"}],
                },
                {"id": "r-1", "ifa": "38400000-8cf0-11bd-b23e-10b96e40000d"},
            ]
        }
    )

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID)] = Field(description="The request's.")
    device: Device | None = None
    imp: Annotated[list[Impression], Field(min_length=1, max_length=MAX_IMPRESSIONS)] | None = None
    ifa: Annotated[str, Field(max_length=MAX_ID)] | None = Field(None, description="Plainly: the advertising id.")


class Impressed(BaseModel):
    """What is bid for one place."""

    impid: str
    tagid: str | None


class Answered(BaseModel):
    """Whether to bid, how high, and by which strategy."""

    id: str
    bid: bool
    multiplier: float = Field(description="What the usual bid is to be multiplied by; 0 without a bid.")
    strategy: str
    imp: list[Impressed] = Field(description="The places that were asked about.")


class What(BaseModel):
    """What happened, and what to do."""

    code: str
    what: str
    todo: str


class Problem(BaseModel):
    """Why there is no answer."""

    error: What
