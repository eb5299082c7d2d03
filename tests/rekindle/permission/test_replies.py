"""Replies: STOP in whatever spelling closes, and so does what nobody understands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.permission.messaging import messaging
from rekindle.permission.replies import STOP_WORDS, is_opt_out, words_of

SPELLINGS = (
    str.upper,
    str.title,
    lambda word: f"  {word}!!! ",
    lambda word: f"“{word}”\n",
    " ".join,
)
WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


@pytest.mark.parametrize("word", STOP_WORDS)
def test_a_stop_word_is_one_in_each_spelling(word: str):
    assert [spell(word) for spell in SPELLINGS if not is_opt_out(spell(word))] == []
    assert is_opt_out(word.translate(WIDE))
    assert is_opt_out(f"ok, {word} please")


@pytest.mark.parametrize(
    "text", ["stopp", "st0p", "\u0455top", "leave me alone", "no", "who is this?", "😡", "👍", "", None, "🛑 yes, stop"]
)
def test_what_is_ambiguous_is_an_opt_out(text: str | None):
    assert is_opt_out(text)


@pytest.mark.parametrize(
    "text", ["yes", "YES!!", "Ok, thanks 👍", "Thank you.", "START", "help?", "\uff59\uff45\uff53", "Y\u0301es"]
)
def test_what_surely_is_none_is_none(text: str):
    assert not is_opt_out(text)


def test_no_word_of_a_stop_is_harmless():
    assert not {part for word in STOP_WORDS for part in words_of(word)} & messaging().harmless_words


@given(st.lists(st.sampled_from(sorted(messaging().harmless_words)), min_size=1), st.text(min_size=1))
def test_one_word_that_is_not_harmless_is_enough(harmless: list[str], text: str):
    words = words_of(text)
    other = [word for word in words if word not in messaging().harmless_words]

    assert is_opt_out(f"{' '.join(harmless)} {text}") == bool(other)


def test_harmless_words_are_written_as_they_are_compared():
    assert [word for word in messaging().harmless_words if words_of(word) != [word]] == []
