"""Waiting for the deliveries of a day: an Airflow sensor that gives its worker slot back while it waits."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class DeliveryTrigger(BaseTrigger):
    """
    Looks for the `_SUCCESS` of every expected source until all are there or the deadline is over.

    The deadline is the trigger's own: `airflow dags test` runs triggers in line and ignores the timeout of a deferral, so a
    file that never comes would hang for ever.
    """

    def __init__(self, day: str, deadline_seconds: float, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.day, self.deadline_seconds, self.poll_seconds = day, deadline_seconds, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again in its own process."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"day": self.day, "deadline_seconds": self.deadline_seconds, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield once, with the sources that are still missing: none if all have come, None if nobody can say."""
        until = time.monotonic() + self.deadline_seconds
        while (missing := await asyncio.to_thread(self._missing)) != []:
            if time.monotonic() >= until:
                break
            await asyncio.sleep(min(self.poll_seconds, max(0.0, until - time.monotonic())))
        yield TriggerEvent(missing)  # type: ignore[no-untyped-call]

    def _missing(self) -> list[str] | None:
        """None where the landing zone gave no answer: that may pass, and the task asks once more at the end of its wait."""
        try:
            return missing_sources(self.day)
        except Exception as error:  # noqa: BLE001 - in a trigger it would end the wait, and `dag.test` would never hear
            logging.getLogger(__name__).warning("The landing zone did not answer: %s.", type(error).__name__)
            return None


class WaitForDeliveries(BaseOperator):
    """
    Succeeds when every expected source has delivered the day, and all of it can be used; after the deadline also without
    the sources of permission: nobody is permitted anew then, and what scores are made of is scored.

    Fails with `no_delivery` after the deadline, or by the name of what cannot be used: before any source is loaded. A run
    of kind `backfill` waits for nothing: a history may have holes.

    Files are looked for by the trigger, without a worker. What has arrived in a table Spark alone knows, which a triggerer
    does not reach: where a source is one, the task is woken to look for all of them, and gives its worker back in between.
    """

    template_fields: Sequence[str] = ("day", "kind")

    def __init__(self, *, day: str, kind: str = "daily", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day, self.kind = day, kind

    def execute(self, context: Any) -> str:
        """Look once, and defer if something is missing; returns one line of what is there."""
        from rekindle.settings import settings

        if self.kind != "backfill" and missing_sources(self.day):
            self._wait(settings().delivery_deadline_minutes * 60)
        return self.arrived(context, [])

    def _wait(self, seconds: float) -> None:
        """Give the worker back until something is to be looked for again."""
        from rekindle.landing.zone import LandingZone
        from rekindle.settings import settings

        poll_seconds = settings().delivery_poll_seconds
        if LandingZone().asks_spark:
            pause = min(poll_seconds, seconds)
            sleep = TimeDeltaTrigger(timedelta(seconds=pause))
            self.defer(trigger=sleep, method_name="look_again", kwargs={"seconds": seconds - pause})
        self.defer(trigger=DeliveryTrigger(self.day, seconds, poll_seconds), method_name="arrived")

    def look_again(self, context: Any, event: Any, *, seconds: float) -> str:  # noqa: ARG002 - what a sleep says
        """Look for all sources; wait on for so many seconds at most. What time will not mend fails at once."""
        from airflow.sdk.exceptions import AirflowFailException

        from rekindle.errors import InputError

        try:
            missing = missing_sources(self.day)
        except Exception as error:
            if isinstance(error, InputError) and not error.may_pass:
                raise AirflowFailException(str(error)) from error
            if seconds <= 0:
                raise
            logging.getLogger(__name__).warning("A source did not answer: %s.", type(error).__name__)
            missing = [""]
        if missing and seconds > 0:
            self._wait(seconds)
        return self.arrived(context, missing)

    def arrived(self, context: Any, event: list[str] | None) -> str:  # noqa: ARG002 - Airflow passes the context
        """Go on, or fail by name."""
        from airflow.sdk.exceptions import AirflowFailException

        from rekindle.days import Days, parse_day
        from rekindle.errors import InputError
        from rekindle.landing.zone import LandingZone, no_delivery
        from rekindle.warehouse import contracts
        from rekindle.workflow import lines

        zone, day = LandingZone(), parse_day(self.day)
        try:
            missing = missing_sources(self.day) if event is None else event
            if set(missing) - set(contracts.permission_sources()):
                raise no_delivery(zone, day, missing)
            zone.refuse_unusable(Days.one(day))
        except InputError as error:
            raise AirflowFailException(str(error)) from error
        there = [source for source in contracts.landing_sources() if zone.is_complete(source, day)]
        line = lines.arrived(day, there, missing, backfill=self.kind == "backfill")
        # Airflow logs what a function returns, and not what an operator of one's own does.
        self.log.info(line)
        return line


def missing_sources(day: str) -> list[str]:
    """Expected sources whose delivery is not complete."""
    from rekindle.days import parse_day
    from rekindle.landing.zone import LandingZone

    return LandingZone().missing(parse_day(day))
