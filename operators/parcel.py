"""What a batch sends to a key, as one value.

The engine pickles a value that goes to another process four times, to know its size and to send it
(bytewax 0.21): with a value an event, that was a quarter of a worker's time in two processes.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

X = TypeVar("X")


class Parcel(Generic[X]):
    """Values on their way to one key, in their order; pickled once, however often it is asked."""

    __slots__ = ("_packed", "values")

    def __init__(self, values: list[X]) -> None:
        self.values = values
        self._packed: bytes | None = None

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        if self._packed is None:
            self._packed = pickle.dumps(self.values, pickle.HIGHEST_PROTOCOL)
        return _opened, (self._packed,)


def _opened(packed: bytes) -> Parcel[Any]:
    # S301: it comes from another process of this cluster, as all that the engine sends.
    return Parcel(pickle.loads(packed))  # noqa: S301


def parcels(items: Iterable[tuple[str, X]]) -> list[tuple[str, Parcel[X]]]:
    """The values of each key as one; keys and the values of a key keep their order."""
    by_key: dict[str, list[X]] = {}
    for key, value in items:
        by_key.setdefault(key, []).append(value)
    return [(key, Parcel(values)) for key, values in by_key.items()]


def opened(received: Iterable[Parcel[X]]) -> list[X]:
    """The values of several, one after the other."""
    return [value for parcel in received for value in parcel.values]
