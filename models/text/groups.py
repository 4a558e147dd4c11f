"""Texts that name a group of people, which need a reader of context.

The fast model weighs words, and of most groups it has read little: abuse of few people would pass
as clean while the same words of others do not. Where a short text names a group and scores at all,
the next model reads it, and the one after that where the score is still middling; long ones cost
much and name groups often, so the gates decide on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import re2
from numpy.typing import NDArray

from models.text.joined import matching
from policy.taxonomy import TEXT_CATEGORIES

_HERE: Final = Path(__file__).parent
_LEVEL: Final = 0.03
_FLAGGED: Final = 0.5
_LONGEST: Final = 100
"""Characters. Up to here the names take a fifth of what the transformer reads in the real mix."""
_MIDDLE: Final = (0.2, 0.8)
"""Between these a narrow model may mistake whom a text is about for what it says of them."""
_ABUSE: Final = slice(TEXT_CATEGORIES.index("hate"), TEXT_CATEGORIES.index("threat") + 1)
"""Hate, harassment and threat."""

NOBODY, COMMON, NAMED = range(3)
"""What a text names: no group, one of a common name (old, black, women), another one."""


class GroupNames:
    """The names of groups.txt and common_groups.txt, one a line; blind to case, whole words."""

    def __init__(self) -> None:
        names, common = _HERE / "groups.txt", _HERE / "common_groups.txt"
        self._any, self._names = _pattern(names, common), _pattern(names)

    def find(self, texts: Sequence[str], scores: NDArray[np.float32]) -> NDArray[np.int8]:
        """NOBODY, COMMON or NAMED for each of n normalized texts, (n,).

        `scores`, (n, C), are the fast model's, whose columns are TEXT_CATEGORIES. Long texts and
        those that do not score for abuse are not looked at: NOBODY.
        """
        found = np.full(len(texts), NOBODY, dtype=np.int8)
        looked_at = [
            row
            for row in np.flatnonzero(_abuse(scores) > _LEVEL).tolist()
            if len(texts[row]) <= _LONGEST
        ]
        encoded = [texts[row].encode("utf-8", "replace") for row in looked_at]
        for number in matching(self._any, encoded, b"\n"):
            named = self._names.search(encoded[number])
            found[looked_at[number]] = NAMED if named else COMMON
        return found


def doubtful(names: NDArray[np.int8], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which texts, of the fast model's `scores` (n, C), go on because of whom they name, (n,).

    Where the name is a common one, only those that the fast model would flag.
    """
    found = names == NAMED
    common = np.flatnonzero(names == COMMON)
    found[common] = _abuse(scores[common]) >= _FLAGGED
    return np.asarray(found)


def still_open(names: NDArray[np.int8], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which texts that name a group are neither clean nor abuse by their `scores` (n, C), (n,)."""
    found = np.zeros(len(names), dtype=np.bool_)
    named = np.flatnonzero(names)
    low, high = _MIDDLE
    abuse = scores[named][:, _ABUSE]
    found[named] = ((abuse > low) & (abuse < high)).any(axis=1)
    return found


def _abuse(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest score for abuse of each text, (n,)."""
    return np.asarray(scores[:, _ABUSE].max(axis=1, initial=0.0))


def _pattern(*paths: Path) -> Any:
    """What finds the names in the lines of `paths`; re2 is not typed."""
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
    names = "|".join(re2.escape(line) for line in lines if not line.startswith("#"))
    return re2.compile(rf"(?i)\b(?:{names})\b")
