"""Leet: digits and signs that stand for letters (`h4te`, `$h!t`)."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice, product
from typing import Final

from operators.normalize_lexicon import LEXICON, MAX_TOKEN, is_word

LEET: Final = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a",
    "$": "s", "!": "i", "|": "li", "+": "t", "€": "e", "£": "l", "¢": "c",
}  # fmt: skip
_SURE: Final = frozenset("013457@$!|")
"""What stands for a letter between letters even in a word that nobody knows."""
_UNIT: Final = re.compile(
    r"[0-9]+(?:st|nd|rd|th|am|pm|k|m|b|x|s|g|kg|mg|gb|mb|tb|km|cm|mm|h|hr|hrs|min|d|p|px|bit|ish|yo"
    r"|ft)s?$"
)
_COUNTED: Final = re.compile(r"[0-9]{2,}[A-Za-z]*$")
_CHAR: Final = "[A-Za-z0-9@$!|+€£¢]"
LEET_WORD: Final = re.compile(rf"(?<!{_CHAR}){_CHAR}*[A-Za-z]{_CHAR}*")
"""The look behind keeps a run without a letter from being searched from each of its characters."""
_MAX_SIGNS: Final = 6
_MAX_READINGS: Final = 16
"""Of a word whose signs stand for one of two letters each."""


@lru_cache(maxsize=1 << 12)
def unleet(word: str) -> str | None:
    """`word` with letters for the signs that stand for them; of the same length; None: leave it."""
    core = word.rstrip("!|+")
    tail = word[len(core) :]
    signs = [i for i, char in enumerate(core) if char in LEET]
    if not signs or len(core) > MAX_TOKEN or _UNIT.match(core.lower()) or _COUNTED.match(core):
        return None
    if len(signs) <= _MAX_SIGNS and len(core) > 2:
        for choice in islice(product(*(LEET[core[i]] for i in signs)), _MAX_READINGS):
            read = _with(core, signs, choice)
            if is_word(read.lower()):
                return read + tail
    letters = sum(char.isalpha() for char in core)
    between = all(
        0 < i < len(core) - 1 and core[i - 1].isalpha() and core[i + 1].isalpha() for i in signs
    )
    if between and letters >= 3 * len(signs) and _SURE.issuperset(core[i] for i in signs):
        if (core[1:].upper() != core[1:] != core[1:].lower()) or _stands_between_words(core):
            return None
        return _with(core, signs, tuple(LEET[core[i]][0] for i in signs)) + tail
    return None


def _stands_between_words(core: str) -> bool:
    """Whether a sign stands between words (`hi!there`, `user@host`) and not inside one."""
    pieces = re.split(r"[@!|$]", core)
    return len(pieces) > 1 and all(len(piece) > 2 or piece.lower() in LEXICON for piece in pieces)


def _with(core: str, signs: list[int], letters: tuple[str, ...]) -> str:
    chars = list(core)
    for i, letter in zip(signs, letters, strict=True):
        chars[i] = letter.upper() if core.isupper() and len(core) > len(signs) else letter
    return "".join(chars)
