"""Writers made of writers: rows gathered for a store, and one stream to several places."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Generic, TypeVar

from connectors.local_sink import Writer

X = TypeVar("X")

ROWS = 10_000
"""A column store wants few large inserts."""
GATHER_S = 2.0
"""What has gathered for so long is inserted however little it is: the stream waits for the rest at
the end of an epoch, and people look at the tables.
"""
IN_FLIGHT = 2


class GatheringWriter(Generic[X]):
    """Gathers rows and inserts them in `executor`'s thread, so that the stream need not wait.

    `insert` returns when the rows are stored. At most `IN_FLIGHT` inserts wait at a time: a slow
    store slows the stream down rather than filling the memory; `waiting` is called every second
    meanwhile.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[X]], None],
        executor: Executor,
        rows: int = ROWS,
        waiting: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._insert = insert
        self._executor = executor
        self._rows = rows
        self._waiting = waiting
        self._now = now
        self._gathered: list[X] = []
        self._since = now()
        self._inserts: deque[Future[None]] = deque()

    def write(self, batch: list[X]) -> None:
        """Take a batch; raises what an earlier insert raised."""
        if not self._gathered:
            self._since = self._now()
        self._gathered += batch
        while self._inserts and self._inserts[0].done():
            self._inserts.popleft().result()
        old = self._now() - self._since >= GATHER_S
        if len(self._gathered) >= self._rows or (old and len(self._inserts) < IN_FLIGHT):
            self._submit()

    def flush(self) -> None:
        """Insert what has gathered and wait for every insert; raises what one of them raised."""
        if self._gathered:
            self._submit()
        while self._inserts:
            self._await_oldest()

    def close(self) -> None:
        """Nothing is open once `flush` has returned."""

    def _submit(self) -> None:
        while len(self._inserts) >= IN_FLIGHT:
            self._await_oldest()
        self._inserts.append(self._executor.submit(self._insert, self._gathered))
        self._gathered = []

    def _await_oldest(self) -> None:
        insert = self._inserts.popleft()
        while not wait([insert], timeout=1.0).done:
            self._waiting()
        insert.result()


class TeeWriter(Generic[X]):
    """Writes everything to each of several writers."""

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
