"""Passages of long texts: what stands in one of them is not to be hidden by what stands around it.

A model weighs all words of a text, so an insult among ten harmless sentences is a tenth of what it
would be by itself. So a long text is read as a whole and, by the first model, in overlapping
passages of a sentence or two, of which the second reads the worst. It speaks for its text where it
is worse than the whole; of many passages one looks bad by chance, so with log odds that are the
lower the more passages there are.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.text.gate import log_odds

WIDTH: Final = 100
"""Characters of a passage, at most; no shorter text is cut."""
STRIDE: Final = 50
"""A passage begins so many characters after the one before."""
_LONGEST_WORD: Final = 20
"""Characters within which a passage's ends are moved so that they cut no word."""
_CHANCE: Final = 0.5
"""By how much the log odds fall with the logarithm of the number of passages."""


@dataclass(frozen=True)
class Passages:
    """Passages of the long ones of n texts, m in all."""

    texts: list[str]
    starts: list[int]
    """(m,): where in its text each begins, in code points."""
    owners: NDArray[np.int64]
    """(m,): the number of the text that each is of, rising."""
    counts: NDArray[np.int64]
    """(n,): how many each text has."""

    def worst(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Numbers of the passages with the highest of `scores`, (m, C), one of each text, (k,)."""
        order = np.lexsort((scores.max(axis=1), self.owners))
        return order[np.cumsum(self.counts)[self.counts > 0] - 1]

    def weighed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the worst passages, whose scores are (k, C), say of their texts, (k, C)."""
        chance = _CHANCE * np.log(self.counts[self.counts > 0])
        odds = log_odds(scores) - chance[:, None]
        return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)


def cut(texts: Sequence[str], left_out: Container[int] = ()) -> Passages:
    """The passages of those of `texts` that are longer than one, but of the numbers `left_out`."""
    pieces: list[str] = []
    starts: list[int] = []
    counts = np.zeros(len(texts), dtype=np.int64)
    for number, text in enumerate(texts):
        if len(text) > WIDTH and number not in left_out:
            before = len(pieces)
            for start, end in _spans(text):
                pieces.append(text[start:end])
                starts.append(start)
            counts[number] = len(pieces) - before
    return Passages(pieces, starts, np.repeat(np.arange(len(texts)), counts), counts)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for at in range(0, len(text) - STRIDE, STRIDE):
        start = text.find(" ", at - 1, at + _LONGEST_WORD) + 1 if at else 0
        end = text.rfind(" ", at + WIDTH - _LONGEST_WORD, at + WIDTH + 1)
        if end < 0 or at + WIDTH >= len(text):
            end = at + WIDTH
        yield start or at, end
