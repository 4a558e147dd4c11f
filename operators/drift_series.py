"""One number in one group of contents: whether its mean is still what it was at this hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

from river.drift import ADWIN

from operators.rhythm import DAY, Rhythm


class Change(NamedTuple):
    """By how much a mean has moved, in its own unit and in standard deviations of a block mean."""

    size: float
    z_score: float
    began: float = 0.0
    """When the last block before it ended, Unix seconds: it takes hours or days to be sure."""


NONE: Final = Change(0.0, 0.0)
_LEAST: Final = 3
"""Blocks on either side of a change."""
_KEPT: Final = 48
"""Blocks that a change is looked for in."""


class Series:
    """The means of blocks of a number's values, as departures from the usual of the hour."""

    __slots__ = (
        "_adwin", "_delta", "_deviation", "_means", "_rhythm", "_seen", "_times", "usual",
    )  # fmt: skip

    def __init__(self, delta: float) -> None:
        """`delta`: ADWIN's probability of a false alarm."""
        self._delta = delta
        self._adwin = _adwin(delta)
        self._rhythm = Rhythm(DAY, 24)
        self._means: deque[float] = deque(maxlen=_KEPT)
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._deviation = 0.0
        self._seen = 0
        self.usual = 0.0
        """What the last mean was compared with."""

    def add(self, at: float, mean: float) -> Change:
        """Take a block's mean: the change that it has brought to light, of size 0 for none."""
        known = self._rhythm.usual(at, mean, periods=2)
        self._rhythm.learn(at, mean)
        if known is None:
            return NONE
        self.usual = known
        departure = mean - known
        self._means.append(departure)
        self._times.append(at)
        spread = self._spread(departure)
        # ADWIN's bound is made for numbers about as wide as 1.
        self._adwin.update(departure / max(1e-9, spread))
        if not self._adwin.drift_detected:
            return NONE
        means = list(self._means)
        if len(means) < 2 * _LEAST:
            return NONE
        split = _change_point(means)
        before, newest = means[:split], means[split:]
        size, began = fmean(newest) - fmean(before), self._times[split - 1]
        # From here on the new is the usual: the way back would be another drift.
        self._rhythm.shift(size)
        self._means.clear()
        self._times.clear()
        self._adwin = _adwin(self._delta)
        return Change(size, size / max(1e-9, stdev(before)), began)

    def _spread(self, departure: float) -> float:
        """The standard deviation of the departures so far, of which outliers are a small part."""
        self._seen += 1
        size = abs(departure)
        if self._seen > 10:
            size = min(size, 3 * self._deviation)
        self._deviation += max(1 / self._seen, 0.02) * (size - self._deviation)
        return 1.2533 * self._deviation


def _change_point(means: Sequence[float]) -> int:
    """Where to split `means` so that two means explain them best, by least squares."""
    total, left = sum(means), 0.0
    best, found = -1.0, _LEAST
    for number, value in enumerate(means, start=1):
        left += value
        right = len(means) - number
        if number >= _LEAST and right >= _LEAST:
            explained = left * left / number + (total - left) ** 2 / right
            if explained > best:
                best, found = explained, number
    return found


def _adwin(delta: float) -> Any:
    return ADWIN(  # type: ignore[no-untyped-call]  # river has no types
        delta=delta, clock=1, min_window_length=5, grace_period=10
    )
