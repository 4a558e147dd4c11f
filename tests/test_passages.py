"""Passages of long texts: where they are cut, which is read on, and what it says of its text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.cascade import Cascade
from models.text.passages import STRIDE, WIDTH, cut

HATE = "All muslims are vermin and should be exterminated."
CHAT = (
    "We walked along the river for an hour before it began to rain, and then had a very long coffee"
    " in the small place near the bridge."
)


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("", []),
        ("a" * WIDTH, []),  # one passage, the text itself
        ("a" * (WIDTH + 1), ["a" * WIDTH, "a" * (WIDTH + 1 - STRIDE)]),  # without blanks, anywhere
        ("abc de " * 20, [("abc de " * 14)[:-1], "de " + "abc de " * 12]),  # at blanks
    ],
)
def test_long_texts_are_cut_between_words(text: str, passages: list[str]) -> None:
    assert cut([text]).texts == passages
    assert cut([text], {0}).texts == [], "it is left out"


@given(st.lists(st.text("ab \n🔪", max_size=1_000), max_size=4))
def test_passages_cover_their_text_and_are_short(texts: list[str]) -> None:
    found = cut(texts)
    for number, text in enumerate(texts):
        own = [p for p, owner in zip(found.texts, found.owners, strict=True) if owner == number]
        assert len(own) == found.counts[number]
        assert bool(own) == (len(text) > WIDTH)
        assert all(passage in text and 0 < len(passage) <= WIDTH for passage in own)
        words = [word for word in text.split(" ") if own and 0 < len(word) < STRIDE // 3]
        assert set(words) <= {word for passage in own for word in passage.split(" ")}


def test_the_worst_passage_of_each_text_is_read_on() -> None:
    found = cut(["short", "word " * 100, "other " * 30])
    rising = np.linspace(0, 1, len(found.texts), dtype=np.float32)
    last = [int(found.counts[1]) - 1, len(found.texts) - 1]
    assert found.worst(np.stack([rising, rising - 1], axis=1)).tolist() == last
    assert found.worst(np.stack([-rising, rising - 9], axis=1)).tolist() == [0, last[0] + 1]
    assert found.owners[last].tolist() == [1, 2]


def test_a_passage_says_less_of_a_longer_text() -> None:
    found = cut(["word " * 30, "", "word " * 300])
    [[short], [long]] = found.weighed(np.full((2, 1), 0.9, np.float32))
    assert 0.9 > short > long > 0.2


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2)])
def test_hate_is_not_hidden_by_what_stands_around_it(
    cascade: Cascade, before: int, after: int
) -> None:
    text = " ".join([CHAT] * before + [HATE] + [CHAT] * after)
    found = cascade.settle([text])
    assert found.scores[0, 0] >= 0.5, found.scores
    assert cascade.predict([" ".join([CHAT] * (before + 1 + after))]).max() < 0.3


def test_a_text_scores_the_same_whatever_is_read_beside_it(cascade: Cascade) -> None:
    texts = [HATE, f"{CHAT} {HATE}", CHAT, "", "word " * 2_000, f"{HATE} {CHAT} {CHAT}"]
    alone = np.concatenate([cascade.predict([text]) for text in texts])
    np.testing.assert_array_equal(cascade.predict(texts), alone)


def test_the_last_model_reads_whole_texts_alone(cascade: Cascade) -> None:
    long, last = f"{CHAT} {HATE}", len(cascade.models) - 1
    assert cascade.settle([HATE, long]).settled_by.tolist() == [last, 1]
    assert cascade.settle([long], np.array([True])).settled_by.tolist() == [last]
