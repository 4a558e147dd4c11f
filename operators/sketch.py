"""How many different authors there are, how many two groups share, and how much the busiest do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

_RANGE: Final = 2**64


# An author's event is counted under several keys one after the other.
@lru_cache(maxsize=65_536)
def hash64(text: str) -> int:
    """A uniform 64-bit hash of `text`, the same in every process."""
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little")


class DistinctSketch:
    """The `size` smallest hashes of what was added: the k-minimum-values sketch.

    Exact below `size` different values, with a standard error of 1/sqrt(size - 2) above. Bar-Yossef
    et al., "Counting distinct elements in a data stream" (2002); shares as in Beyer et al., "On
    synopses for distinct-value estimation under multiset operations" (2007).
    """

    __slots__ = ("_bound", "_hashes", "_size")

    def __init__(self, size: int = 64, hashes: Iterable[int] = ()) -> None:
        self._size = size
        self._hashes = set(hashes)
        self._bound = _RANGE
        self._trim()

    def add(self, hashed: int) -> None:
        """Count one value, given as its `hash64`."""
        if hashed < self._bound:
            self._hashes.add(hashed)
            # Sorting once every `size` additions keeps the cost of each constant.
            if len(self._hashes) >= 2 * self._size:
                self._trim()

    def update(self, other: DistinctSketch) -> None:
        """Count everything that `other` has counted."""
        self._hashes |= other._hashes
        self._bound = min(self._bound, other._bound)
        self._trim()

    def count(self) -> int:
        """How many different values were added, estimated."""
        self._trim()
        if len(self._hashes) < self._size:
            return len(self._hashes)
        return round((self._size - 1) / (max(self._hashes) / _RANGE))

    def overlap(self, other: DistinctSketch) -> float:
        """The share, 0 to 1, of the smaller group's values that the other group has too."""
        self._trim()
        other._trim()
        bound = min(self._bound, other._bound)
        mine = {value for value in self._hashes if value < bound}
        theirs = {value for value in other._hashes if value < bound}
        smaller = min(len(mine), len(theirs))
        return len(mine & theirs) / smaller if smaller else 0.0

    def hashes(self) -> tuple[int, ...]:
        """The state, to build an equal sketch from."""
        self._trim()
        return tuple(sorted(self._hashes))

    def _trim(self) -> None:
        if len(self._hashes) > self._size:
            self._hashes = set(sorted(self._hashes)[: self._size])
        if len(self._hashes) >= self._size:
            self._bound = min(self._bound, max(self._hashes) + 1)


class BusiestValues:
    """How often the values that came most often were added, in the space of `size` of them.

    Each count is too low by at most one in `size` + 1 of all that was added. Misra and Gries,
    "Finding repeated elements" (1982); merged as in Agarwal et al., "Mergeable summaries" (2012).
    """

    __slots__ = ("_counts", "_size")

    def __init__(self, size: int = 16) -> None:
        self._size = size
        self._counts: dict[int, int] = {}

    def add(self, hashed: int) -> None:
        """Count one value, given as its `hash64`."""
        self._counts[hashed] = self._counts.get(hashed, 0) + 1
        if len(self._counts) > self._size:
            self._lower(1)

    def update(self, other: BusiestValues) -> None:
        """Count everything that `other` has counted."""
        for hashed, count in other._counts.items():
            self._counts[hashed] = self._counts.get(hashed, 0) + count
        if len(self._counts) > self._size:
            self._lower(sorted(self._counts.values(), reverse=True)[self._size])

    def repeats(self, values: int) -> int:
        """How often the `values` busiest came again, after their first time."""
        counts = sorted(self._counts.values(), reverse=True)
        return sum(count - 1 for count in counts[:values])

    def _lower(self, by: int) -> None:
        self._counts = {value: count - by for value, count in self._counts.items() if count > by}
