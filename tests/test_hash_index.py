"""The hash index: equal to comparing everything, at every size, distance and batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.image.hash_index import HashIndex, Match

LARGE = 5_000


def some_hashes(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)


def changed(hashes: np.ndarray, bits: int, seed: int = 1) -> np.ndarray:
    """Each hash with exactly `bits` of its bits turned."""
    random = np.random.default_rng(seed)
    turned = np.unpackbits(hashes, axis=1)
    for row in turned:
        row[random.choice(turned.shape[1], bits, replace=False)] ^= 1
    return np.packbits(turned, axis=1)


def by_comparing(hashes: np.ndarray, queries: np.ndarray, max_distance: int) -> list[Match]:
    found = []
    for row, query in enumerate(queries):
        distances = np.bitwise_count(hashes ^ query).sum(axis=1)
        near = np.nonzero(distances <= max_distance)[0]
        ordered = sorted((int(distances[entry]), int(entry)) for entry in near)
        found += [Match(row, entry, distance) for distance, entry in ordered]
    return found


@pytest.fixture(scope="module", params=[1, 2, 100, LARGE], ids="{} entries".format)
def hashes(request):
    return some_hashes(request.param)


@pytest.fixture(scope="module")
def index(hashes):
    return HashIndex.build(hashes)


@pytest.mark.parametrize(
    ("turned", "found"), [(0, True), (1, True), (30, True), (31, True), (32, False), (40, False)]
)
def test_the_distance_is_a_sharp_border(index, hashes, turned, found):
    queries = changed(hashes[:200], turned)
    own = {match.query: match for match in index.search(queries, 31) if match.query == match.entry}
    assert len(own) == (len(queries) if found else 0)
    assert all(match.distance == turned for match in own.values())


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_batches_give_what_single_queries_give(index, hashes, batch):
    queries = changed(np.resize(hashes[:1000], (1000, 32)), 20)
    found = []
    for first in range(0, 1000, batch):
        found += [
            match._replace(query=match.query + first)
            for match in index.search(queries[first : first + batch], 31)
        ]
    assert found == by_comparing(hashes, queries, 31)


@pytest.mark.parametrize("max_distance", [0, 1, 15, 16, 31, 50])
def test_an_index_made_for_one_distance_answers_for_others(max_distance):
    hashes = some_hashes(LARGE)
    queries = np.concatenate([changed(hashes[:20], bits, bits) for bits in (0, 1, 15, 16, 31, 50)])
    index = HashIndex.build(hashes, max_distance=31)
    assert index.search(queries, max_distance) == by_comparing(hashes, queries, max_distance)


@pytest.mark.parametrize("max_distance", [0, 4, 8, 10])
def test_phash_of_64_bits(max_distance):
    hashes = some_hashes(LARGE, 8)
    queries = np.concatenate([changed(hashes[:50], bits, bits) for bits in (0, 4, 8, 10)])
    index = HashIndex.build(hashes, max_distance=8)
    assert index.search(queries, max_distance) == by_comparing(hashes, queries, max_distance)


class TestCrowds:
    """What random hashes do not have: equal and nearly equal ones by the thousand."""

    def test_equal_entries_are_all_found(self):
        hashes = np.repeat(some_hashes(LARGE // 10), 10, axis=0)
        matches = HashIndex.build(hashes).search(hashes[:1], 31)
        assert [match.entry for match in matches] == list(range(10))

    def test_all_zeros_and_all_ones(self):
        hashes = np.concatenate([some_hashes(LARGE), np.zeros((1, 32)), np.full((1, 32), 255)])
        index = HashIndex.build(hashes.astype(np.uint8))
        assert index.search(np.zeros((1, 32), np.uint8), 31) == [(0, LARGE, 0)]
        assert index.search(np.full((1, 32), 255, np.uint8), 31) == [(0, LARGE + 1, 0)]

    def test_differences_packed_into_one_place(self):
        """All 31 bits beside each other, at every place: no chunk may be the only one relied on."""
        hashes = some_hashes(LARGE)
        index = HashIndex.build(hashes)
        queries = np.repeat(np.unpackbits(hashes[:1], axis=1), 226, axis=0)
        for place, row in enumerate(queries):
            row[place : place + 31] ^= 1
        matches = index.search(np.packbits(queries, axis=1), 31)
        assert [(match.query, match.entry) for match in matches] == [(i, 0) for i in range(226)]


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(0, 34), st.sampled_from([8, 16, 32]))
def test_never_misses(seed, max_distance, size):
    hashes = some_hashes(2_000, size, seed)
    distances = np.random.default_rng(seed).integers(0, min(size * 8, 60), 12)
    queries = np.concatenate([changed(hashes[i : i + 1], int(d)) for i, d in enumerate(distances)])
    max_distance = min(max_distance, size)  # more than an eighth of the bits is no search any more
    index = HashIndex.build(hashes, max_distance)
    assert index.search(queries, max_distance) == by_comparing(hashes, queries, max_distance)


class TestSaved:
    def test_the_same_answers_from_the_map(self, index, hashes, tmp_path):
        index.save(tmp_path / "index")
        mapped = HashIndex.open(tmp_path / "index")
        queries = changed(hashes[:50], 25)
        assert len(mapped) == len(index)
        assert isinstance(mapped.hashes, np.memmap)
        assert mapped.search(queries, 31) == index.search(queries, 31)

    def test_never_over_another_one(self, index, tmp_path):
        index.save(tmp_path / "index")
        with pytest.raises(OSError):
            index.save(tmp_path / "index")

    def test_arrays_that_make_no_index_are_refused(self, index, tmp_path):
        """Rather than searched without finding anything."""
        index.save(tmp_path / "index")
        np.save(tmp_path / "index" / "entries.npy", np.empty((0, len(index)), np.uint32))
        with pytest.raises(ValueError, match="no index"):
            HashIndex.open(tmp_path / "index")

    def test_an_interrupted_save_is_not_an_index_and_does_not_stop_the_next(self, index, tmp_path):
        (tmp_path / "index.partial").mkdir()
        (tmp_path / "index.partial" / "hashes.npy").write_bytes(b"half")
        with pytest.raises(OSError):
            HashIndex.open(tmp_path / "index")
        index.save(tmp_path / "index")
        assert len(HashIndex.open(tmp_path / "index")) == len(index)


def test_an_empty_index_finds_nothing():
    assert HashIndex.build(np.empty((0, 32), np.uint8)).search(some_hashes(3), 31) == []


def test_no_queries_find_nothing(index):
    assert index.search(np.empty((0, 32), np.uint8), 31) == []


@pytest.mark.parametrize(
    "hashes",
    [np.zeros(32, np.uint8), np.zeros((2, 32), np.int64), np.zeros((2, 9), np.uint8)],
    ids=["one dimension", "integers", "9 bytes"],
)
def test_other_shapes_are_refused(hashes):
    with pytest.raises(ValueError, match="uint8"):
        HashIndex.build(hashes)
