"""Views of a key's counts that are longer than a window, and the versions that made them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from events.messages import Decision

HOUR: Final = 3_600.0
_KNOWN_NAMES: Final = 64


class SlidingCounts:
    """Counts of the last hour, sliding by windows, and of the last day, sliding by hours."""

    __slots__ = ("_hours", "_windows")

    def __init__(self) -> None:
        self._windows: deque[tuple[float, int]] = deque()
        self._hours: deque[tuple[float, int]] = deque()

    def add(self, at: float, count: int) -> None:
        """Count a window that begins at `at` (Unix seconds), later than those before."""
        hour = at // HOUR
        self._windows.append((at, count))
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = (hour, self._hours[-1][1] + count)
        else:
            self._hours.append((hour, count))
        while self._windows[0][0] <= at - HOUR:
            self._windows.popleft()
        while self._hours[0][0] <= hour - 24:
            self._hours.popleft()

    def last_hour(self) -> int:
        """Events in the hour up to the newest window."""
        return sum(count for _, count in self._windows)

    def last_day(self) -> int:
        """Events in the newest hour and the 23 before it."""
        return sum(count for _, count in self._hours)

    def windows(self, length: float, number: int) -> tuple[int, ...]:
        """The counts of the last `number` windows of `length` seconds, the oldest first."""
        counts = {round(at / length): count for at, count in self._windows}
        newest = max(counts, default=0)
        return tuple(counts.get(n, 0) for n in range(newest - number + 1, newest + 1))


def versions_of(decision: Decision, policy_version: str = "") -> tuple[tuple[str, str], ...]:
    """Name and version of the policy, the rules and the models behind a decision.

    `policy_version`: that of the policy in force, where the decision may be by one on trial, which
    is for some authors alone and no change.
    """
    policy = policy_version or decision.policy_version
    named = (("policy", policy), ("rules", decision.ruleset_version))
    return (*named, *decision.model_versions.items())


class VersionLog:
    """Which policy, rules and models decided, and what changed last."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._changed_at = float("-inf")
        self._change = ""

    def observe(self, at: float, versions: Mapping[str, str]) -> None:
        """The `versions` by name that decided at `at` (Unix seconds)."""
        changed = []
        for name, version in versions.items():
            before = self._current.get(name)
            if before == version or (before is None and len(self._current) >= _KNOWN_NAMES):
                continue
            self._current[name] = version
            if before is not None:
                changed.append(f"{name} {before[:16]} to {version[:16]}")
        if changed:
            when = datetime.fromtimestamp(at, UTC)
            self._changed_at = at
            self._change = f"{', '.join(changed[:3])} at {when:%H:%M} UTC"

    def change_before(self, at: float, seconds: float) -> str:
        """What changed in the `seconds` before `at`, "" for nothing."""
        return self._change if self._changed_at >= at - seconds else ""
