"""What is usual at this time of the day or week."""

from __future__ import annotations

from typing import Final

DAY: Final = 86_400.0
WEEK: Final = 7 * DAY


class Rhythm:
    """The mean of a series in each of `bins` equal parts of a period, over the last few periods.

    Between the middles of two parts the line from one mean to the other is as usual as the mean: a
    daily curve has no steps, a daily job has.
    """

    __slots__ = ("_bins", "_count", "_current", "_means", "_period", "_seen", "_sum")

    def __init__(self, period: float, bins: int, *, zeros: int = 0) -> None:
        """`period` in seconds, counted from the Unix epoch.

        `zeros`: periods of zeros that it begins with, so that little evidence says little.
        """
        self._period = period
        self._bins = bins
        self._means = [0.0] * bins
        self._seen = [zeros] * bins
        self._current = -1
        self._sum = 0.0
        self._count = 0

    def usual(self, at: float, value: float, *, periods: int = 1) -> float | None:
        """The usual value nearest to `value` at `at` (Unix seconds).

        None before `periods` periods were seen.
        """
        part = self._part(at)
        if self._seen[part] < periods:
            return None
        mean = self._means[part]
        beyond = at % self._period / self._period * self._bins - part - 0.5
        other = (part + (1 if beyond > 0 else -1)) % self._bins
        if self._seen[other] < periods:
            return mean
        line = mean + abs(beyond) * (self._means[other] - mean)
        return min(max(value, min(mean, line)), max(mean, line))

    def learn(self, at: float, value: float) -> None:
        """Take one value into the past."""
        part = self._part(at)
        if part != self._current:
            self._close()
            self._current = part
        self._sum += value
        self._count += 1

    def shift(self, change: float) -> None:
        """Move every mean by `change`, and learn again as fast as after two periods."""
        self._means = [mean + change for mean in self._means]
        self._seen = [min(seen, 2) for seen in self._seen]

    def _part(self, at: float) -> int:
        return int(at % self._period / self._period * self._bins) % self._bins

    def _close(self) -> None:
        if self._count:
            part = self._current
            self._seen[part] += 1
            weight = max(0.2, 1 / self._seen[part])
            self._means[part] += weight * (self._sum / self._count - self._means[part])
        self._sum = 0.0
        self._count = 0
