"""A Bytewax sink that writes where the item already is, and answers for it at the end of an epoch.

`DynamicSink` has no hook at the end of an epoch, so a buffer in it would be acknowledged before it
is delivered. `FixedPartitionedSink` has one, `snapshot`, but routes by key to any worker. Here each
process lists only partitions of its own and keys its items to one of them: nothing crosses a
process, and the epoch's position is not committed before everything is delivered, or what is not is
in the recovery store (`Writer.snapshot`).
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
        """Release what is held open; called when the input is finished, after the last epoch."""
        ...

    def snapshot(self) -> bytes:
        """End an epoch: what is not delivered yet, for the recovery store; here nothing ever is."""
        self.flush()
        return b""

    def resume(self, held: bytes) -> None:
        """Deliver what an earlier run held when its last epoch ended, or hold it instead."""
        return


@dataclass(frozen=True)
class Process:
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


class _WriterPartition(StatefulSinkPartition[list[X], bytes | None], Generic[X]):
    def __init__(self, writer: Writer[X] | None) -> None:
        self._writer = writer

    def write_batch(self, values: list[list[X]]) -> None:
        for batch in values:
            if batch:
                assert self._writer is not None, "only the process's own partition is written to"
                self._writer.write(batch)

    def snapshot(self) -> bytes | None:
        return self._writer.snapshot() if self._writer is not None else None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _LocalSink(FixedPartitionedSink[list[X], bytes | None], Generic[X]):
    def __init__(self, build_writer: Callable[[], Writer[X]], process: Process) -> None:
        self._build_writer = build_writer
        self._process = process

    def list_parts(self) -> list[str]:
        return self._process.partitions

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: bytes | None
    ) -> StatefulSinkPartition[list[X], bytes | None]:
        own = for_part == self._process.partition
        writer = self._build_writer() if own or resume_state else None
        if writer is not None and resume_state:
            writer.resume(resume_state)
            if not own:
                writer.close()
        return _WriterPartition(writer if own else None)


@operator
def write(
    step_id: str, up: Stream[X], build_writer: Callable[[], Writer[X]], process: Process
) -> None:
    """Send `up` to a writer of this process, built by `build_writer` in the worker."""
    partition = process.partition
    # What an earlier run held in these is delivered when they are built. But the engine takes a new
    # state of a partition only when it got an item: each gets an empty one, or the old state stays.
    unwoken = [name for name in process.partitions if name != partition]

    def to_own_partition(batch: list[X]) -> list[tuple[str, list[X]]]:
        # A batch travels as one item: the engine asks for the key and the partition of each.
        placed = [(partition, batch)] if batch else []
        if unwoken:
            placed += [(name, list[X]()) for name in unwoken]
            unwoken.clear()
        return placed

    keyed = op.flat_map_batch("place", up, to_own_partition)
    op.output("write", keyed, _LocalSink(build_writer, process))
