"""Blanks as a reader sees them: any run of them, line breaks too, parts words as one space does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from operators.normalize_draft import Draft

SIGN: Final = r"  |[\t\n\r]"
"""What there is to fold in ASCII (RE2 and `re`)."""
_RUN: Final = re.compile(r"[\t\n\r][ \t\n\r]*| [ \t\n\r]+")


def in_a_line(text: str) -> str:
    """`text` with spaces for tabs and line breaks."""
    # A few searches in C, where one of a pattern would take ten times as long.
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return text


def folded(text: str) -> str:
    """`text` with one space for each run of blanks."""
    text = in_a_line(text)
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def fold_blanks(draft: Draft) -> bool:
    """One space for each run of blanks; whether there was any to fold."""
    return draft.apply((*run.span(), " ") for run in _RUN.finditer(draft.text)) > 0


@lru_cache(maxsize=1)
def origins_of_folded(text: str) -> Sequence[int]:
    """`Draft.origins` of `folded(text)`."""
    draft = Draft(text)
    fold_blanks(draft)
    return draft.origins
