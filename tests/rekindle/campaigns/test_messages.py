"""Messages: what a text is billed as, and what it may promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.campaigns.messages import BASIC, EXTENSION, check, segments_of
from rekindle.campaigns.offers import NONE, Offer

TEN_PERCENT = Offer(name="ten_percent", says="10 % off", claims=("10 %", "free shipping"))


@pytest.mark.parametrize(
    ("text", "alphabet", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the euro is not split, so the first segment is one short
        ("я" * 70, "UCS-2", 70, 1),
        ("я" * 71, "UCS-2", 71, 2),
        ("я" * 134, "UCS-2", 134, 2),
        ("я" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 67, "UCS-2", 134, 3),  # 33 pairs a segment: the 34th would be split
        ("Grüße, à bientôt", "UCS-2", 16, 1),  # GSM-7 has ü, ß and à, and no ô
        ("Grüße, à demain", "GSM-7", 15, 1),
    ],
)
def test_segments_are_counted_as_networks_bill_them(text, alphabet, units, count):
    found = segments_of(text)

    assert (found.alphabet, found.units, found.count) == (alphabet, units, count)


def test_it_is_told_which_characters_make_a_text_costly():
    assert segments_of("We\u2019ve missed you… come back\u2019").costly == ("\u2019", "…")


def test_the_alphabet_has_its_128_places():
    """Of which one is the escape, and the extension table stands behind it."""
    assert len(BASIC) == 127
    assert len(EXTENSION) == 10 and not BASIC & EXTENSION


@given(st.text(alphabet=sorted(BASIC | EXTENSION), max_size=600), st.text(max_size=200))
def test_a_longer_text_is_never_cheaper_and_segments_have_room_for_it(text, more):
    short, long = segments_of(text), segments_of(text + more)

    assert long.count >= short.count
    alone, joined = {"GSM-7": (160, 153), "UCS-2": (70, 67)}[long.alphabet]
    assert long.units <= (alone if long.count == 1 else joined * long.count)
    assert long.count == 1 or long.units > (joined - 1) * (long.count - 1)


@pytest.mark.parametrize(
    "text", ["10% off! STOP to end", "10 percent", "Now $5 back", "5 EUR", "20 € less", "FREE gift", "2 for 1"]
)
def test_a_claim_that_no_offer_makes_is_refused(text):
    assert check(text, NONE).unbacked


@pytest.mark.parametrize("text", ["10% off", "10 % off", "Free shipping"])
def test_what_the_offer_promises_may_be_said(text):
    assert not check(f"{text}. Reply STOP to end", TEN_PERCENT).problems


def test_another_share_than_the_offer_is_refused():
    assert check("15 % off. Reply STOP to end", TEN_PERCENT).unbacked == ("15 %",)


@pytest.mark.parametrize(
    "text", ["We open at 10. STOP to end", "Feel free to drop by. STOP to end", "New in 2017! STOP ends it"]
)
def test_what_promises_nothing_is_no_claim(text):
    assert not check(text, NONE).problems


def test_a_text_says_how_to_opt_out():
    assert check("We miss you", NONE).problems == (
        "It does not say how to opt out: add, for example, Reply STOP to end.",
    )
    assert check("We miss you. Reply STOP to end", NONE).says_how_to_stop
