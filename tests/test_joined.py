"""A pattern finds in many texts what it finds in each."""

from __future__ import annotations

import re2
from hypothesis import given
from hypothesis import strategies as st

from models.text.joined import matching

_WORD = re2.compile(r"(?i)\b(?:ab|b-a)\b")


@given(st.lists(st.text(st.sampled_from("aAbB -\n\u00e9\U0001f600"), max_size=8), max_size=12))
def test_texts_are_searched_as_each_alone(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    alone = [number for number, text in enumerate(encoded) if _WORD.search(text)]
    assert list(matching(_WORD, encoded, b"\n")) == alone


def test_no_match_spans_two_texts() -> None:
    assert list(matching(_WORD, [b"a", b"b", b"ab", b"", b"b-", b"a"], b"\n")) == [2]
