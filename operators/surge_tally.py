"""What is counted: violations under their keys, and the time of the stream they come in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import msgpack

from events.messages import AlertKey
from operators.sketch import BusiestValues, DistinctSketch, hash64


class SurgeEvent(NamedTuple):
    """One violation under one of its keys; `at` is event time in Unix seconds."""

    key: AlertKey
    at: float
    author_id: str
    content_id: str
    text: str = ""
    """An excerpt that may be shown."""


class Example(NamedTuple):
    """One of the contents that were counted."""

    content_id: str
    text: str


class Tick(NamedTuple):
    """The stream's clock, moved by all content, violating or not: event time in Unix seconds."""

    at: float
    alive: Mapping[int, int] = {}
    """How much was posted, by minute since the epoch: a minute without anything is an outage."""
    versions: tuple[tuple[str, str], ...] = ()
    """Name and version of the policy, the rules and the models that decided."""


class Tally:
    """Events of one key: in one window, or over a whole surge."""

    __slots__ = ("authors", "busiest", "count", "examples")

    def __init__(self) -> None:
        self.count = 0
        self.authors: DistinctSketch | None = None
        self.busiest = BusiestValues()
        self.examples: list[Example] = []

    def add(self, event: SurgeEvent, examples: int) -> None:
        """Count one event; up to `examples` of them are kept."""
        self.count += 1
        if self.authors is None:
            self.authors = DistinctSketch()
        author = hash64(event.author_id)
        self.authors.add(author)
        self.busiest.add(author)
        if len(self.examples) < examples:
            self.examples.append(Example(event.content_id, event.text))

    def without_repeats(self, authors: int) -> int:
        """The count, without what the `authors` busiest added after their first event."""
        return self.count - self.busiest.repeats(authors)

    def merge(self, other: Tally, examples: int) -> None:
        """Count all that `other` has counted."""
        self.count += other.count
        if other.authors is not None:
            if self.authors is None:
                self.authors = DistinctSketch()
            self.authors.update(other.authors)
            self.busiest.update(other.busiest)
        room = examples - len(self.examples)
        self.examples.extend(other.examples[:room])


def tally_of(event: SurgeEvent, examples: int) -> Tally:
    """A tally of one event."""
    tally = Tally()
    tally.add(event, examples)
    return tally


class Window:
    """The keys of one window; a key with one event, as most have, is that event.

    Its snapshot packs only the single events that came since the last one: a million keys are not
    written a dozen times before their window closes.
    """

    __slots__ = ("_fresh", "_packed", "several", "single")

    def __init__(self) -> None:
        self.single: dict[AlertKey, SurgeEvent] = {}
        self.several: dict[AlertKey, Tally] = {}
        self._packed: list[bytes] = []
        self._fresh: list[SurgeEvent] = []

    def add(self, event: SurgeEvent, examples: int) -> None:
        """Count one event."""
        tally = self.several.get(event.key)
        if tally is None:
            first = self.single.setdefault(event.key, event)
            if first is event:
                self._fresh.append(event)
                return
            del self.single[event.key]
            tally = self.several[event.key] = tally_of(first, examples)
        tally.add(event, examples)

    def __len__(self) -> int:
        return len(self.single) + len(self.several)

    def make_room(self) -> int:
        """Forget the rarer half of the keys, which what surges is not among: events forgotten.

        Lossy counting: Manku and Motwani, "Approximate frequency counts over data streams" (2002).
        """
        rare = list(self.single)[: 1 + len(self) // 2]
        for key in rare:
            del self.single[key]
        dropped = len(rare)
        ranked = sorted(self.several, key=lambda key: self.several[key].count)
        for key in ranked[: max(0, 1 + len(ranked) // 2 - dropped)]:
            dropped += self.several.pop(key).count
        self._packed, self._fresh = [], list(self.single.values())
        return dropped

    def __getstate__(self) -> tuple[tuple[bytes, ...], dict[AlertKey, Tally]]:
        if self._fresh:
            self._packed.append(msgpack.encode(self._fresh))
            self._fresh = []
        return tuple(self._packed), self.several

    def __setstate__(self, state: tuple[tuple[bytes, ...], dict[AlertKey, Tally]]) -> None:
        packed, self.several = state
        self._packed, self._fresh, self.single = list(packed), [], {}
        for part in packed:
            for event in msgpack.decode(part, type=list[SurgeEvent]):
                # Of a key that has a tally by now, the event is in the tally.
                if event.key not in self.several:
                    self.single[event.key] = event


class EventClock:
    """Event time of the stream, which one message from the far future cannot move."""

    def __init__(self, max_jump: float) -> None:
        self.now = -math.inf
        self._max_jump = max_jump
        self._ahead = 0
        self._beside = 0
        """Contents that came after the clock in ticks that did not."""

    def observe(self, tick: Tick) -> float:
        """The time after a tick: a leap is believed the third time in a row."""
        at = self._beside_a_backfill(tick)
        if self.now == -math.inf or at <= self.now + self._max_jump or self._ahead >= 2:
            self._ahead = 0
            self.now = max(self.now, at)
        else:
            self._ahead += 1
        return self.now

    def _beside_a_backfill(self, tick: Tick) -> float:
        """Where the tick stands, or the few in it that come after the clock, from the third on.

        A backfill outnumbers what is posted meanwhile: without these the clock would stand still.
        """
        if tick.at > self.now:
            self._beside = 0
            return tick.at
        posted = sorted(tick.alive.items())
        later = [
            minute for minute, count in posted if 60.0 * minute > self.now for _ in range(count)
        ]
        self._beside += len(later)
        return 60.0 * later[len(later) // 2] if later and self._beside >= 3 else tick.at
