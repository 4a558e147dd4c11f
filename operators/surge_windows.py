"""Violations counted by key in tumbling windows of event time, and the keys that surge."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from events.messages import AlertKey, AlertState
from operators.sliding import SlidingCounts, VersionLog
from operators.surge_detector import Reading, SurgeDetector
from operators.surge_settings import KeySurge, Odd, SurgeSettings
from operators.surge_tally import EventClock, SurgeEvent, Tally, Tick, Window, tally_of


class _Past(NamedTuple):
    number: int
    tally: Tally
    expected: float


@dataclass(slots=True)
class _Surge:
    opened_at: float
    total: Tally
    changed: str
    expected: float = 0.0
    z_score: float = 0.0
    quiet: int = 0
    windows: int = 0


@dataclass(slots=True)
class _Key:
    detector: SurgeDetector
    last: int
    """The last window it was updated for."""
    recent: list[_Past] = field(default_factory=list)
    """Its last windows with an event: what a slow beginning is judged by."""
    surge: _Surge | None = None
    counts: SlidingCounts = field(default_factory=SlidingCounts)


class SurgeState:
    """The windows and baselines of one shard of the keys; picklable, so its snapshot is a copy.

    A key costs nothing beyond its entry in the open windows until a window holds `admit` of its
    events.
    """

    admit = 2

    def __init__(self, settings: SurgeSettings) -> None:
        self._settings = settings
        self._clock = EventClock(settings.max_jump)
        self._windows: dict[int, Window] = {}
        self._keys: dict[AlertKey, _Key] = {}
        self._surging: set[AlertKey] = set()
        self._first: int | None = None
        self._alive: set[int] = set()
        """Windows in which something was posted, violating or not."""
        self._versions = VersionLog()
        self.closed_through = -math.inf
        """Unix seconds up to which all windows are closed."""
        self.odd: Counter[Odd] = Counter()
        """Events that were not simply counted, so far."""

    def observe(self, events: Iterable[SurgeEvent]) -> None:
        """Count `events` in their windows; a far-future one waits in its own."""
        settings = self._settings
        for event in events:
            at = event.at
            if at < self.closed_through:
                self.odd["late"] += 1
                continue
            if -math.inf < self._clock.now < at - settings.max_jump:
                self.odd["future"] += 1
            number = int(at // settings.window)
            window = self._windows.get(number)
            if window is None:
                if len(self._windows) >= settings.max_windows:
                    self.odd["dropped"] += 1
                    continue
                window = self._windows[number] = Window()
            if len(window) >= settings.max_keys:
                self.odd["dropped"] += window.make_room()
            window.add(event, settings.examples)

    def advance(self, tick: Tick) -> list[KeySurge]:
        """Move the clock and close what is over: what opened, grew or ended."""
        now = self._clock.observe(tick)
        self._versions.observe(tick.at, dict(tick.versions))
        self._alive.update(int(minute * 60 // self._settings.window) for minute in tick.alive)
        if len(self._alive) > 2 * self._settings.max_windows:
            self._alive = set(sorted(self._alive)[-self._settings.max_windows :])
        if now == -math.inf:
            return []
        end = int((now - self._settings.lateness) // self._settings.window)
        if self._first is None:
            self._first = self._began(end)
        return self._close_before(end)

    def _began(self, end: int) -> int:
        """The first window of the stream, whose first batch may hold hours; no stray old time."""
        began = end
        for number in sorted(self._alive, reverse=True):
            if (began - number) * self._settings.window > self._settings.max_jump:
                break
            began = min(began, number)
        return began

    def finish(self) -> list[KeySurge]:
        """Close all windows and surges: the stream is over."""
        changes: list[KeySurge] = []
        if self._windows:
            changes = self._close_before(max(self._windows) + 1)
        for key in sorted(self._surging):
            changes.append(self._resolve(key, self._keys[key]))
        self._surging.clear()
        return changes

    def _close_before(self, end: int) -> list[KeySurge]:
        changes: list[KeySurge] = []
        due = sorted(number for number in self._windows if number < end)
        for number in due:
            changes += self._pass_quiet(number)
            changes += self._close(number, self._windows.pop(number))
        changes += self._pass_quiet(end)
        self.closed_through = max(self.closed_through, end * self._settings.window)
        return changes

    def _pass_quiet(self, end: int) -> list[KeySurge]:
        """Close the windows before `end` that hold no event, while a surge waits for them."""
        changes: list[KeySurge] = []
        while self._surging:
            number = 1 + min(self._keys[key].last for key in self._surging)
            if number >= end:
                break
            changes += self._close(number, Window())
        return changes

    def _close(self, number: int, window: Window) -> list[KeySurge]:
        tallies = window.several
        for key in self._keys.keys() & window.single.keys():
            tallies[key] = tally_of(window.single[key], self._settings.examples)
        for key in self._surging.difference(tallies):
            if self._keys[key].last < number:
                tallies[key] = Tally()
        changes = []
        for key, tally in tallies.items():
            held = self._keys.get(key)
            if held is None:
                if tally.count < self.admit:
                    continue
                held = self._admit(key, number)
            change = self._judge(key, held, number, tally)
            if change is not None:
                changes.append(change)
        return sorted(changes, key=lambda change: change.key)

    def _admit(self, key: AlertKey, number: int) -> _Key:
        if len(self._keys) >= self._settings.max_keys:
            oldest = sorted(self._keys.keys() - self._surging, key=lambda k: self._keys[k].last)
            for stale in oldest[: 1 + len(oldest) // 4]:
                del self._keys[stale]
        # A key that appears after the warm-up is new: it was at nothing before.
        held = self._keys[key] = _Key(
            SurgeDetector(usual=None if self._warming(number) else 0.0, rhythm=not key.signature),
            number - 1,
        )
        return held

    def _warming(self, number: int) -> bool:
        return self._first is None or number - self._first < self._settings.warm_up

    def _judge(self, key: AlertKey, held: _Key, number: int, tally: Tally) -> KeySurge | None:
        self._rest(key, held, number)
        held.last = number
        start = number * self._settings.window
        held.counts.add(start, tally.count)
        reading = held.detector.update(start, tally.count, learn=held.surge is None)
        if held.surge is not None:
            return self._follow(key, held, held.surge, tally, reading)
        past = [window for window in held.recent if window.number > number - 5]
        held.recent = [*past, _Past(number, tally, reading.expected)]
        if self._warming(number) or not self._is_surge(key, held, reading):
            return None
        held.recent = []
        held.surge = self._begun(past, start)
        self._surging.add(key)
        return self._follow(key, held, held.surge, tally, reading)

    def _begun(self, past: list[_Past], start: float) -> _Surge:
        """A surge with the windows just before it that were above the usual already."""
        surge = _Surge(start, Tally(), self._versions.change_before(start, self._settings.fresh))
        risen = takewhile(self._is_large, reversed(past))
        for window in reversed(list(risen)):
            surge.opened_at = min(surge.opened_at, window.number * self._settings.window)
            surge.total.merge(window.tally, self._settings.examples)
            surge.expected += window.expected
        return surge

    def _is_large(self, window: _Past) -> bool:
        return window.tally.count >= (1 + self._settings.min_effect) * window.expected

    def _rest(self, key: AlertKey, held: _Key, number: int) -> None:
        """Take the windows without an event since the last one into the baseline.

        While nothing at all was posted, nothing is learned: an outage is not a calm.
        """
        earliest = number - self._settings.remember
        if key.signature and held.last < earliest and not held.surge:
            held.detector = SurgeDetector(usual=0.0)
            return
        silent = self._alive.intersection(range(max(held.last + 1, earliest), number))
        if key.signature:
            held.detector.rest(len(silent))
            return
        for window in sorted(silent):
            held.detector.update(window * self._settings.window, 0.0)

    def _least_z(self, key: AlertKey) -> float:
        return self._settings.min_z if key.signature else self._settings.min_broad_z

    def _is_surge(self, key: AlertKey, held: _Key, reading: Reading) -> bool:
        settings, newest = self._settings, held.recent[-1]
        if reading.z_score < self._least_z(key) or not self._is_large(newest):
            return False
        recent, expected = Tally(), 0.0
        for window in held.recent:
            recent.merge(window.tally, 0)
            expected += window.expected
        if recent.count < settings.min_count or recent.authors is None:
            return False
        # Under a whole category others are never far: it must be a surge without the few, too.
        few = settings.min_authors - 1
        z_score = max(
            reading.z_score_of(newest.tally.without_repeats(few), newest.expected),
            reading.z_score_of(recent.without_repeats(few), expected),
        )
        return recent.authors.count() > few and z_score >= self._least_z(key)

    def _follow(
        self, key: AlertKey, held: _Key, surge: _Surge, tally: Tally, reading: Reading
    ) -> KeySurge:
        settings = self._settings
        surge.windows += 1
        surge.total.merge(tally, settings.examples)
        surge.expected += reading.expected
        surge.z_score = max(surge.z_score, reading.z_score)
        calm = reading.z_score < self._least_z(key) / 2
        surge.quiet = surge.quiet + 1 if calm else 0
        longest = settings.fresh // settings.window if surge.changed else settings.longest
        if surge.quiet >= settings.quiet or surge.windows >= longest:
            if surge.windows >= longest:
                held.detector.settle(surge.total.count / surge.windows)
            self._surging.discard(key)
            return self._resolve(key, held)
        return self._report(key, held, surge, "open" if surge.windows == 1 else "update")

    def _resolve(self, key: AlertKey, held: _Key) -> KeySurge:
        surge = held.surge
        assert surge is not None
        held.surge = None
        return self._report(key, held, surge, "resolved")

    def _report(self, key: AlertKey, held: _Key, surge: _Surge, state: AlertState) -> KeySurge:
        authors = surge.total.authors
        return KeySurge(
            key=key,
            state=state,
            opened_at=surge.opened_at,
            window_end=(held.last + 1) * self._settings.window,
            observed=surge.total.count,
            expected=surge.expected,
            z_score=surge.z_score,
            authors=authors.hashes() if authors is not None else (),
            examples=tuple(surge.total.examples),
            recent=held.counts.windows(self._settings.window, self._settings.plot),
            last_hour=held.counts.last_hour(),
            last_day=held.counts.last_day(),
            changed=surge.changed,
        )
