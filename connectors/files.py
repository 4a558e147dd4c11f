"""JSON Lines files: the source and the sinks of a run without Kafka."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.local_sink import Writer
from events.encode import Message, encode
from events.messages import MAX_MESSAGE_BYTES, Position
from events.records import Raw

M = TypeVar("M", bound=Message)

BATCH = 1000
BATCH_BYTES = 32 << 20
"""A batch ends with the line that exceeds this: pictures are large."""
_STDIN = "-"

ReadPoint = tuple[int, int]
"""Byte offset and lines before it."""


class _LinesPartition(StatefulSourcePartition[Raw, ReadPoint]):
    def __init__(
        self,
        path: str,
        resume: ReadPoint | None,
        stopping: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        self._name = path
        self._stopping = stopping
        self._progress = progress
        self._file: BinaryIO = sys.stdin.buffer if path == _STDIN else Path(path).open("rb")  # noqa: SIM115 (closed with the input)
        self._offset, self._line = resume or (0, 0)
        if self._offset:
            self._file.seek(self._offset)

    def next_batch(self) -> list[Raw]:
        if self._stopping():
            raise StopIteration
        received_at = time.time()
        batch: list[Raw] = []
        start = self._offset
        for _ in range(BATCH):
            line = self._read_line()
            if not line or self._is_cut(line):
                break
            self._line += 1
            value = line.rstrip(b"\r\n")
            if value.strip():
                batch.append(Raw(value, Position(file=self._name, line=self._line), received_at))
            if self._offset - start >= BATCH_BYTES:
                break
        self._progress(self._offset - start)
        if self._offset == start:
            raise StopIteration
        return batch

    def _read_line(self) -> bytes:
        line = self._file.readline(MAX_MESSAGE_BYTES + 1)
        self._offset += len(line)
        if len(line) > MAX_MESSAGE_BYTES and not line.endswith(b"\n"):
            # The message is refused for its size; the rest of its line is no message of its own.
            while rest := self._file.readline(MAX_MESSAGE_BYTES):
                self._offset += len(rest)
                if rest.endswith(b"\n"):
                    break
        return line

    def _is_cut(self, line: bytes) -> bool:
        """Whether standard input was ended in the middle of `line`."""
        return self._name == _STDIN and not line.endswith(b"\n") and self._stopping()

    def snapshot(self) -> ReadPoint:
        return self._offset, self._line

    def close(self) -> None:
        if self._name != _STDIN:
            self._file.close()


class LinesSource(FixedPartitionedSource[Raw, ReadPoint]):
    """Lines of a file, or of standard input for `-`; blank lines are passed over.

    Standard input cannot be resumed: what was read before a crash is not read again.
    `stopping` is asked before each batch; when it says yes, the input ends there. `progress`
    is told the bytes read of each batch.
    """

    def __init__(
        self,
        path: str,
        stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._stopping = stopping
        self._progress = progress

    def list_parts(self) -> list[str]:
        """One partition: a file is read in order."""
        return [self._path]

    def build_part(
        self, step_id: str, for_part: str, resume_state: ReadPoint | None
    ) -> _LinesPartition:
        """Open the file where the run before left it."""
        return _LinesPartition(for_part, resume_state, self._stopping, self._progress)


def end_standard_input() -> None:
    """Let a read that waits for standard input find its end, from a signal's handler."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


class LinesWriter(Writer[M]):
    """Messages of one type, appended to a JSON Lines file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def write(self, batch: list[M]) -> None:
        """Append a line a message."""
        self._file.write(b"".join([encode(message) + b"\n" for message in batch]))

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
