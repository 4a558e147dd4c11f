"""Writers made of writers: rows gathered for a store, and one stream to several places."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

import lz4.frame
import msgspec

from connectors.local_sink import Writer

X = TypeVar("X")

ROWS = 10_000
"""A column store wants few large inserts."""
GATHER_S = 2.0
"""What has gathered for so long is inserted however little it is: the stream waits for the rest at
the end of an epoch, and people look at the tables.
"""
IN_FLIGHT = 2


HELD_ROWS = 10_000
"""More that are not inserted when an epoch ends are waited for."""
HELD_BYTES = 32 << 20
IN_FLIGHT = 2


class GatheringWriter(Writer[X]):
    """Gathers rows of `row_type` and inserts them in `executor`'s thread: the stream need not wait.

    `insert` returns when the rows are stored. At most `IN_FLIGHT` inserts wait at a time: a slow
    store slows the stream down rather than filling the memory; `waiting` is called every second
    meanwhile. The rows still on their way when an epoch ends are held in the recovery store, and
    are inserted when the next one ends. They are inserted again after a crash: as it is, a row may
    be inserted twice.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[X]], None],
        row_type: type[X],
        executor: Executor,
        rows: int = ROWS,
        waiting: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._insert = insert
        self._held_rows = msgspec.msgpack.Decoder(list[row_type])  # type: ignore[valid-type]
        self._executor = executor
        self._rows = rows
        self._waiting = waiting
        self._now = now
        self._gathered: list[X] = []
        self._since = now()
        self._inserts: deque[tuple[Future[None], list[X]]] = deque()
        self._held = 0
        """How many of the first of `_inserts` began before the last epoch ended."""

    def write(self, batch: list[X]) -> None:
        """Take a batch; raises what an earlier insert raised."""
        if not self._gathered:
            self._since = self._now()
        self._gathered += batch
        while self._inserts and self._inserts[0][0].done():
            self._await_oldest()
        old = self._now() - self._since >= GATHER_S
        if len(self._gathered) >= self._rows or (old and len(self._inserts) < IN_FLIGHT):
            while len(self._inserts) >= IN_FLIGHT:
                self._await_oldest()
            self._submit()

    def flush(self) -> None:
        """Insert what has gathered and wait for every insert; raises what one of them raised."""
        self._submit()
        while self._inserts:
            self._await_oldest()

    def close(self) -> None:
        """Wait for what is still on its way."""
        self.flush()

    def snapshot(self) -> bytes:
        """The rows on their way to the store; few, and none that an earlier epoch held."""
        while self._held:
            self._await_oldest()
        self._submit()
        while sum(len(rows) for _, rows in self._inserts) > HELD_ROWS:
            self._await_oldest()
        held = msgspec.msgpack.encode([row for _, rows in self._inserts for row in rows])
        if len(held) > HELD_BYTES:
            self.flush()
        self._held = len(self._inserts)
        # The recovery store takes a megabyte in 20 ms, and everything waits for it.
        return lz4.frame.compress(held) if self._inserts else b""

    def resume(self, held: bytes) -> None:
        """Insert the rows that `snapshot` gave."""
        self._gathered = self._held_rows.decode(lz4.frame.decompress(held))
        self.flush()

    def _submit(self) -> None:
        if self._gathered:
            insert = self._executor.submit(self._insert, self._gathered)
            self._inserts.append((insert, self._gathered))
            self._gathered = []

    def _await_oldest(self) -> None:
        insert, _ = self._inserts.popleft()
        self._held = max(0, self._held - 1)
        while not wait([insert], timeout=1.0).done:
            self._waiting()
        insert.result()


class TeeWriter(Writer[X]):
    """Writes everything to each of several writers; their order must not change."""

    def __init__(self, *writers: Writer[X]) -> None:
        self._writers = writers

    def write(self, batch: list[X]) -> None:
        """Write to each in turn."""
        for writer in self._writers:
            writer.write(batch)

    def flush(self) -> None:
        """Flush each in turn."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """Close each in turn."""
        for writer in self._writers:
            writer.close()

    def snapshot(self) -> bytes:
        """What each holds."""
        held = [writer.snapshot() for writer in self._writers]
        return msgspec.msgpack.encode(held) if any(held) else b""

    def resume(self, held: bytes) -> None:
        """Give each what it held."""
        parts = msgspec.msgpack.decode(held, type=list[bytes])
        for writer, part in zip(self._writers, parts, strict=False):  # another may have come
            if part:
                writer.resume(part)
