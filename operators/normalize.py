"""Text as a reader sees it: tricks of spelling undone, with a way back to the original positions.

Undone are HTML entities, compatibility forms (NFKC), look-alike letters (Unicode TR39), invisible
and bidirectional control characters, piled-up marks, spelled-out and broken-up words, leet and
drawn-out letters. Words wholly of another script, numbers and addresses stay. Texts without a sign
of any of these are told from the others by a compiled pattern, many at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import re2
from msgspec import Struct

from events.messages import Signal
from models.text.joined import matching
from operators.item import Item
from operators.normalize_characters import fold_characters, fold_mixed_words, undo_entities
from operators.normalize_draft import Draft
from operators.normalize_lexicon import LEXICON
from operators.normalize_words import TOKEN_SIGNS, undo_spelling_out, undo_tokens

_SUSPICIOUS: Final = re2.compile(
    r"&[#A-Za-z][A-Za-z0-9]{1,31};|[^\t\n\r\x20-\x7e\x{2018}\x{2019}\x{201c}\x{201d}]"
    r"|\b[A-Za-z] [^A-Za-z0-9'\"]{0,3} ?[A-Za-z]\b|" + TOKEN_SIGNS
)
"""A sign (RE2) that there may be something to undo in a text; typographic quotes are none."""
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
    origins: Sequence[int] | None = None
    """origins[i] is the original code point index of text[i], and one entry more, the length of the
    original, closes it; None: the same positions."""
    obfuscation: Obfuscation = NO_OBFUSCATION

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Original [start, end) of the characters [start, end) of `text`, in code points."""
        if self.origins is None or start >= end:
            return start, end
        return self.origins[start], max(self.origins[end], self.origins[end - 1] + 1)


def normalize(texts: Sequence[str]) -> list[Normalized]:
    """Normalized forms of `texts`, in order. Never fails on any string; takes linear time."""
    suspicious = find_suspicious(texts)
    return [_slowly(t) if at in suspicious else Normalized(t) for at, t in enumerate(texts)]


def find_suspicious(texts: Sequence[str]) -> set[int]:
    """Indexes of the `texts` that have a sign of anything to undo."""
    # A lone surrogate has no UTF-8; the entity that stands in for it is a sign too.
    encoded = [text.encode("utf-8", "xmlcharrefreplace") for text in texts]
    return set(matching(_SUSPICIOUS, encoded, _BETWEEN))


def _slowly(text: str) -> Normalized:
    draft = Draft(text)
    invisible = posing = changed = 0
    for _ in range(_MAX_PASSES):
        before = draft.text
        undo_entities(draft)
        unseen, posed = fold_characters(draft)
        invisible += unseen
        posing += posed
        if draft.text != before and not find_suspicious([draft.text]):
            break
        posing += fold_mixed_words(draft, LEXICON)
        changed += undo_spelling_out(draft) + undo_tokens(draft)
        if draft.text == before:
            break
    if draft.text == text:
        return Normalized(text)
    share = min(1.0, (changed + invisible + posing) / len(text))
    return Normalized(draft.text, draft.origins, Obfuscation(share, posing, invisible))


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
