"""Texts that name a group of people, which need a reader of context.

The fast model weighs words, and of most groups it has read little: abuse of few people would pass
as clean while the same words of others do not. Where a short text names a group and scores at all,
the transformer reads it; long ones cost much and name groups often, so the gate decides on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import re2
from numpy.typing import NDArray

from policy.taxonomy import TEXT_CATEGORIES

_HERE: Final = Path(__file__).parent
_LEVEL: Final = 0.03
_FLAGGED: Final = 0.5
_LONGEST: Final = 100
"""Characters. Up to here the names take a fifth of what the transformer reads in the real mix."""
_ABUSE: Final = [TEXT_CATEGORIES.index(name) for name in ("hate", "harassment", "threat")]


class GroupNames:
    """The names of groups.txt and common_groups.txt, one a line; blind to case, whole words."""

    def __init__(self) -> None:
        self._names = _pattern(_HERE / "groups.txt")
        self._common = _pattern(_HERE / "common_groups.txt")

    def doubtful(self, texts: Sequence[str], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of n normalized texts are short, name a group and score for abuse, (n,).

        `scores`, (n, C), are the fast model's, whose columns are TEXT_CATEGORIES. Where the name is
        a common one, only those that it would flag.
        """
        highest = scores[:, _ABUSE].max(axis=1, initial=0.0)
        found: NDArray[np.bool_] = highest > _LEVEL
        for row in np.flatnonzero(found).tolist():
            flagged = bool(highest[row] >= _FLAGGED)
            found[row] = len(texts[row]) <= _LONGEST and self.named(texts[row], common=flagged)
        return found

    def named(self, text: str, *, common: bool = False) -> bool:
        """Whether a group is named in `text`, a `common` one too or not."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        return bool(self._names.search(text) or (common and self._common.search(text)))


def _pattern(path: Path) -> Any:
    """What finds the names in the lines of `path`; re2 is not typed."""
    lines = path.read_text("utf-8").splitlines()
    names = "|".join(re2.escape(line) for line in lines if not line.startswith("#"))
    return re2.compile(rf"(?i)\b(?:{names})\b")
