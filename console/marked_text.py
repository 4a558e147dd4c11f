"""A text cut into pieces to show: evidence marked, and what is invisible made visible."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from events.messages import Signal

MAX_SPANS: Final = 200
MAX_PIECES: Final = 2000
"""Past these the rest of the text stands unmarked: a browser has to draw every piece."""

_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cn", "Cs"})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Hangul fillers and the empty pattern of Braille: letters to Unicode, nothing to the eye."""
_PLAIN = frozenset("\n\t")
_JOINERS = frozenset("\u200c\u200d")
"""Zero-width joiners belong to emoji and to several scripts, but not to Latin words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters with the rules that saw it; `invisible`: a name stands in for them."""

    text: str
    rules: tuple[str, ...] = ()
    invisible: bool = False


def pieces(text: str, signals: Iterable[Signal]) -> list[Piece]:
    """`text` in order, cut where evidence in the field `text` begins or ends.

    Characters that show nothing or turn the reading direction (U+202E and the like) become pieces
    of their own that name them: hiding text is part of what is judged.
    """
    spans = list(itertools.islice(_spans(text, signals), MAX_SPANS))
    cuts = sorted({0, len(text), *(bound for start, end, _ in spans for bound in (start, end))})
    result: list[Piece] = []
    for start, end in itertools.pairwise(cuts):
        rules = tuple(dict.fromkeys(r for s, e, r in spans if s <= start and end <= e))
        for piece, upto in _visible(text, start, end, rules):
            result.append(piece)
            if len(result) >= MAX_PIECES:
                return [*result, Piece(_named(text[upto:]))] if upto < len(text) else result
    return result


def _spans(text: str, signals: Iterable[Signal]) -> Iterator[tuple[int, int, str]]:
    for signal in signals:
        for seen in signal.evidence:
            start, end = max(0, seen.start), min(len(text), seen.end)
            if seen.field == "text" and start < end:
                yield start, end, signal.rule


def _visible(
    text: str, start: int, end: int, rules: tuple[str, ...]
) -> Iterator[tuple[Piece, int]]:
    """Pieces of text[start:end], each with where it ends."""
    shown = start
    for at in range(start, end):
        if _is_invisible(text, at):
            if shown < at:
                yield Piece(text[shown:at], rules), at
            yield Piece(_name(text[at]), rules, invisible=True), at + 1
            shown = at + 1
    if shown < end:
        yield Piece(text[shown:end], rules), end


def _is_invisible(text: str, at: int) -> bool:
    character = text[at]
    if character in _BLANK:
        return True
    if character in _PLAIN or unicodedata.category(character) not in _INVISIBLE:
        return False
    return character not in _JOINERS or any(
        neighbour.isascii() and neighbour.isalnum() for neighbour in text[max(0, at - 1) : at + 2]
    )


def _named(text: str) -> str:
    return "".join(
        _name(character) if _is_invisible(text, at) else character
        for at, character in enumerate(text)
    )


def _name(character: str) -> str:
    return f"U+{ord(character):04X}"
