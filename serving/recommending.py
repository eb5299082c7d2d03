"""What may be asked of recommendations, with a key of the scope `recommend`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from serving.asking import asking, known
from serving.bodies import MAX_ID, Problem, Ranked, Recommended, ToRank
from serving.problems import NoAnswerError, answer
from serving.recommended import Wanted

if TYPE_CHECKING:
    from serving.recommended import Offered

v1 = APIRouter(
    prefix="/v1",
    tags=["recommendations"],
    dependencies=[Depends(asking("recommend"))],
    responses={status: {"model": Problem} for status in (401, 403, 404, 413, 422, 429, 503)},
)

UserId = Annotated[str, Path(max_length=MAX_ID, description="A user's id, as delivered.", examples=["u0000042"])]
Limit = Annotated[
    int | None, Query(ge=1, le=100, description="At most so many; all that the day has unless it is said.")
]


@v1.get("/users/{user_id:path}/recommendations", response_model=Recommended)
async def recommendations(request: Request, user_id: UserId, limit: Limit = None) -> Response:
    """Tell what a user is recommended, best first, as the published day has it."""
    offered = _offered(request)
    return answer(_about(offered, user_id) | {"items": offered.shown(_place(request, offered, user_id), limit)})


@v1.post("/rank", response_model=Ranked)
def rank(request: Request, asked: ToRank) -> Response:
    """Put up to 1,000 items in order for a user; what the user may not be shown is named with the rule."""
    offered = _offered(request)
    place = _place(request, offered, asked.user_id)
    items, left_out = offered.ordered(place, [Wanted(one.item_id, one.category) for one in asked.items])
    return answer(_about(offered, asked.user_id) | {"items": items, "left_out": left_out})


def _offered(request: Request) -> Offered:
    held = request.app.state.holding.held
    found: Offered | None = held and held.recommended
    if found is None:
        what = "No recommendations are published."
        raise NoAnswerError(404, "no_recommendations", what, "Train them: rekindle train recommendation --day D")
    return found


def _place(request: Request, offered: Offered, user_id: str) -> int:
    erased = known(request.app.state.holding).erased
    place = None if user_id in erased else offered.users.find(user_id)
    if place is None:
        what = f"Nobody of this id is recommended anything on {offered.day}."
        raise NoAnswerError(404, "unknown_user", what, "Ask for a user who was registered by then.")
    return place


def _about(offered: Offered, user_id: str) -> dict[str, Any]:
    """Which day an answer is about, whether it may still be used, and by which version it was learnt."""
    trace = offered.trace
    return {
        "day": offered.day,
        "status": "valid" if datetime.now(UTC) < offered.valid_until else "expired",
        "valid_until": offered.valid_until,
        "model": {"name": trace.name, "version": trace.version, "digest": trace.digest},
        "user_id": user_id,
    }
