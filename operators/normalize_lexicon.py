"""The words that spellings are undone to, and how letters in a row are cut into them."""

from __future__ import annotations

import re
from math import inf, log
from pathlib import Path
from typing import Final

WORDS: Final = tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())
"""English words, most frequent first: of the training texts and BERT's vocabulary."""
LEXICON: Final = frozenset(WORDS)

_SHORT: Final = frozenset(
    (
        *("a", "i", "am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it"),
        *("me", "my", "no", "of", "on", "or", "so", "to", "up", "us", "we"),
    )
)
COST: Final = {
    word: log(rank + 10) for rank, word in enumerate(WORDS) if len(word) > 2 or word in _SHORT
} | {"a": log(10), "i": log(10)}
"""How rare a word is, of those that letters in a row may be cut into."""
_COST_SO_FAR: Final = {word[:end]: inf for word in COST for end in range(1, len(word))} | COST
"""Beginnings of words too: where one ends that is none, the search for a word does."""

MAX_TOKEN: Final = 64
"""Letters of the longest spelling that is looked up."""
DRAWN_OUT: Final = re.compile(r"([^\W\d_])\1\1+")


def is_word(lowered: str) -> bool:
    """Whether the lexicon has it, drawn out or not (`stuuupid`)."""
    return lowered in LEXICON or DRAWN_OUT.sub(r"\1", lowered) in LEXICON


def segment(text: str) -> str | None:
    """`text` cut into the most frequent words of the lexicon, None when that leaves odd bits.

    Unigram Viterbi search with Zipf costs (Norvig 2009, Natural Language Corpus Data), of at most
    MAX_TOKEN letters.
    """
    lowered = text.lower()
    size = len(lowered)
    if not 4 <= size <= MAX_TOKEN:
        return None
    best: list[tuple[float, int]] = [(0.0, 0)] + [(inf, 0)] * size
    for begin in range(size):
        so_far = best[begin][0]
        if so_far == inf:
            continue
        for end in range(begin + 1, size + 1):
            cost = _COST_SO_FAR.get(lowered[begin:end])
            if cost is None:
                break
            if so_far + cost < best[end][0]:
                best[end] = so_far + cost, begin
    if best[size][0] == inf:
        return None
    pieces: list[str] = []
    end = size
    while end:
        begin = best[end][1]
        pieces.append(text[begin:end])
        end = begin
    return " ".join(reversed(pieces)) if size / len(pieces) >= 2.5 else None
