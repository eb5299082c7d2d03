"""
What each column of features.user_day, features.user_item_day and features.user is, from the rows of a world.

Nothing here adds up tiles: tiles and features are both counted from the facts, so that each can prove the other.
"""

from collections import Counter
from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any, NamedTuple, TypedDict, Unpack

from tests.reference.ingestion import ONE_DAY, World, occurred_on, state, winning

WINDOWS = (1, 7, 28, 90, 365)
DISTINCT_WINDOWS = (1, 7, 28)
YEAR = 365
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARTS = {"night": range(6), "morning": range(6, 12), "afternoon": range(12, 18), "evening": range(18, 24)}
SATURDAY = 5


class Fact(NamedTuple):
    """A sale line, a refund line or an event that counts."""

    day: date
    user_id: str
    activity_on: date
    item_id: str | None
    category: str | None
    event_type: str | None
    order_id: str | None
    sale_amount: Decimal
    refund_amount: Decimal
    is_activity: bool
    at: datetime
    session_id: str | None


class Decided(TypedDict, total=False):
    """`activity` names what counts, and by "sales" the sales of orders, not events; without it all but `not_activity` count."""

    activity: Collection[str]
    not_activity: Collection[str]
    dedup_days: int


def facts(world: World, **decided: Unpack[Decided]) -> list[Fact]:
    """
    All facts that count, with the category that their item had as of their delivery.

    `order_id` is given for sales only: a refund is neither an order nor activity.
    """
    found = []
    activity, dedup_days = decided.get("activity"), decided["dedup_days"]
    nothing = Decimal("0.00")
    for day, event in winning(world, "events", dedup_days=dedup_days):
        item = state(world, "items", day).get(event["item_id"], {})
        found.append(
            Fact(
                day=day,
                user_id=event["user_id"],
                activity_on=occurred_on(event),
                item_id=event["item_id"],
                category=item.get("category"),
                event_type=event["type"],
                order_id=None,
                sale_amount=nothing,
                refund_amount=nothing,
                is_activity=event["type"] in set(activity) - {"sales"}
                if activity
                else event["type"] not in decided["not_activity"],
                at=event["occurred_at"].astimezone(UTC),
                session_id=event["session_id"],
            )
        )
    for day, line in winning(world, "orders", dedup_days=dedup_days):
        item = state(world, "items", day).get(line["item_id"], {})
        is_sale = line["kind"] == "sale"
        found.append(
            Fact(
                day=day,
                user_id=line["user_id"],
                activity_on=occurred_on(line),
                item_id=line["item_id"],
                category=item.get("category"),
                event_type=None,
                order_id=line["order_id"] if is_sale else None,
                sale_amount=line["amount"] if is_sale else nothing,
                refund_amount=nothing if is_sale else line["amount"],
                is_activity=is_sale and (not activity or "sales" in activity),
                at=line["occurred_at"].astimezone(UTC),
                session_id=None,
            )
        )
    return found


def total(amounts: list[Decimal]) -> Decimal:
    return sum(amounts, start=Decimal("0.00"))


def events_by_type(among: list[Fact]) -> dict[str, int]:
    return dict(Counter(fact.event_type for fact in among if fact.event_type is not None))


def visits(among: list[Fact]) -> tuple[int, int]:
    """How many sessions, and their seconds: a delivery and a date each for itself."""
    seconds: dict[tuple[object, ...], list[int]] = {}
    for fact in among:
        if fact.session_id is not None:
            session = (fact.day, fact.activity_on, fact.session_id)
            seconds.setdefault(session, []).append(int((fact.at - EPOCH).total_seconds() // 1))
    return len(seconds), sum(max(one) - min(one) for one in seconds.values())


def done_in(among: list[Fact], hours: range) -> list[Fact]:
    """The activities of some hours."""
    return [fact for fact in among if fact.is_activity and fact.at.hour in hours]


def user_day_tiles(world: World, day: date, **decided: Unpack[Decided]) -> list[dict[str, Any]]:
    """The rows of features.user_day that the delivery of `day` makes, by user and activity date."""
    everything = facts(world, **decided)
    tiles = []
    for user_id, activity_on in sorted({(fact.user_id, fact.activity_on) for fact in everything if fact.day == day}):
        of_date = [fact for fact in everything if (fact.user_id, fact.activity_on) == (user_id, activity_on)]
        brought = [fact for fact in of_date if fact.day == day]
        before = [fact for fact in of_date if fact.day < day]
        tiles.append(
            {
                "day": day,
                "user_id": user_id,
                "activity_on": activity_on,
                "is_first": any(f.is_activity for f in brought) and not any(f.is_activity for f in before),
                "event_counts": events_by_type(brought),
                "orders": len({f.order_id for f in brought if f.order_id} - {f.order_id for f in before}),
                "sale_amount": total([fact.sale_amount for fact in brought]),
                "refund_amount": total([fact.refund_amount for fact in brought]),
            }
            | dict(zip(("sessions", "stay_seconds"), visits(brought), strict=True))
            | {f"activities_{part}": len(done_in(brought, hours)) for part, hours in PARTS.items()}
        )
    return tiles


def user_item_day_tiles(world: World, day: date, **decided: Unpack[Decided]) -> list[dict[str, Any]]:
    """The rows of features.user_item_day that the delivery of `day` makes: items that activities concerned."""
    everything = facts(world, **decided)
    concerned = {
        (fact.user_id, fact.activity_on, fact.item_id, fact.category)
        for fact in everything
        if fact.day == day and fact.is_activity and fact.item_id is not None
    }
    return [
        {"day": day, "user_id": user_id, "activity_on": activity_on, "item_id": item_id, "category": category}
        for user_id, activity_on, item_id, category in sorted(concerned, key=lambda tile: tile[:3])
    ]


def user_features(world: World, day: date, **decided: Unpack[Decided]) -> list[dict[str, Any]]:
    """The rows of features.user of the day: one per user who had registered, as far as known at the end of the day."""
    everything = facts(world, **decided)
    known = [fact for fact in everything if fact.day <= day and fact.activity_on <= day]
    rows = []
    for user_id, user in sorted(state(world, "users", day).items()):
        registered_on = user["registered_at"].astimezone(UTC).date()
        if registered_on <= day:
            rows.append(
                {
                    "day": day,
                    "user_id": user_id,
                    "registered_on": registered_on,
                    "tenure_days": (day - registered_on).days,
                    "country": user["country"],
                    "channel": user["channel"],
                    "attributes": user["attributes"] or {},
                }
                | behaviour([fact for fact in known if fact.user_id == user_id], day)
            )
    return rows


def within(among: list[Fact], day: date, days: int, *, ending: int = 0) -> list[Fact]:
    """The facts of the `days` dates that end `ending` days before the day."""
    last = day - ending * ONE_DAY
    return [fact for fact in among if last - days * ONE_DAY < fact.activity_on <= last]


def active_dates(among: list[Fact]) -> list[date]:
    return sorted({fact.activity_on for fact in among if fact.is_activity})


def behaviour(known: list[Fact], day: date) -> dict[str, Any]:
    """What one user did, in windows that end on the day."""
    columns: dict[str, Any] = {}
    for days in WINDOWS:
        window = within(known, day, days)
        columns |= {
            f"active_days_{days}d": len(active_dates(window)),
            f"orders_{days}d": len({(fact.order_id, fact.activity_on) for fact in window if fact.order_id}),
            f"sale_amount_{days}d": total([fact.sale_amount for fact in window]),
            f"refund_amount_{days}d": total([fact.refund_amount for fact in window]),
            f"event_counts_{days}d": events_by_type(window),
        }
    for days in (28, 90):
        sessions, seconds = visits(within(known, day, days))
        columns |= {f"sessions_{days}d": sessions, f"stay_seconds_{days}d": seconds}
    quarter = within(known, day, 90)
    columns |= {f"activities_{part}_90d": len(done_in(quarter, hours)) for part, hours in PARTS.items()}
    columns["active_weekend_days_90d"] = len([on for on in active_dates(quarter) if on.weekday() >= SATURDAY])
    for days in DISTINCT_WINDOWS:
        concerned = [fact for fact in within(known, day, days) if fact.is_activity and fact.item_id is not None]
        columns |= {
            f"distinct_items_{days}d": len({fact.item_id for fact in concerned}),
            f"distinct_categories_{days}d": len({f.category for f in concerned if f.category is not None}),
        }

    dates = active_dates(within(known, day, YEAR))
    gaps = [(later - earlier).days for earlier, later in pairwise(dates)]
    prior = within(known, day, 28, ending=28)
    columns |= lifetime([fact for fact in known if (fact.day - fact.activity_on).days < YEAR], day)
    recency = (day - columns["last_active_on"]).days if columns["last_active_on"] else None
    return columns | {
        "active_dates": dates,
        "recency_days": recency,
        "gap_mean_days": fmean(gaps) if gaps else None,
        "gap_spread_days": pstdev(gaps) if gaps else None,
        "current_gap_ratio": recency / fmean(gaps) if gaps else None,
        "active_days_prior_28d": len(active_dates(prior)),
        "active_days_change_28d": columns["active_days_28d"] - len(active_dates(prior)),
        "sale_amount_prior_28d": total([fact.sale_amount for fact in prior]),
        "sale_amount_change_28d": columns["sale_amount_28d"] - total([fact.sale_amount for fact in prior]),
    }


def lifetime(known: list[Fact], day: date) -> dict[str, Any]:
    """What one user did at any time; what came a year after its date is not among `known`."""
    dates = active_dates(known)
    gaps = [(later - earlier).days for earlier, later in pairwise(dates)]
    columns: dict[str, Any] = {
        "first_active_on": dates[0] if dates else None,
        "last_active_on": dates[-1] if dates else None,
        "active_days_1095d": len(active_dates(within(known, day, 1095))),
        "active_days_ever": len(dates),
        "orders_ever": len({(fact.order_id, fact.activity_on) for fact in known if fact.order_id}),
        "sale_amount_ever": total([fact.sale_amount for fact in known]),
        "gap_mean_ever_days": fmean(gaps) if gaps else None,
    }
    for years in (1, 2):
        first = day - 364 * years * ONE_DAY + ONE_DAY
        weeks = [fact for fact in known if first <= fact.activity_on <= first + 27 * ONE_DAY]
        columns |= {
            f"active_days_same_weeks_{years}y": len(active_dates(weeks)),
            f"sale_amount_same_weeks_{years}y": total([fact.sale_amount for fact in weeks]),
        }
    return columns
