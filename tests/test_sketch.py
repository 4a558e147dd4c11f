"""Distinct authors in a bounded space."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.sketch import BusiestValues, DistinctSketch, hash64


def sketch(names: Iterable[object], size: int = 64) -> DistinctSketch:
    made = DistinctSketch(size)
    for name in names:
        made.add(hash64(str(name)))
    return made


@pytest.mark.parametrize("count", [0, 1, 2, 63])
def test_few_are_counted_exactly(count: int) -> None:
    assert sketch(range(count)).count() == count


@pytest.mark.parametrize("count", [64, 200, 10_000])
def test_many_are_estimated(count: int) -> None:
    estimates = [sketch(range(n * count, (n + 1) * count)).count() for n in range(5)]
    assert all(0.5 * count < estimate < 1.6 * count for estimate in estimates)
    assert 0.8 * count < sum(estimates) / 5 < 1.2 * count


def test_repeats_do_not_count() -> None:
    assert sketch([*range(10), *range(10)]).count() == 10


@given(st.lists(st.text(max_size=5), max_size=300), st.lists(st.text(max_size=5), max_size=300))
def test_a_union_is_the_sketch_of_both(a: list[str], b: list[str]) -> None:
    union = sketch(a)
    union.update(sketch(b))
    assert union.hashes() == sketch(a + b).hashes()


def test_a_sketch_is_built_again_from_its_hashes() -> None:
    made = sketch(range(1_000))
    assert DistinctSketch(hashes=made.hashes()).count() == made.count()
    assert pickle.loads(pickle.dumps(made)).hashes() == made.hashes()


@pytest.mark.parametrize(
    ("a", "b", "least", "most"),
    [
        (range(10), range(10), 1.0, 1.0),
        (range(10), range(10, 20), 0.0, 0.0),
        (range(10), range(5, 15), 0.5, 0.5),
        (range(50), range(10), 1.0, 1.0),  # of the smaller
        (range(5_000), range(2_500, 7_500), 0.2, 0.8),
        (range(0), range(10), 0.0, 0.0),
    ],
)
def test_overlap(a: range, b: range, least: float, most: float) -> None:
    assert least <= sketch(a).overlap(sketch(b)) <= most


def test_a_hash_is_the_same_in_every_process() -> None:
    assert hash64("a") == 0x2F42665B399EF840
    assert hash64("\ud800") != hash64("a")


def busiest(names: Iterable[int], size: int = 16) -> BusiestValues:
    made = BusiestValues(size)
    for name in names:
        made.add(name)
    return made


@pytest.mark.parametrize(("values", "repeats"), [(0, 0), (1, 4), (2, 6), (3, 6), (9, 6)])
def test_what_the_busiest_repeat(values: int, repeats: int) -> None:
    assert busiest([1] * 5 + [2] * 3 + [3]).repeats(values) == repeats


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
def test_the_busiest_of_many_in_a_bounded_space(a: list[int], b: list[int]) -> None:
    made = busiest(a, 4)
    made.update(busiest(b, 4))
    most = max(((a + b).count(value) for value in a + b), default=1)
    error = len(a + b) / 5
    assert most - 1 - error <= made.repeats(1) <= max(0, most - 1)
