"""Rude words with a blank in them (`fu ck`): of which no half is a word."""

from __future__ import annotations

import re
from typing import Final

import re2

from operators.normalize_draft import Draft
from operators.normalize_lexicon import COST
from operators.normalize_masked import STEMS, is_rude

_HALVES: Final = [
    f"{stem[:at]} {stem[at:]}"
    for stem in STEMS
    for at in range(1, len(stem) - 1)
    if COST.keys().isdisjoint((stem[:at], stem[at:]))
]
HALVED_SIGN: Final = rf"\b(?i:{'|'.join(_HALVES)})"
"""A sign (RE2) of a halved word; a last letter alone may stand for itself (`por n`)."""
_SIGN: Final = re2.compile(rf"(?:^|[^A-Za-z0-9_])(?i:{'|'.join(_HALVES)})")
"""The same; it takes a fraction of the time where other than ASCII letters stand."""
_HALVED: Final = re.compile(rf"(?i)\b(?:{'|'.join(_HALVES)})[a-z]*\b")


def undo_halves(draft: Draft) -> int:
    """Takes the blank out of every halved word; returns how many."""
    if not _SIGN.search(draft.text.encode()):
        return 0
    blanks = (
        found.start() + found.group().index(" ")
        for found in _HALVED.finditer(draft.text)
        if is_rude(found.group().lower().replace(" ", ""))
    )
    return draft.apply((at, at + 1, "") for at in blanks)
