"""What another policy changes: logged verdicts against new ones, counted by community."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from events.messages import ACTIONS
from operators.decide import Verdict
from operators.redecide import Verdicts
from policy.taxonomy import CATEGORIES

MAX_EXAMPLES: Final = 3
_PAIRS: Final = len(ACTIONS) * (len(CATEGORIES) + 1)
"""How many verdicts there are."""


@dataclass(frozen=True)
class Change:
    """Contents of one community that got verdict `before` and would get `after`; or the same."""

    community: str
    before: Verdict
    after: Verdict
    contents: int


class ReplayTally:
    """Counts verdicts before and after, chunk by chunk; examples are the first of each change.

    `communities` are the names that the numbers in `add` stand for.
    """

    def __init__(self, communities: Sequence[str]) -> None:
        self._communities = communities
        self._counts: Counter[int] = Counter()
        self._examples: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def add(
        self,
        content: NDArray[np.uint64],
        community: NDArray[np.int64],
        before: Verdicts,
        after: Verdicts,
    ) -> None:
        """Count n contents; every argument is of length n."""
        was, would = _pair(before), _pair(after)
        codes, counts = np.unique((community * _PAIRS + was) * _PAIRS + would, return_counts=True)
        self._counts.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        changed = np.flatnonzero(was != would)
        kinds = was[changed] * _PAIRS + would[changed]
        for kind in np.unique(kinds).tolist():
            known = self._examples[divmod(kind, _PAIRS)]
            rows = changed[kinds == kind][: MAX_EXAMPLES - len(known)]
            known += content[rows].tolist()

    def changes(self) -> Iterator[Change]:
        """Every combination that was met, also where nothing changed."""
        for code, contents in self._counts.items():
            rest, would = divmod(code, _PAIRS)
            community, was = divmod(rest, _PAIRS)
            yield Change(self._communities[community], _verdict(was), _verdict(would), contents)

    def examples(self, before: Verdict, after: Verdict) -> list[int]:
        """Some contents that `before` would become `after` for, by what `add` was told."""
        return self._examples[_number(before), _number(after)]


def _pair(verdicts: Verdicts) -> NDArray[np.int64]:
    return verdicts.category.astype(np.int64) * len(ACTIONS) + verdicts.action


def _verdict(number: int) -> Verdict:
    category, action = divmod(number, len(ACTIONS))
    return ACTIONS[action], ("", *CATEGORIES)[category]


def _number(verdict: Verdict) -> int:
    action, category = verdict
    return ("", *CATEGORIES).index(category) * len(ACTIONS) + ACTIONS.index(action)
