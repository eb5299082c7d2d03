"""What the published audience says of made-up users, against the plain reading of the contract: code by code, at any hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.permission.codes import CODES
from rekindle.permission.messaging import messaging
from rekindle.publishing import publish
from rekindle.settings import settings
from tests.reference import permission_worlds as worlds
from tests.reference.permission import Known, Person, Rules, World, code_by_user
from tests.reference.permission_worlds import AT, DAY, VALID_UNTIL
from tests.rekindle.permission.rows import given, hmac, permission
from tests.rekindle.publishing.test_publishing import RECALL, RETURN_VALUE, recall_rows, return_value_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW, ALL = 500, 10_000
USUAL = {"in_population": True, "expected_gain": 0.2, "valid_until": VALID_UNTIL}
TIMES = {
    "as a Sunday begins": AT,
    "when all is closed but open again on Monday": datetime(2024, 6, 16, 22, 50, tzinfo=UTC),
    "in the day": datetime(2024, 6, 17, 16, 20, tzinfo=UTC),
    "as the hour before the end of the east begins": datetime(2024, 6, 17, 23, 1, tzinfo=UTC),
    "when the permission is over": VALID_UNTIL,
}


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest) -> World:
    """Users whose permission ends together, as that of a publish does."""
    made = worlds.world(request.param, seed=12)
    scores = {user: {**USUAL, **score, "valid_until": VALID_UNTIL} for user, score in made.scores.items()}
    return World(**{**vars(made), "scores": scores})


@pytest.fixture
def published(audience: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The world in Postgres, published on the day before, when all were in the population and nothing was permitted."""
    monkeypatch.setenv("REKINDLE_VALID_HOURS", "48")
    settings.cache_clear()
    known = Known.of(world, DAY, rules())
    run_id = records.start_run("daily", Days.one(DAY))
    fill(audience.database, world, known)
    before = DAY - timedelta(days=1)
    publish(
        {RECALL: scored(world.scores, before), RETURN_VALUE: valued(world, world.scores, before)}, before, run_id, at=AT
    )
    forget(audience.database, world)
    present = [user for user, score in world.scores.items() if score["in_population"]]
    rows = [row_of(Person(known, user, AT), code) for user, code in code_by_user(world, DAY, rules()).items()]
    sent = {(row["campaign_id"], row["user_id"], row["sent_at"]) for of in world.messages.values() for row in of}
    elsewhere = [dict(zip(("campaign_id", "user_id", "assigned_at"), one, strict=True)) for one in sorted(sent)]
    facts = given(*(row for row in rows if row["code"] != "no_consent"), sent_elsewhere=elsewhere)

    def at(time: datetime) -> dict[str, str | None]:
        scores = {RECALL: scored(present, DAY), RETURN_VALUE: valued(world, present, DAY)}
        publish(scores, DAY, run_id, given=facts, at=time)
        return audience.codes

    return at


def rules() -> Rules:
    return Rules(harmless=messaging().harmless_words)


def scored(users, day):
    of = ({"user_id": user, "return_probability": chance(user), "raw_score": n} for n, user in enumerate(sorted(users)))
    return recall_rows(*of, day=day)


def valued(world, users, day):
    of = ((user, worth(user, world.scores[user]["expected_gain"])) for user in sorted(users))
    return return_value_rows(
        *({"user_id": user, "value_if_returns": None if value is None else Decimal(str(value))} for user, value in of),
        day=day,
    )


def chance(user: str) -> float:
    """Return a chance of return; no user has the same as the next."""
    return round(0.1 + int(user[1:]) % 400 / 1000, 3)


def worth(user: str, gain: float | None) -> float | None:
    """Return what a return must be worth so that a message brings so much."""
    p, lift = chance(user), settings().prior_lift
    return None if gain is None else round((gain + settings().message_cost) / (p * (1 + lift) / (1 + p * lift) - p), 2)


def row_of(person: Person, code: str | None) -> dict[str, Any]:
    """What marts.permission says of a user."""
    number = person.number
    grant = person.grant if person.grants else None
    return permission(
        person.user,
        day=DAY,
        code=code,
        phone_hmac=hmac(number) if number else None,
        phone_hmacs=[hmac(number)] if number else [],
        phone_e164=None if code else number,
        consent_at=grant.row["at"] if grant else None,
        consent_source=grant.row["source"] if grant else None,
        policy_version=grant.row["policy_version"] if grant else None,
        zones="|".join(sorted(person.zones)) or None if number else None,
        country=person.country if number else None,
    )


def fill(database: Any, world: World, known: Known) -> None:
    """Keep in Postgres' own ledgers what is kept there: of messages every other was planned here."""
    planned = {}
    for row in (row for of in world.messages.values() for row in of if int(row["user_id"][1:]) % 2):
        planned.setdefault((row["campaign_id"], row["user_id"]), row["sent_at"])
    held_out = {user: Person(known, user, AT).number for user in sorted(world.held_out)}
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into rekindle.campaign values (%s, %s, %s, '{}', '{}', '')",
            [(campaign, DAY, AT) for campaign in sorted({campaign for campaign, _ in planned})],
        )
        cursor.executemany(
            "insert into rekindle.assignment (campaign_id, user_id, assigned_at, arm, is_control, probability, rank,"
            " return_probability) values (%s, %s, %s, 'control', true, .5, 1, .1)",
            [(*key, at) for key, at in planned.items()],
        )
        cursor.executemany(
            "insert into rekindle.holdout (user_id, phone_hmac, is_held_out, decided_on, decided_by, share)"
            " values (%s, %s, true, %s, 'hash', 0)",
            [(user, hmac(number) if number else None, DAY) for user, number in held_out.items()],
        )


def forget(database: Any, world: World) -> None:
    """Erase by the command every other of the erased, while the hour has only heard of the rest."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into rekindle.erasure (user_id, erased_at, forgotten_after) values (%s, %s, %s)",
            [(user, AT, AT + timedelta(days=30)) for user in sorted(world.erased) if int(user[1:]) % 2],
        )
        cursor.executemany(
            "insert into rekindle.withdrawal (kind, user_id, at, source_id) values ('erasure', %s, %s, %s)",
            [(user, AT, user) for user in sorted(world.erased) if not int(user[1:]) % 2],
        )


def test_the_audience_says_of_every_user_what_the_plain_reading_says(published: Any, world: World):
    met = set()
    for name, time in TIMES.items():
        found, expected = published(time), code_by_user(world, DAY, rules(), time)
        differing = {user: (expected[user], found[user]) for user in expected if expected[user] != found[user]}

        assert found.keys() == expected.keys()
        assert not differing, (name, len(differing), list(differing.items())[:8])
        met |= {*found.values()}
    assert met == {*CODES, None}
