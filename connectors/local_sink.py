"""A Bytewax sink that writes where the item already is, and answers for it at the end of an epoch.

`DynamicSink` has no hook at the end of an epoch, so a buffer in it would be acknowledged before it
is delivered. `FixedPartitionedSink` has one, `snapshot`, but routes by key to any worker. Here each
process lists only partitions of its own and keys its items to one of them: nothing crosses a
process, and the epoch's position is not committed before `Writer.flush` has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

X = TypeVar("X")

PARTITIONS = 32
"""Fixed for good: the recovery store knows partitions by name, rescaling must not add any."""


class Writer(Protocol[X]):
    """Takes batches, may hold them back, and has delivered all of them when `flush` returns."""

    def write(self, batch: list[X]) -> None:
        """Take a batch; raise when it can never be delivered."""
        ...

    def flush(self) -> None:
        """Return when everything taken is delivered; raise when it cannot be."""
        ...

    def close(self) -> None:
        """Release what is held open; called after the last `flush` of a finished input."""
        ...


@dataclass(frozen=True)
class Place:
    """Which process of the cluster this is: 0-based `index` of `count`."""

    index: int = 0
    count: int = 1

    @property
    def partition(self) -> str:
        """The partition of this process that its items go to."""
        return f"{self.index % PARTITIONS:02d}"

    @property
    def partitions(self) -> list[str]:
        """All partitions of this process; those of all processes together are always the same."""
        return [f"{i:02d}" for i in range(self.index, PARTITIONS, self.count)]


class _WriterPartition(StatefulSinkPartition[list[X], None], Generic[X]):
    def __init__(self, writer: Writer[X] | None) -> None:
        self._writer = writer

    def write_batch(self, values: list[list[X]]) -> None:
        assert self._writer is not None, "only the process's own partition is written to"
        for batch in values:
            self._writer.write(batch)

    def snapshot(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _LocalSink(FixedPartitionedSink[list[X], None], Generic[X]):
    def __init__(self, build_writer: Callable[[], Writer[X]], place: Place) -> None:
        self._build_writer = build_writer
        self._place = place

    def list_parts(self) -> list[str]:
        return self._place.partitions

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[list[X], None]:
        own = for_part == self._place.partition
        return _WriterPartition(self._build_writer() if own else None)


@operator
def write(step_id: str, up: Stream[X], build_writer: Callable[[], Writer[X]], place: Place) -> None:
    """Send `up` to a writer of this process, built by `build_writer` in the worker."""
    partition = place.partition
    # A batch travels as one item: the engine asks for the key and the partition of each.
    keyed = op.flat_map_batch("place", up, lambda batch: [(partition, batch)] if batch else [])
    op.output("write", keyed, _LocalSink(build_writer, place))
