"""
What Airflow's tasks log, redacted as it is written. Airflow's `[logging] logging_config_class` names LOGGING_CONFIG of here.

The files that Airflow's pages show are written by the process that watches over a task, and pass no other. Airflow lets a place
for logs change each message before it is written, so this is one: it changes them and leaves the files where they are. A
place that is set, such as a bucket, keeps them then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.config_templates import airflow_local_settings
from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG

from rekindle.logs.redaction import own_redactor, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    Event = MutableMapping[str, Any]
    Processor = Callable[[Any, str, Event], Event]

LOGGING_CONFIG = DEFAULT_LOGGING_CONFIG
"""Airflow's own: only what stands beside it is ours."""

UNTOUCHED = {"timestamp", "level"}
REDACT = own_redactor()


def redact_event(_logger: Any, _method: str, event: Event) -> Event:
    """Return what is logged, redacted; a text that cannot be is left out."""
    try:
        return {
            name: value if name in UNTOUCHED else redact_value(value, REDACT, name) for name, value in event.items()
        }
    except Exception as error:  # noqa: BLE001 - a message that cannot be redacted stops no task, and is not shown
        kept = {name: event[name] for name in UNTOUCHED if name in event}
        return {**kept, "event": f"A message was left out, for it could not be redacted: {type(error).__name__}."}


class Redacting:
    """Airflow's place for task logs, or none; on their way there, messages are redacted."""

    def __init__(self, place: Any = None) -> None:
        self._place = place

    @property
    def processors(self) -> tuple[Processor, ...]:
        """Change what is logged before it is written; what the place itself does with it comes after."""
        return (redact_event, *(self._place.processors if self._place else ()))

    def upload(self, path: Any, ti: Any = None) -> None:
        """Bring a finished file to the place."""
        if self._place:
            self._place.upload(path, ti)

    def read(self, relative_path: str, ti: Any) -> tuple[list[str], list[str] | None]:
        """Return what lies at the place, and where; Airflow looks at the local files by itself."""
        return self._place.read(relative_path, ti) if self._place else ([], [])

    def __getattr__(self, name: str) -> Any:
        """Find what only some places have, such as `stream`."""
        place = self.__dict__.get("_place")  # a copy is asked for attributes before it has any
        if place is None:
            raise AttributeError(name)
        return getattr(place, name)


REMOTE_TASK_LOG = Redacting(airflow_local_settings.REMOTE_TASK_LOG)
DEFAULT_REMOTE_CONN_ID = airflow_local_settings.DEFAULT_REMOTE_CONN_ID
