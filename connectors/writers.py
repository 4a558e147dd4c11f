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
EAGER_ROWS = 5_000
"""So many are inserted when no insert is under way. An insert costs ClickHouse 65 ms however small
it is: of 4,000 posts/s it takes 0.37 of a core, and 0.49 with inserts of 2,000 (2026-11-23).
"""
GATHER_S = 2.0
"""So long after the last insert what has gathered is inserted however little it is: people look at
the tables, and less is left for the end of an epoch. What comes alone is inserted at once.
"""
IN_FLIGHT = 2
"""Inserts that wait at most: a slow store slows the stream down rather than filling the memory."""
FEW_IN_FLIGHT = 100
"""Of a stream that seldom has anything: small inserts, for which no post should wait."""
HELD_BYTES = 32 << 20
"""More that is not inserted when an epoch ends is waited for."""


class GatheringWriter(Writer[X]):
    """Gathers rows and inserts them in `executor`'s thread, so that the stream need not wait.

    `insert` returns when the rows are stored. While more than `in_flight` inserts would wait, the
    stream does; `waiting` is called every second meanwhile.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[X]], None],
        executor: Executor,
        rows: int = ROWS,
        waiting: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._insert = insert
        self._in_flight = in_flight
        self._executor = executor
        self._rows = rows
        self._waiting = waiting
        self._now = now
        self._gathered: list[X] = []
        self._since = now()
        self._inserts: deque[tuple[Future[None], list[X]]] = deque()

    def write(self, batch: list[X]) -> None:
        """Take a batch; raises what an earlier insert raised."""
        self._gathered += batch
        self._drop_done()
        old = self._now() - self._since >= GATHER_S
        eager = len(self._gathered) >= EAGER_ROWS and not self._inserts
        if (
            eager
            or len(self._gathered) >= self._rows
            or (old and len(self._inserts) < self._in_flight)
        ):
            while len(self._inserts) >= self._in_flight:
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

    def _submit(self) -> None:
        if self._gathered:
            insert = self._executor.submit(self._insert, self._gathered)
            self._inserts.append((insert, self._gathered))
            self._gathered = []
            self._since = self._now()

    def _drop_done(self) -> None:
        while self._inserts and self._inserts[0][0].done():
            self._await_oldest()

    def _await_oldest(self) -> None:
        insert, _ = self._inserts.popleft()
        while not wait([insert], timeout=1.0).done:
            self._waiting()
        insert.result()


class HoldingWriter(GatheringWriter[X]):
    """A gathering writer of a stream that always flows, which an epoch does not wait for.

    Rows of `row_type` that are on their way when an epoch ends are held in the recovery store while
    `may_hold`, and waited for at the end of the next one. A run that ended without them inserted
    is followed by one that inserts them first; some may be inserted twice, as they are. An output
    that seldom gets anything should not hold: only an epoch in which it got something replaces what
    the recovery store has of it.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[X]], None],
        executor: Executor,
        row_type: type[X],
        may_hold: Callable[[], bool],
        rows: int = ROWS,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(insert, executor, rows, waiting)
        self._decoder = msgspec.msgpack.Decoder(list[row_type])  # type: ignore[valid-type]
        self._may_hold = may_hold
        self._held: list[Future[None]] = []

    def snapshot(self) -> bytes:
        """The rows on their way to the store, and none that an earlier epoch held."""
        if not self._may_hold():
            self.flush()
            return b""
        while self._inserts and self._inserts[0][0] in self._held:
            self._await_oldest()
        self._drop_done()
        self._submit()
        held = msgspec.msgpack.encode([row for _, rows in self._inserts for row in rows])
        if len(held) > HELD_BYTES:
            self.flush()
        self._held = [insert for insert, _ in self._inserts]
        # The recovery store takes a megabyte in 20 ms, and everything waits for it.
        return lz4.frame.compress(held) if self._held else b""

    def resume(self, held: bytes) -> None:
        """Insert the rows that `snapshot` gave."""
        self._gathered = self._decoder.decode(lz4.frame.decompress(held))
        self.flush()


class TeeWriter(Writer[X]):
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
