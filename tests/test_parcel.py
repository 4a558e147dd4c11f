"""What goes to another process: one value a key and a batch, packed once."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parcel import Parcel, opened, parcels

KEYED = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers()))


class Counted:
    """Counts how often it was pickled."""

    def __init__(self) -> None:
        self.times = 0

    def __reduce__(self) -> tuple[type[Counted], tuple[()]]:
        self.times += 1
        return Counted, ()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_batch_is_one_parcel_a_key(size: int) -> None:
    packed = parcels([(f"k{number % 2}", number) for number in range(size)])
    assert [key for key, _ in packed] == ["k0", "k1"][:size]
    assert [parcel.values for _, parcel in packed] == [
        list(range(start, size, 2)) for start in range(min(size, 2))
    ]


def test_nothing_is_no_parcel() -> None:
    assert parcels([]) == []


@given(KEYED)
def test_every_key_gets_its_values_in_their_order(items: list[tuple[str, int]]) -> None:
    sent = pickle.loads(pickle.dumps(parcels(items)))
    for wanted in "abc":
        arrived = opened(parcel for key, parcel in sent if key == wanted)
        assert arrived == [value for key, value in items if key == wanted]


def test_however_often_the_engine_asks_it_is_pickled_once() -> None:
    value = Counted()
    parcel = Parcel([value])
    assert len({pickle.dumps(parcel) for _ in range(4)}) == 1
    assert value.times == 1
