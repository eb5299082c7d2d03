"""
Settings: what a business decides (`conf/rekindle.yml`) and where things are (environment).

Every field can be overridden by an environment variable `REKINDLE_<FIELD>`; lists and maps as JSON.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

PROJECT = Path(__file__).resolve().parent.parent
"""The project's folder: code, contracts, conf and dags stand side by side in it."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
PositiveInt = Annotated[int, Field(gt=0)]


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

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    lapse_days: PositiveInt
    recall_horizon_days: PositiveInt
    ltv_horizons_days: tuple[Literal[30], Literal[90], Literal[365]]
    lateness_days: Annotated[int, Field(ge=0)]
    dedup_days: PositiveInt
    not_activity: tuple[str, ...]
    training_weekday: Weekday
    training_weeks: PositiveInt
    delivery_deadline_minutes: Annotated[float, Field(ge=0)]
    delivery_poll_seconds: Annotated[float, Field(gt=0)]
    valid_hours: PositiveInt
    quarantine_keep_days: PositiveInt
    quarantine_stop_share: Annotated[float, Field(ge=0, le=1)]
    quarantine_stop_min_rows: PositiveInt
    features_keep_days: PositiveInt
    snapshot_keep_days: PositiveInt

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

    @property
    def landing_zone(self) -> str:
        """Folder or URL of the landing zone; by default a folder of the local platform."""
        return self.landing or str(self.home / "landing")


@cache
def settings() -> Settings:
    """Read the settings once per process; `settings.cache_clear()` reads them anew."""
    return Settings()
