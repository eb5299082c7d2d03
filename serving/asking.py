"""Who may ask: known before anything of what they sent is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotations when the program runs

from serving import keys
from serving.problems import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from serving.held import Known
    from serving.holding import Holding
    from serving.keys import Key, Scope
    from serving.limits import Limits

GUARDED = "/v1/"
"""What lies below is answered to who has a key."""


def known(holding: Holding) -> Known:
    """Return who was erased, and whose keys are in force. Raises NoAnswerError as long as nobody has looked."""
    if holding.known is None:
        raise NoAnswerError(503, "not_ready", "The service has only just begun.", "Ask again in a few seconds.")
    return holding.known


def asking(scope: Scope) -> Callable[[Request], Awaitable[None]]:
    """Let pass whose key may ask for this; that there is one was looked at before (`serving.around`)."""

    async def asks(request: Request) -> None:
        if scope not in request.state.key.scopes:
            what = f"This key may not ask for what takes the scope {scope}."
            raise NoAnswerError(403, "not_allowed", what, "Use a key with that scope.")

    return asks


def admitted(sent: str, holding: Holding, limits: Limits) -> Key:
    """Return the key of who asks, by the header Authorization. Raises NoAnswerError where there is none, or it asks too often."""
    in_force = known(holding).keys
    kind, _, token = sent.partition(" ")
    key = keys.known(token, in_force) if kind.lower() == "bearer" else None
    if key is None:
        todo = "Send `Authorization: Bearer rk_…`; `rekindle keys add` makes one."
        raise NoAnswerError(401, "no_key", "No key was sent that is in force.", todo, {"WWW-Authenticate": "Bearer"})
    if wait := limits.wait_for(key.key_id):
        after = {"Retry-After": str(wait)}
        raise NoAnswerError(429, "too_many", "This key has asked too often.", f"Ask again in {wait} s.", after)
    return key
