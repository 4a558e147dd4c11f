"""Text as a reader sees it: tricks of spelling undone, with a way back to the original positions.

Undone are HTML entities and tags in words, compatibility forms (NFKC), look-alike letters (Unicode
TR39), letters with marks, text shown backwards or upside down, invisible characters, piled-up
marks, spelled-out and broken-up words, leet, masked and drawn-out letters, runs of blanks and line
breaks. Words wholly of another script, numbers and addresses stay. Texts without a sign of any of
these are told from the others by a compiled pattern, many at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

import re2
from msgspec import Struct

from events.messages import Signal
from models.text.joined import matching
from operators.item import Item
from operators.normalize_blanks import SIGN as BLANKS_SIGN
from operators.normalize_blanks import fold_blanks, folded, origins_of_folded
from operators.normalize_characters import (
    fold_characters,
    fold_marked_words,
    fold_mixed_words,
    undo_entities,
    undo_letter_signs,
    undo_overrides,
)
from operators.normalize_draft import Draft
from operators.normalize_halved import HALVED_SIGN, undo_halves
from operators.normalize_tags import TAG_SIGN, undo_tags
from operators.normalize_turned import undo_turned
from operators.normalize_words import LISTED_SIGN, TOKEN_SIGNS, undo_spelling_out, undo_tokens

_TRICK: Final = (
    r"&[#A-Za-z][A-Za-z0-9]{1,31};|[^\t\n\r\x20-\x7e\x{2018}\x{2019}\x{201c}\x{201d}]"
    rf"|\b[A-Za-z] [^A-Za-z0-9'\"]{{0,3}} ?[A-Za-z]\b|{HALVED_SIGN}|{LISTED_SIGN}|{TAG_SIGN}"
    rf"|{TOKEN_SIGNS}"
)
_SUSPICIOUS: Final = re2.compile(_TRICK)
"""A sign (RE2) that there may be a trick to undo in a text; typographic quotes are none."""
_SUSPICIOUS_OR_BLANKS: Final = re2.compile(f"{_TRICK}|{BLANKS_SIGN}")
_BETWEEN: Final = b'"'
"""Part of no sign, and the end of a word: texts joined by it are searched as each alone."""
_MAX_PASSES: Final = 8
"""One undoing can lay bare another (an entity in an entity); deeper nests are left."""

CHANGED_LEVEL: Final = 0.1
"""Share of changed characters from which a text is called obfuscated."""


class Obfuscation(Struct, frozen=True):
    """How much was undone in a text."""

    changed: float = 0.0
    """Share of its characters that were tricks of spelling, 0 to 1."""
    mixed_letters: int = 0
    """Letters of another script, or posing as another, inside words."""
    invisible: int = 0
    """Characters that nobody sees."""


NO_OBFUSCATION: Final = Obfuscation()


class Normalized(Struct, frozen=True):
    """A normalized text and, for each of its characters, where it came from."""

    text: str
    known_origins: Sequence[int] | None = None
    obfuscation: Obfuscation = NO_OBFUSCATION
    unfolded: str | None = None
    """The original, where all that was done is to fold its blanks."""

    @property
    def origins(self) -> Sequence[int] | None:
        """Where each character of `text` came from; None: the same positions.

        origins[i] is the original code point index of text[i], and one entry more, the length of
        the original, closes it.
        """
        if self.unfolded is None:
            return self.known_origins
        # Few texts are ever asked, and many have line breaks.
        return origins_of_folded(self.unfolded)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Original [start, end) of the characters [start, end) of `text`, in code points."""
        origins = self.origins
        if origins is None or start >= end:
            return start, end
        return origins[start], origins[bisect_right(origins, origins[end - 1])]


def normalize(texts: Sequence[str]) -> list[Normalized]:
    """Normalized forms of `texts`, in order. Never fails on any string; takes linear time."""
    normalized = [Normalized(text) for text in texts]
    signed = {at: folded(texts[at]) for at in _find(_SUSPICIOUS_OR_BLANKS, texts)}
    blanks = [at for at, text in signed.items() if text != texts[at]]
    suspicious = find_suspicious([signed[at] for at in blanks])
    only_blanks = {at for number, at in enumerate(blanks) if number not in suspicious}
    for at, text in signed.items():
        normalized[at] = (
            Normalized(text, unfolded=texts[at]) if at in only_blanks else _slowly(texts[at], text)
        )
    return normalized


def find_suspicious(texts: Sequence[str]) -> set[int]:
    """Indexes of the `texts`, with folded blanks, that have a sign of a trick to undo."""
    return set(_find(_SUSPICIOUS, texts))


def _find(pattern: Any, texts: Sequence[str]) -> list[int]:
    # A lone surrogate has no UTF-8; the entity that stands in for it is a sign too.
    encoded = [text.encode("utf-8", "xmlcharrefreplace") for text in texts]
    return list(matching(pattern, encoded, _BETWEEN))


def _slowly(text: str, before: str) -> Normalized:
    """`text`, which is `before` with folded blanks, with every trick undone."""
    draft = Draft(text)
    invisible = posing = changed = 0
    for _ in range(_MAX_PASSES):
        written = draft.text
        undo_entities(draft)
        changed += undo_tags(draft)
        changed += undo_overrides(draft)
        changed += undo_turned(draft)
        posing += undo_letter_signs(draft)
        unseen, posed = fold_characters(draft)
        invisible += unseen
        posing += posed
        if draft.text != written and not find_suspicious([folded(draft.text)]):
            fold_blanks(draft)
            break
        posing += fold_mixed_words(draft)
        fold_marked_words(draft)
        # Wide gaps and line breaks part words that are spelled out, so first with them.
        changed += undo_spelling_out(draft)
        if draft.text != before and fold_blanks(draft):
            changed += undo_spelling_out(draft)
        changed += undo_halves(draft)
        changed += undo_tokens(draft)
        if draft.text == before:
            break
        before = draft.text
    if draft.text == text:
        return Normalized(text)
    undone = changed + invisible + posing
    if not undone:
        return Normalized(draft.text, draft.origins)
    obfuscation = Obfuscation(min(1.0, undone / len(text)), posing, invisible)
    return Normalized(draft.text, draft.origins, obfuscation)


class Normalizer:
    """Fills `normalized` of every item with text, and tells of obfuscation by signals.

    The signals have no category: fusion weighs them. `obfuscation.changed` (from CHANGED_LEVEL on)
    scores the share of changed characters, `obfuscation.mixed_scripts` and `obfuscation.invisible`
    score n / (n + 2) for n letters or characters.
    """

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        texted = [item for item in items if item.content.text]
        for item, normalized in zip(
            texted, normalize([item.content.text for item in texted]), strict=True
        ):
            item.normalized = normalized
            if normalized.obfuscation is not NO_OBFUSCATION:
                item.signals += _signals(normalized.obfuscation)
        return items


def _signals(found: Obfuscation) -> list[Signal]:
    scores = {
        "changed": found.changed if found.changed >= CHANGED_LEVEL else 0.0,
        "mixed_scripts": found.mixed_letters / (found.mixed_letters + 2),
        "invisible": found.invisible / (found.invisible + 2),
    }
    return [
        Signal("normalize", f"obfuscation.{name}", "", score)
        for name, score in scores.items()
        if score
    ]
