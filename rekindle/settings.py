"""
Settings: what a business decides (`conf/rekindle.yml`) and where things are (environment).

Every field can be overridden by an environment variable `REKINDLE_<FIELD>`; lists and maps as JSON.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from rekindle.errors import InputError

PROJECT = Path(__file__).resolve().parent.parent
"""The project's folder: code, contracts, conf and dags stand side by side in it."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
PositiveInt = Annotated[int, Field(gt=0)]

SALES = "sales"
"""Stands in `activity` for the sales of orders; no event type is meant by it."""

NOT_ACTIVITY = ("message_delivery", "link_preview_click", "impression")
"""What `not_activity` is before anybody changes it."""


LONGEST_MEMORY_DAYS = 1095
"""Features count active days within so many days, and beyond that only in all."""

LONGEST_REACH_DAYS = LONGEST_MEMORY_DAYS + 35
"""Features of a day look back three years, and late rows further: what is kept for less would be missed by the next day."""

FOREVER_DAYS = 100_000
"""Longer than any history: so far back is `ever`."""


class Settings(BaseSettings):
    """All settings. What a value does stands beside it in `conf/rekindle.yml`."""

    model_config = SettingsConfigDict(
        env_prefix="REKINDLE_", yaml_file=PROJECT / "conf" / "rekindle.yml", extra="forbid", frozen=True
    )

    home: Path = PROJECT / ".rekindle"
    landing: str = ""
    data: Path = PROJECT.parent / "shared" / "data"
    database_url: str = ""
    """libpq URL of the database that holds the published scores (schema `sms`) and the run records (schema `rekindle`)."""

    alert_url: str = ""
    """Webhook that is told of failed tasks; empty: none. From the environment, because it may hold a token."""

    mlflow_passwords: Path | None = None
    """
    Folder with the files `mlflow_trainer`, `mlflow_promoter` and `mlflow_scorer`, where MLflow knows these accounts. None, as
    on one machine: whoever reaches it may do everything.
    """

    phone_key: SecretStr = SecretStr("")
    """
    Key of the HMACs by which phones are told again without being kept. From the environment: it is to lie neither in the
    warehouse nor in the database. With another key no earlier opt-out is found again, so it never changes.
    """

    sources: dict[str, dict[str, Any]] = {}
    """Sources that are tables, by name; `rekindle.landing.declared` reads them."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    lapse_days: PositiveInt
    recall_memory_days: Annotated[int, Field(gt=0, le=LONGEST_MEMORY_DAYS)] | Literal["ever"]
    recall_horizon_days: PositiveInt
    ltv_horizons_days: tuple[Literal[30], Literal[90], Literal[365]]
    lateness_days: Annotated[int, Field(ge=0)]
    dedup_days: PositiveInt
    activity: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    not_activity: tuple[str, ...]
    new_user_days: PositiveInt
    vip_event_types: tuple[Annotated[str, Field(pattern=r"^[\w .-]+$")], ...] = ()
    click_value_is_seconds: bool
    referral_channels: tuple[Annotated[str, Field(pattern=r"^[\w .-]+$")], ...]
    protected_attributes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    protected_inputs: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    training_weekday: Weekday
    training_weeks: PositiveInt
    promotion: Literal["auto", "manual"]
    delivery_deadline_minutes: Annotated[float, Field(ge=0)]
    delivery_poll_seconds: Annotated[float, Field(gt=0)]
    valid_hours: PositiveInt
    fresh_by_hour: Annotated[int, Field(ge=0, le=23)]
    publish_inputs: bool
    quarantine_keep_days: PositiveInt
    quarantine_stop_share: Annotated[float, Field(ge=0, le=1)]
    quarantine_stop_min_rows: PositiveInt
    raw_keep_days: Annotated[int, Field(ge=LONGEST_REACH_DAYS)]
    features_keep_days: PositiveInt
    scores_keep_days: PositiveInt
    data_docs_keep_days: PositiveInt
    snapshot_keep_days: PositiveInt
    logs_keep_days: PositiveInt
    message_channel: Annotated[str, Field(min_length=1)]
    message_purpose: Annotated[str, Field(min_length=1)]
    consent_valid_days: PositiveInt
    cap_messages: PositiveInt
    cap_days: PositiveInt
    cool_down_days: Annotated[int, Field(ge=0)]
    usual_hour_days: PositiveInt
    send_from_hour: Annotated[int, Field(ge=0, le=23)]
    send_until_hour: Annotated[int, Field(ge=1, le=24)]
    send_on_sundays: bool
    window_within_hours: PositiveInt
    holdout_share: Annotated[float, Field(ge=0, lt=1)]
    holdout_salt: Annotated[str, Field(min_length=1)]
    prior_lift: Annotated[float, Field(gt=0)]
    prior_lift_low: Annotated[float, Field(ge=0)]
    prior_lift_high: Annotated[float, Field(gt=0)]
    control_share: Annotated[float, Field(ge=0, lt=1)]
    margin: Annotated[float, Field(gt=0, le=1)]
    gain_horizon_days: PositiveInt
    message_cost: Annotated[float, Field(ge=0)]
    activation_share: Annotated[float, Field(gt=0, le=1)]
    erasure_feed_days: PositiveInt
    recommend_memory_days: PositiveInt
    recommend_items: PositiveInt
    recommend_places: Annotated[int, Field(ge=3, le=100)]
    recommend_again: bool
    recommend_cohorts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    recommend_search: bool

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)

    @model_validator(mode="after")
    def _refuse_two_definitions(self) -> Self:
        """Activity is said positively or by exclusions: of both, one would be without effect, and nobody would be told."""
        if self.activity and set(self.not_activity) - set(NOT_ACTIVITY):
            raise InputError(
                f"activity names what counts ({', '.join(self.activity)}), not_activity what does not "
                f"({', '.join(self.not_activity)}): only one of them can be followed.",
                todo="Leave one of them as it was in conf/rekindle.yml: activity empty, or not_activity unchanged.",
                safe="Nothing was done.",
                code="activity_said_twice",
            )
        return self

    @property
    def training_weekday_number(self) -> int:
        """`training_weekday` as Python and Spark count: Monday is 0."""
        return get_args(Weekday).index(self.training_weekday)

    @property
    def memory_days(self) -> int:
        """`recall_memory_days` as a number of days."""
        return FOREVER_DAYS if self.recall_memory_days == "ever" else self.recall_memory_days

    @property
    def landing_zone(self) -> str:
        """Folder or URL of the landing zone; by default a folder of the local platform."""
        return self.landing or str(self.home / "landing")


BESIDE_SETTINGS = {"REKINDLE_DBT_BRANCH", "REKINDLE_POINTS", "REKINDLE_REFERENCE", "REKINDLE_SPARK_LOG"}
"""
Environment variables that are no settings: for dbt's process, the drills of `make chaos`, whose recipes `make quality` compares
with ours, and the Spark server's log.
"""

OF_A_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")
"""Kubernetes tells every container of a service called rekindle-… by variables that end like these."""


@cache
def settings() -> Settings:
    """
    Read the settings once per process; `settings.cache_clear()` reads them anew.

    Raises InputError for an environment variable REKINDLE_… that nothing reads: a misspelt setting must not be the default;
    and for a list that is not written as JSON.
    """
    _refuse_misspelt()
    try:
        return Settings()
    except SettingsError as error:
        # Its text names the field in quotes, and nothing else says which it is.
        _, name, _ = str(error).split('"', 2)
        raise InputError(
            f"The environment variable REKINDLE_{name.upper()} is a list or a map, and cannot be read as one.",
            todo="""Write it as JSON, for example '["login", "sales"]' or '[30, 90, 365]'.""",
            safe="Nothing was done.",
            code="unreadable_setting",
        ) from error


def known_variables() -> set[str]:
    """Names of the environment variables that something of ours reads."""
    return BESIDE_SETTINGS | {f"REKINDLE_{name.upper()}" for name in Settings.model_fields}


def _refuse_misspelt() -> None:
    known = known_variables()
    for name in os.environ:
        is_ours = name.upper().startswith("REKINDLE_") and not OF_A_SERVICE.search(name)
        if not is_ours or name.upper() in known:
            continue
        nearest = get_close_matches(name.upper(), known, 1)
        raise InputError(
            f"Nothing reads the environment variable {name}.",
            todo=f"Did you mean {nearest[0]}?" if nearest else f"Unset it, or use one of: {', '.join(sorted(known))}.",
            safe="Nothing was done.",
            code="unknown_setting",
        )
