"""A text being edited that knows where each of its characters came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Edit: TypeAlias = tuple[int, int, str]
"""Characters [start, end) give way to a text; edits of one list are in order and do not overlap."""

MAX_LOOKED_AT: Final = 8_192
"""Characters of odd words that are looked at closely in one text, each time that they are: far more
than honest texts have, and for a hostile one some 0.1 s; odd words beyond stay as they are."""


class Draft:
    """The text so far, and for each character its position in the original.

    `origins` has one entry more than the text: the length of the original. It never decreases.
    """

    __slots__ = ("_budget", "origins", "text")

    def __init__(self, text: str) -> None:
        self._budget = MAX_LOOKED_AT
        self.text = text
        self.origins: Sequence[int] = range(len(text) + 1)

    def affords(self, size: int) -> bool:
        """Whether `size` characters may still be looked at closely, which they then are."""
        if size > self._budget:
            return False
        self._budget -= size
        return True

    def apply(self, edits: Iterable[Edit], *, ordered: bool = True) -> int:
        """Carries out `edits`; returns how many characters they took or changed.

        New characters come one by one from those they replace, or each from all of them where these
        stood in another order (`ordered`).
        """
        pieces: list[str] = []
        origins: list[int] = []
        at = changed = 0
        for start, end, new in edits:
            pieces += self.text[at:start], new
            origins += self.origins[at:start]
            if len(new) == 1 or not ordered:
                origins += [self.origins[start]] * len(new)
            elif new:
                last = max(start, end - 1)
                origins += [self.origins[min(start + i, last)] for i in range(len(new))]
            changed += end - start
            at = end
        if pieces:
            self.text = "".join(pieces) + self.text[at:]
            origins += self.origins[at:]
            self.origins = origins
        return changed
