"""What the simulated business is made of: `conf/simulation.yml`, where a sentence stands beside each value."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations when the program runs
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rekindle import yml
from rekindle.settings import PROJECT, Weekday

FILE = PROJECT / "conf" / "simulation.yml"

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Group(BaseModel):
    """Values that belong together; one that nothing reads is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Channel(Group):
    share: Share
    rate: Positive
    wake: Positive
    spend: Positive


class Population(Group):
    registered_before_share: Share
    tenure_mean_days: Positive
    tenure_most_days: Count
    warm_up_days: Count
    countries: dict[str, Share]
    timezones: dict[str, str]
    channels: dict[str, Channel]
    plans: dict[str, Share]
    plan_noise: Positive
    taste_known_share: Share


class Activity(Group):
    rate_least: Positive
    rate_shape: Positive
    rate_most: Positive
    rate_trait: float
    drift_most: Positive
    drift_period_days: Positive
    drift_period_spread: Positive
    weekday_preference: Positive
    hour_spread: Positive
    echo: Positive
    dormant_rate: Share
    engaged_offset_days: Positive
    engaged_rate_least: Positive
    engaged_rate_most: Positive
    dormant_offset_days: Positive
    dormant_rate_shape: Positive
    dormant_rate_mean: Positive
    leave_most: Share
    dormant_first_share: Share
    dormant_first_shape: Positive


class Calendar(Group):
    year_swing: Share
    year_peak_day: Annotated[int, Field(ge=1, le=366)]
    weekdays: tuple[Positive, Positive, Positive, Positive, Positive, Positive, Positive]
    sale_days_a_month: Positive
    sale_length_days: Count
    sale_rate: Positive
    sale_purchase: Positive


class Messages(Group):
    positive_share: Share
    negative_share: Share
    strength_mean: Positive
    negative_strength_mean: Positive
    fades_after_days: Positive
    works_from_days: Positive
    worn_out_after_days: Positive
    engaged_share: Share


class Phones(Group):
    known_share: Share
    mobile_share: Share
    fixed_share: Share
    malformed_share: Share
    abroad_share: Share
    shared_share: Share
    changed_after_days: Positive
    given_up_share: Share
    forms: tuple[Share, Share, Share, Share]


class Consents(Group):
    granted_share: Share
    renewed_share: Share
    renewed_after_days: Positive
    email_share: Share
    orders_share: Share
    incomplete_share: Share
    named_share: Share
    policy_days: Count
    withdrawn_after_days: Positive
    withdrawal_forms: tuple[Share, Share, Share, Share, Share]
    untimed_share: Share
    regranted_share: Share
    regranted_after_days: Positive


class Replies(Group):
    stopped_after_days: Positive
    stop_share: Share
    thanks_share: Share


class Campaigns(Group):
    weekdays: tuple[Weekday, ...]
    share: Share
    treated_share: Share
    from_hour: Annotated[int, Field(ge=0, le=23)]
    minutes: Count


class Catalogue(Group):
    items: Count
    first_share: Share
    categories: dict[str, Positive]
    popularity_exponent: Positive
    taste_mean: Share


class Strategy(Group):
    share: Share
    bid: Annotated[float, Field(ge=0)]
    exponent: float


class Auctions(Group):
    is_on: bool
    device_share: Share
    second_device_share: Share
    consent_share: Share
    asked_share: Share
    minutes: Count
    strategies: dict[str, Strategy]
    click_mean: Share
    click_spread: Positive
    click_wake: float
    predicted_noise: Positive
    price_median: Positive
    price_follows: float
    price_spread: Positive
    strength: float


class Choices(Group):
    is_on: bool
    taste_strength: Annotated[float, Field(ge=0)]
    appeal_spread: Annotated[float, Field(ge=0)]
    clicked_share: Share
    stay_median_seconds: Positive
    stay_spread: Positive
    stay_taste: float


class Sessions(Group):
    more_mean: Positive
    impressions_mean: Positive
    click_mean: Share
    click_taste: Positive
    minutes_most: Count


class Orders(Group):
    buys_mean: Share
    second_share: Share
    more_lines_mean: Positive
    line_amount_median: Positive
    user_spread: Positive
    line_spread: Positive
    refund_share: Share
    refund_least_days: Count
    refund_most_days: Count


class Delivering(Group):
    late_share: Share
    late_most_days: Count
    repeated_share: Share
    repeated_same_day_share: Share
    repeated_most_days: Count
    invalid_share: Share


class Truth(Group):
    weekday: Weekday
    return_days: Count
    value_days: Count


class Parameters(Group):
    """All of them."""

    seed_sentence: str
    seed: Annotated[int, Field(ge=0)]
    first_day: date
    population: Population
    activity: Activity
    calendar: Calendar
    messages: Messages
    campaigns: Campaigns
    phones: Phones
    consents: Consents
    replies: Replies
    catalogue: Catalogue
    choices: Choices
    sessions: Sessions
    orders: Orders
    auctions: Auctions
    delivery: Delivering
    truth: Truth

    def adding(self, *names: str) -> Parameters:
        """Turn on what stands in these sections, which are off in the file."""
        return self.model_copy(update={name: getattr(self, name).model_copy(update={"is_on": True}) for name in names})


@cache
def parameters() -> Parameters:
    """Read the file once per process."""
    return Parameters.model_validate(yml.read(FILE))
