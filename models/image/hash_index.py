"""An exact index of binary hashes: every entry within a Hamming distance, none missed.

Multi-index hashing (Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index
Hashing", IEEE TPAMI 2014). A hash is cut into chunks, each with a table from its value to entries.
Let chunk c be searched within radius r_c. If two hashes were farther apart than r_c in every chunk,
they would differ in the sum of all r_c + 1 bits at least; radii whose sum that is over the distance
therefore miss nothing, and the few candidates are compared whole. Tables are plain arrays: made by
sorting, saved as .npy, and mapped from there, so that processes share one copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce
from itertools import combinations
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint8]

_MAX_CHUNK_BITS = 24
"""A table then takes 64 MiB, and a chunk always lies within 32 bits read at a byte's border."""

_CHUNK_COST = 50
"""What the calls of one chunk cost each of some 16 queries, in buckets and entries looked at."""

_QUERIES_AT_ONCE = 64
"""Keeps the candidates of a block in the processor's cache."""


class Match(NamedTuple):
    """An entry within the distance of a query."""

    query: int
    """Row of the query."""
    entry: int
    """Row of the entry among those that the index was built from."""
    distance: int
    """Bits that differ."""


class _Chunk(NamedTuple):
    """Bits [start, start + length) of a hash, and where their table begins in `starts`."""

    start: int
    length: int
    table: int


class HashIndex:
    """Entries of one length (a multiple of 8 bytes), found by Hamming distance.

    Memory, mapped and shared: the hashes, and 4 bytes for each entry and chunk twice: 1.2 GB for
    10 million PDQ hashes (11 chunks).
    """

    def __init__(
        self, hashes: Hashes, entries: NDArray[np.uint32], starts: NDArray[np.uint32]
    ) -> None:
        """The parts as `build` makes them and `open` maps them.

        Args:
            hashes: (n, bytes).
            entries: (chunks, n), row numbers in the order of each chunk's value.
            starts: for each chunk, where in its row each value begins, and n.
        """
        self.hashes = hashes
        # Views without the map's class, which each operation would hand on at a cost.
        self._entries = np.asarray(entries)
        self._starts = np.asarray(starts)
        self._heads = np.asarray(hashes).view("V8" if hashes.shape[1] % 16 else "V16").ravel()
        self._chunks = _cut(hashes.shape[1] * 8, len(entries))

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def build(cls, hashes: Hashes, max_distance: int = 31) -> HashIndex:
        """An index of `hashes` (uint8 (n, 8k)) that is fastest for searches at `max_distance`.

        Raises:
            ValueError: another shape or type, or 2**32 entries and more.
        """
        if hashes.ndim != 2 or hashes.dtype != np.uint8 or hashes.shape[1] % 8:
            raise ValueError(f"hashes must be uint8 (n, 8k), not {hashes.dtype} {hashes.shape}")
        count, size = hashes.shape
        if count >= 2**32:
            raise ValueError(f"{count} entries, an index holds fewer than 2**32")
        hashes = np.ascontiguousarray(hashes)
        chunks = _cut(size * 8, _best_cut(count, size * 8, max_distance))
        entries = np.empty((len(chunks), count), np.uint32)
        starts = np.empty(sum(2**chunk.length + 1 for chunk in chunks), np.uint32)
        for chunk, row in zip(chunks, entries, strict=True):
            values = _values(hashes, chunk)
            # Value and row in one integer: sorting these is several times faster than argsort.
            row[:] = np.sort(values << 32 | np.arange(count)) & 0xFFFFFFFF
            table = starts[chunk.table : chunk.table + 2**chunk.length + 1]
            table[0] = 0
            np.cumsum(np.bincount(values, minlength=2**chunk.length), out=table[1:])
        return cls(hashes, entries, starts)

    def save(self, directory: Path) -> None:
        """Write the index to a new `directory`, which appears only when it is whole.

        Raises:
            OSError: it exists already, or cannot be written.
        """
        directory.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: several processes may save the same index at a time.
        with TemporaryDirectory(dir=directory.parent, ignore_cleanup_errors=True) as made:
            partial = Path(made) / directory.name
            partial.mkdir()
            for name, array in self._parts().items():
                np.save(partial / name, array)
            partial.rename(directory)

    @classmethod
    def open(cls, directory: Path) -> HashIndex:
        """Map a saved index; nothing is read before it is searched.

        Raises:
            OSError, ValueError: it is not there, or not an index.
        """
        names = ("hashes.npy", "entries.npy", "starts.npy")
        hashes, entries, starts = (np.load(directory / name, mmap_mode="r") for name in names)
        cut = _cut(hashes.shape[1] * 8, len(entries))
        if len(starts) != sum(2**chunk.length + 1 for chunk in cut) or not cut:
            raise ValueError(f"{directory} holds no index of this form")
        return cls(hashes, entries, starts)

    def search(self, queries: Hashes, max_distance: int) -> list[Match]:
        """Every entry within `max_distance` bits of each query (uint8 (m, bytes)).

        Sorted by query, then distance, then entry.
        """
        matches: list[Match] = []
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            block = np.ascontiguousarray(queries[first : first + _QUERIES_AT_ONCE])
            pairs = [
                self._near_by_head(block, counts, entries, max_distance)
                for counts, entries in self._candidates(block, max_distance)
            ]
            # One pair may come from several chunks.
            rows, entries = np.divmod(np.unique(np.concatenate(pairs)), len(self))
            differing = self.hashes[entries] ^ block[rows]
            distances = np.bitwise_count(differing).sum(axis=1, dtype=np.intp)
            order = np.lexsort((distances, rows))
            order = order[distances[order] <= max_distance]
            found = (part[order].tolist() for part in (rows + first, entries, distances))
            matches += map(Match, *found)
        return matches

    def _near_by_head(
        self,
        queries: Hashes,
        counts: NDArray[np.intp],
        entries: NDArray[np.uint32],
        max_distance: int,
    ) -> NDArray[np.intp]:
        """Those candidates whose heads are near, each as row of the query times n plus entry.

        Of 256 bits the first 128 leave hardly a pair that is too far apart.
        """
        size = self.hashes.shape[1]
        # Of a type that is copied whole: a pass over each word of the pairs costs as much.
        heads = self._heads.take(entries.astype(np.intp) * (size // self._heads.itemsize))
        differing = heads.view(np.uint64)
        differing ^= np.repeat(queries.view(self._heads.dtype)[:, 0], counts).view(np.uint64)
        bits = np.bitwise_count(differing).reshape(-1, self._heads.itemsize // 8)
        near = np.nonzero(reduce(np.add, bits.T) <= max_distance)[0]
        rows = np.searchsorted(np.cumsum(counts), near, side="right")
        return rows * len(self) + entries.take(near)

    def _candidates(
        self, queries: Hashes, max_distance: int
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint32]]]:
        """How many entries may be near each query, and these, query by query."""
        radii = _radii([chunk.length for chunk in self._chunks], max_distance)
        for chunk, row_of_entries, radius in zip(self._chunks, self._entries, radii, strict=True):
            if radius < 0:
                continue
            nearby = _flips(chunk.length, radius)
            probes = (_values(queries, chunk)[:, None] ^ nearby).ravel() + chunk.table
            begins = self._starts.take(probes)
            counts = self._starts.take(probes + 1) - begins
            ends = np.cumsum(counts, dtype=np.intp)
            # Unsigned and narrow: it may wrap, and comes back with the addition.
            positions = np.repeat(begins + counts - ends.astype(np.uint32), counts)
            positions += np.arange(len(positions), dtype=np.uint32)
            of_queries = np.diff(ends[len(nearby) - 1 :: len(nearby)], prepend=0)
            yield of_queries, row_of_entries.take(positions)

    def _parts(self) -> dict[str, NDArray[np.generic]]:
        return {
            "hashes.npy": self.hashes,
            "entries.npy": self._entries,
            "starts.npy": self._starts,
        }


def _cut(bits: int, count: int) -> list[_Chunk]:
    """`count` neighbouring chunks of `bits`, of equal length as far as possible."""
    chunks = []
    start = table = 0
    for number in range(count):
        length = bits // count + (number < bits % count)
        chunks.append(_Chunk(start, length, table))
        start += length
        table += 2**length + 1
    return chunks


def _radii(lengths: list[int], max_distance: int) -> list[int]:
    """The radius of each chunk, so that the radii plus one add up to `max_distance` plus one.

    A chunk of radius -1 need not be searched. The wider radii go to the shorter chunks.
    """
    base, wider = divmod(max_distance + 1, len(lengths))
    radii = [base - 1] * len(lengths)
    for i in sorted(range(len(lengths)), key=lengths.__getitem__)[:wider]:
        radii[i] += 1
    return radii


def _best_cut(count: int, bits: int, max_distance: int) -> int:
    """How many chunks make a search look at the fewest buckets and entries."""

    def cost(chunks: int) -> float:
        lengths = [chunk.length for chunk in _cut(bits, chunks)]
        return sum(
            _CHUNK_COST
            + (1 + count / (1 << length)) * sum(comb(length, flips) for flips in range(radius + 1))
            for length, radius in zip(lengths, _radii(lengths, max_distance), strict=True)
        )

    return min(range(-(-bits // _MAX_CHUNK_BITS), bits // 8 + 1), key=cost)


def _values(hashes: Hashes, chunk: _Chunk) -> NDArray[np.intp]:
    """The bits of `chunk` of each hash, as integers."""
    first = min(chunk.start // 8, hashes.shape[1] - 4)
    window = np.ascontiguousarray(hashes[:, first : first + 4]).view(">u4")[:, 0]
    shift = 32 - (chunk.start - first * 8) - chunk.length
    values: NDArray[np.intp] = (window.astype(np.intp) >> shift) & ((1 << chunk.length) - 1)
    return values


@lru_cache(maxsize=64)
def _flips(length: int, radius: int) -> NDArray[np.intp]:
    """Every way to change at most `radius` of `length` bits, to be combined by exclusive or."""
    return np.array(
        [
            sum(1 << bit for bit in flipped)
            for changes in range(radius + 1)
            for flipped in combinations(range(length), changes)
        ],
        dtype=np.intp,
    )
