"""
The service: what may be asked, by whom, how often, and what is answered. What cannot be answered says so in the same form.

A request reads what is held (`serving.held`) and nothing else: no Spark, no MLflow, no Postgres.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving import recommending, scoring
from serving.around import Around
from serving.asking import asking, known
from serving.bidding import no_bid
from serving.bodies import (
    MAX_ID,
    Answered,
    Asked,
    Auction,
    Described,
    Device,
    Impression,
    Named,
    Problem,
    Published,
    Scored,
    ToRank,
)
from serving.problems import NoAnswerError, answer, problem

if TYPE_CHECKING:
    from serving.held import Held, Offer, Scoring
    from serving.holding import Holding
    from serving.limits import Limits
    from serving.metrics import Metrics


NAMED = {"body", "path", "query", "limit", "product", "user_id"}
NAMED |= {name for sent in (Asked, ToRank, Named, Auction, Device, Impression) for name in sent.model_fields}
"""What a refusal names of a request: what is ours. Other names in it are what was sent."""


STRATEGY = "Rekindle-Strategy"
"""The header that names the strategy, or the control group, where no bid has no body."""

CODES = {400: "unreadable", 404: "no_such_page", 405: "no_such_method", 408: "too_slow", 413: "too_large"}
"""What is refused before it is asked of anything here."""


def application(holding: Holding, limits: Limits, metrics: Metrics) -> FastAPI:
    """Return the service over what is held."""
    app = FastAPI(
        title="Rekindle",
        description="Scores of the published day by the models that made them, and what users are recommended.",
        version="1",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A redirect would go wherever the header Host says.
        redirect_slashes=False,
    )
    app.state.holding, app.state.metrics = holding, metrics
    app.include_router(about)
    app.include_router(v1)
    app.include_router(recommending.v1)
    app.include_router(auctions)
    app.add_exception_handler(NoAnswerError, _not_answered)
    app.add_exception_handler(HTTPException, _refused_by_router)
    app.add_exception_handler(RequestValidationError, _unusable)
    app.add_middleware(Around, holding=holding, limits=limits, metrics=metrics)
    return app


# Who asks, and what is held


def _held(request: Request) -> Held:
    held: Held | None = request.app.state.holding.held
    if held is None:
        raise NoAnswerError(503, "nothing_published", "No day was published yet.", "Run one: rekindle run --day D")
    return held


def _erased(request: Request) -> frozenset[str]:
    return known(request.app.state.holding).erased


def _offer(held: Held, product: str) -> Offer:
    if offer := held.offers.get(product):
        return offer
    todo = f"Ask for one of: {', '.join(held.offers)}."
    raise NoAnswerError(404, "no_such_product", "No product of this name is published.", todo)


def _scoring(offer: Offer) -> Scoring:
    if offer.scoring:
        return offer.scoring
    what = f"No model of {offer.product.name} is published for {offer.day}."
    raise NoAnswerError(404, "no_model", what, "Ask for what was published, by GET.")


# What may be asked

about = APIRouter(tags=["service"])
v1 = APIRouter(
    prefix="/v1",
    tags=["scores"],
    dependencies=[Depends(asking("score"))],
    responses={status: {"model": Problem} for status in (401, 403, 404, 413, 422, 429, 503)},
)

auctions = APIRouter(
    prefix="/v1",
    tags=["auctions"],
    dependencies=[Depends(asking("rta"))],
    responses={status: {"model": Problem} for status in (401, 403, 413, 422, 429, 503)},
)

ProductName = Annotated[str, Path(max_length=64, description="A score product.", examples=["recall"])]
UserId = Annotated[str, Path(max_length=MAX_ID, description="A user's id, as delivered.", examples=["u0000042"])]


@about.get("/health")
async def health() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@about.get("/ready", responses={503: {"model": Problem}})
async def ready(request: Request) -> dict[str, Any]:
    """Tell whether it can answer, from a day that may still be used."""
    held, _ = _held(request), known(request.app.state.holding)
    if held.valid_until <= datetime.now(UTC):
        raise NoAnswerError(503, "expired", "What is published has run out.", "See `rekindle status`.")
    return {"status": "ok", "published_at": held.published_at, "valid_until": held.valid_until}


@about.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Tell figures for a monitor, in Prometheus' form."""
    figures: Metrics = request.app.state.metrics
    return Response(figures.page(request.app.state.holding), media_type=figures.CONTENT_TYPE)


@v1.get("/models/{product}", response_model=Described)
async def model(request: Request, product: ProductName) -> Response:
    """Tell which model scored the day, and what it reads."""
    offer = _offer(_held(request), product)
    found = _scoring(offer)
    described = {"title": offer.product.title, "model": _model(found), "inputs": found.scorer.inputs}
    return answer(_about(offer) | described)


@v1.get("/scores/{product}/{user_id:path}", response_model=Published)
async def published(request: Request, product: ProductName, user_id: UserId) -> Response:
    """Tell what was published of a user: the score, why, and until when it may be used."""
    held, erased = _held(request), _erased(request)
    offer = _offer(held, product)
    place = None if user_id in erased else offer.members([user_id]).get(user_id)
    if place is None:
        raise _unknown(held, offer, user_id, erased)
    return answer(_about(offer) | {"score": offer.rows.row(place)})


@v1.post("/scores/{product}", response_model=Scored)
def score(request: Request, product: ProductName, asked: Asked) -> Response:
    """Score up to 1,000 users of the published day by their ids, or rows of features; unrounded."""
    held, erased = _held(request), _erased(request)
    offer = _offer(held, product)
    found = _scoring(offer)
    if asked.inputs is not None:
        try:
            rows = scoring.of_features(asked.inputs, found.scorer.inputs, asked.day or offer.day)
        except scoring.UnusableError as error:
            raise NoAnswerError(422, "unusable_inputs", str(error), f"GET /v1/models/{product} names them.") from None
        scores = scoring.answered(offer, found, rows)
    else:
        scores = _of_users(held, offer, found, asked.users or [], erased)
    return answer(_about(offer) | {"model": _model(found), "scores": scores})


@auctions.post("/rta", response_model=Answered, responses={204: {"description": "No bid, in OpenRTB's form."}})
async def bid(request: Request, auction: Auction) -> Response:
    """Tell whether to bid in an auction; of what is unknown, late or expired there is no bid."""
    held: Held | None = request.app.state.holding.held
    device = auction.device or Device()
    advertising_id = device.ifa or auction.ifa
    found = no_bid()
    if held and held.bids and advertising_id and not (device.lmt or device.dnt):
        found = held.bids.answer(advertising_id, datetime.now(UTC))
    if auction.imp and not found.is_bid:
        return Response(status_code=204, headers={STRATEGY: found.strategy})
    imp = [{"impid": one.id, "tagid": one.tagid} for one in auction.imp or ()]
    told = {"id": auction.id, "bid": found.is_bid, "multiplier": found.multiplier, "strategy": found.strategy}
    return answer(told | {"imp": imp})


def _of_users(
    held: Held, offer: Offer, found: Scoring, users: list[str], erased: frozenset[str]
) -> list[dict[str, Any]]:
    """Score users by their ids, and say of whom the product does not cover which one does."""
    if held.inputs is None:
        raise NoAnswerError(503, "no_inputs", "The day's inputs are not published.", "Set publish_inputs: true.")
    members = offer.members(user for user in users if user not in erased)
    places = held.inputs.places(members)
    if not places:
        raise _unknown(held, offer, users[0], erased)
    rows = scoring.of_users(held.inputs, list(places.values()), offer.day)
    by_user = dict(zip(places, scoring.answered(offer, found, rows), strict=True))
    for user, answered in by_user.items():
        # Where some have the same score the day has put them in an order, which the score alone does not tell.
        answered["percentile"] = offer.rows.value(members[user], "percentile")
    unknown = {user: {"covered_by": _covering(held, user, erased)} for user in users if user not in by_user}
    return [{"user_id": user, **(by_user | unknown)[user]} for user in users]


# What is answered


def _about(offer: Offer) -> dict[str, Any]:
    """Which day an answer is about, and whether it may still be used."""
    status = "valid" if datetime.now(UTC) < offer.valid_until else "expired"
    return {"product": offer.product.name, "day": offer.day, "status": status, "valid_until": offer.valid_until}


def _model(found: Scoring) -> dict[str, str]:
    return {"name": found.model.name, "version": found.model.version, "digest": found.model.digest}


def _covering(held: Held, user: str, erased: frozenset[str]) -> list[str]:
    """Products that cover a user; none where nobody is to be reminded of who that was."""
    return [] if user in erased else held.covering(user)


def _unknown(held: Held, offer: Offer, user: str, erased: frozenset[str]) -> NoAnswerError:
    covering = _covering(held, user, erased)
    todo = f"Ask for {' or '.join(covering)}." if covering else "No product covers this user."
    what = f"{offer.product.name} does not cover this user on {offer.day}."
    return NoAnswerError(404, "unknown_user", what, todo)


async def _not_answered(_request: Request, error: Exception) -> Response:
    if not isinstance(error, NoAnswerError):
        raise error
    return problem(error)


async def _refused_by_router(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = CODES.get(error.status_code, "refused")
    return problem(NoAnswerError(error.status_code, code, str(error.detail), "See /openapi.json.", error.headers))


async def _unusable(_request: Request, error: Exception) -> Response:
    """Say what is wrong and where; never what was sent."""
    if not isinstance(error, RequestValidationError):
        raise error
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return problem(NoAnswerError(400, "unreadable", "What was sent is no JSON.", "See /openapi.json."))
    shown = 5
    wrong = [f"{'.'.join(part for part in one['loc'] if part in NAMED)}: {one['msg']}" for one in error.errors()]
    what = "; ".join(list(dict.fromkeys(wrong))[:shown])
    return problem(NoAnswerError(422, "unusable", what, "See /openapi.json."))
