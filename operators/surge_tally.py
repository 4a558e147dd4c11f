"""What is counted: violations under their keys, and the time of the stream they come in."""

from __future__ import annotations

import math
from typing import NamedTuple

from events.messages import AlertKey
from operators.sketch import DistinctSketch, hash64


class SurgeEvent(NamedTuple):
    """One violation under one of its keys; `at` is event time in Unix seconds."""

    key: AlertKey
    at: float
    author_id: str
    content_id: str


class Tick(NamedTuple):
    """The stream's clock, moved by all content, violating or not: event time in Unix seconds."""

    at: float
    alive: frozenset[int] = frozenset()
    """Minutes since the epoch in which something was posted: a minute without is an outage."""


class Tally:
    """Events of one key: in one window, or over a whole surge."""

    __slots__ = ("authors", "count", "examples")

    def __init__(self) -> None:
        self.count = 0
        self.authors: DistinctSketch | None = None
        self.examples: list[str] = []

    def add(self, author_id: str, content_id: str, examples: int) -> None:
        """Count one event; up to `examples` content ids are kept."""
        self.count += 1
        if self.authors is None:
            self.authors = DistinctSketch()
        self.authors.add(hash64(author_id))
        if len(self.examples) < examples:
            self.examples.append(content_id)

    def merge(self, other: Tally, examples: int) -> None:
        """Count all that `other` has counted."""
        self.count += other.count
        if other.authors is not None:
            if self.authors is None:
                self.authors = DistinctSketch()
            self.authors.update(other.authors)
        room = examples - len(self.examples)
        self.examples.extend(other.examples[:room])


def tally_of(event: SurgeEvent, examples: int) -> Tally:
    """A tally of one event."""
    tally = Tally()
    tally.add(event.author_id, event.content_id, examples)
    return tally


def count_of(tally: SurgeEvent | Tally) -> int:
    """How many events it stands for."""
    return 1 if isinstance(tally, SurgeEvent) else tally.count


class EventClock:
    """Event time of the stream, which one message from the far future cannot move."""

    def __init__(self, max_jump: float) -> None:
        self.now = -math.inf
        self._max_jump = max_jump
        self._ahead = 0

    def observe(self, at: float) -> float:
        """The time after a tick at `at`: a leap is believed the third time in a row."""
        if self.now == -math.inf or at <= self.now + self._max_jump or self._ahead >= 2:
            self._ahead = 0
            self.now = max(self.now, at)
        else:
            self._ahead += 1
        return self.now
