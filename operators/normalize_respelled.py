"""Rude words in a spelling of their own (`fck`, `kcuf`) that the text models do not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from operators.normalize_draft import Edit

_MEANT: Final = {"fck": "fuck", "fuq": "fuck", "kcuf": "fuck", "btch": "bitch"}
_SPELLINGS: Final = f"(?i:{'|'.join(_MEANT)})"
RESPELLED_SIGN: Final = rf"\b{_SPELLINGS}"
"""A sign (RE2) of such a word."""
_RESPELLED: Final = re.compile(
    rf"(?<![^\W_]|[@#]){_SPELLINGS}(?=(?i:e[drn]|e?rs|e?s|i?ng?|off|y)?(?![^\W_]))"
)


def respell(token: str, start: int) -> Iterator[Edit]:
    """Edits of the spellings in `token`, which begins at `start`, to the words that are meant."""
    for found in _RESPELLED.finditer(token):
        word = found.group()
        meant = _MEANT[word.lower()]
        if word[0].isupper():
            meant = meant.upper() if word.isupper() else meant.capitalize()
        yield start + found.start(), start + found.end(), meant
