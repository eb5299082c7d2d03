"""How simulated users are reached: by phones that are nobody's, and with consents that are late, repeated and spoilt."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rekindle.days import Days
from rekindle.landing.filling.simulation import fiction
from rekindle.landing.filling.simulation.business import Business
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.reach import MOBILE, NO_NUMBER, NONE
from rekindle.landing.filling.simulation.simulate import days_of

FIRST = date(2024, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=59))
USERS = 6000
SOURCES = ("contacts", "consents", "replies")


def delivered(users: int, days: Days = DAYS) -> dict[str, pa.Table]:
    """All rows of a source, with the day of their delivery."""
    parts: dict[str, list[pa.Table]] = {source: [] for source in SOURCES}
    for passed in days_of(users, days):
        for source in SOURCES:
            rows = passed.delivered[source].rows
            parts[source].append(rows.append_column("day", pa.repeat(pa.scalar(passed.day), len(rows))))
    return {source: pa.concat_tables(tables) for source, tables in parts.items()}


@pytest.fixture(scope="module")
def rows() -> dict[str, pa.Table]:
    return delivered(USERS)


def kind(country: str, number: str) -> int | None:
    parsed = phonenumbers.parse(fiction.e164(country, number))
    is_of = phonenumbers.region_code_for_number(parsed) == country
    return phonenumbers.number_type(parsed) if is_of and phonenumbers.is_valid_number(parsed) else None


def test_numbers_for_fiction_are_what_they_are_said_to_be():
    """In six countries; operators have none of those of two of them, so they are valid nowhere."""
    types = phonenumbers.PhoneNumberType
    said = {
        "US": types.FIXED_LINE_OR_MOBILE,
        **dict.fromkeys(("DE", "AU", "SE"), types.MOBILE),
        **dict.fromkeys(("GB", "FR")),
    }
    for country in fiction.CALLING_CODES:
        numbers = fiction.mobiles(country)

        assert {kind(country, number) for number in numbers[::23]} == {said[country]}, country
        assert len(set(numbers)) == len(numbers)
        assert {kind(country, n) for n in fiction.landlines(country)[::23]} <= {types.FIXED_LINE, types.TOLL_FREE}
    assert len(fiction.mobiles("US")) > 35_000
    assert not fiction.mobiles("BR") and not fiction.mobiles("IN")


@pytest.mark.parametrize("country", sorted({*fiction.CALLING_CODES} - {*fiction.ABROAD}))
@pytest.mark.parametrize("form", range(4))
def test_each_way_of_writing_a_number_is_read_as_it(country: str, form: int):
    for number in (*fiction.mobiles(country)[:40], *fiction.landlines(country)[:40]):
        read = phonenumbers.parse(fiction.written(country, number, form), country)

        assert phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164) == fiction.e164(country, number)


def test_what_is_no_number_is_none():
    for text in fiction.NO_NUMBERS:
        for country in (None, "US", "DE"):
            try:
                number = phonenumbers.parse(text, country)
            except phonenumbers.NumberParseException:
                continue
            assert not phonenumbers.is_valid_number(number), text


def test_more_users_take_no_number_from_those_before_them():
    few, many = (delivered(users, Days.between(FIRST, FIRST + timedelta(days=9))) for users in (500, 1500))
    for source in ("contacts", "consents"):
        number = pc.utf8_slice_codeunits(many[source]["user_id"], 1).cast(pa.int64())
        of_first = many[source].filter(pc.less(number, 500))

        assert sorted(map(str, of_first.to_pylist())) == sorted(map(str, few[source].to_pylist()))


def test_unique_numbers_end_with_their_ranges():
    reach = Business.of(parameters(), 90_000, DAYS).reach
    is_held = (reach.country == "US") & (reach.kind == MOBILE)
    held = Counter(reach.numbers[is_held])

    assert held.keys() <= set(fiction.mobiles("US"))
    assert len(held) == len(fiction.mobiles("US")) / 2, "each has one more kept for when it changes"
    assert 0 < sum(count > 1 for count in held.values()) < 0.1 * len(held)
    assert {NONE, NO_NUMBER} <= set(reach.kind[-10_000:])
    assert MOBILE not in reach.kind[-10_000:][(reach.country[-10_000:] == "US") & ~reach.is_shared[-10_000:]]


def test_contacts_are_of_all_kinds(rows: dict[str, pa.Table]):
    contacts = rows["contacts"]
    first = contacts.filter(pc.equal(contacts["day"], pa.scalar(FIRST)))
    users = Counter(contacts["user_id"].to_pylist())

    assert pc.count_distinct(first["user_id"]).as_py() == len(first)
    assert sum(count > 1 for count in users.values()) > 20, "numbers change"
    assert contacts["phone"].null_count > 0, "some are given up"
    assert len(set(contacts["phone"].to_pylist()) & set(fiction.NO_NUMBERS)) > 3
    phones = Counter(first["phone"].to_pylist())
    assert sum(count > 1 for phone, count in phones.items() if phone not in fiction.NO_NUMBERS) > 5, "some are shared"


def test_consents_are_of_all_kinds_and_most_were_given_after_the_number_came(rows: dict[str, pa.Table]):
    consents = rows["consents"]
    meant = set(zip(*(consents[name].to_pylist() for name in ("message_channel", "purpose", "action")), strict=True))

    assert {("sms", "marketing", "grant"), ("email", "marketing", "grant"), ("sms", "orders", "grant")} <= meant
    assert {(None, None, "withdraw"), ("all", "all", "withdraw"), ("SMS ", "Marketing", "withdraw")} <= meant
    grants = consents.filter(pc.equal(consents["action"], "grant"))
    for lacking in ("at", "source", "policy_version"):
        assert 0 < grants[lacking].null_count < 0.02 * len(grants)
    on = grants["at"].cast(pa.timestamp("us")).cast(pa.date32())
    after = pc.sum(pc.greater_equal(on, pa.scalar(FIRST))).as_py()
    assert 0.2 * len(grants) < after < 0.8 * len(grants)
    assert pc.any(pc.less(on, pa.scalar(FIRST - timedelta(days=730)))).as_py(), "some are old"
    assert pc.any(
        pc.greater(rows["consents"]["day"], pc.fill_null(consents["at"], 0).cast(pa.timestamp("us")).cast(pa.date32()))
    )


def test_users_opt_out_in_many_spellings(rows: dict[str, pa.Table]):
    replies = rows["replies"]
    known = set(rows["contacts"]["user_id"].to_pylist())

    assert len(set(replies["text"].to_pylist())) > 12
    assert len(replies) > 40 and len(known) > 2000
    assert all(phone is None or phone.startswith("+") for phone in replies["phone"].to_pylist())


def test_the_truth_says_who_has_opted_out_and_when(rows: dict[str, pa.Table]):
    reach = Business.of(parameters(), USERS, DAYS).reach
    withdrawn = rows["consents"].filter(pc.equal(rows["consents"]["action"], "withdraw"))
    users = pc.utf8_slice_codeunits(withdrawn["user_id"].drop_null(), 1).cast(pa.int64()).to_numpy()

    assert (reach.withdrawn_on[users] <= DAYS.last.toordinal()).all()
