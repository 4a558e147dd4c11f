"""What is usual in a series, and how far its newest value is from that."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from operators.novelty import Novelty
from operators.rhythm import DAY, WEEK, Rhythm

_NORMAL: Final = 1.2533
"""Standard deviation over mean absolute deviation of a normal distribution."""
_LARGEST: Final = 1e100
"""Values are cut here: their squares must stay finite."""
_MOST: Final = 1e3
"""No z-score is larger: behind a constant series any change is as good as infinite."""
_SCAN: Final = 5
"""Values that are scanned as one."""
_RARE: Final = 0.2
"""No count is expected to be rarer: a short past can't tell."""
_SLOW: Final = 360
"""Values over which a level is remembered that fell: its return is no surge."""
_STEADY: Final = 20
"""Values after which the spread is believed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the detector makes of one value.

    `expected` is in the value's unit; `z_score` in standard deviations (positive: more than usual);
    `anomaly_score` from 0 to 1, where 0.5 is the threshold (0 unless the detector looks for
    novelty).
    """

    expected: float
    z_score: float
    anomaly_score: float
    spread: float = 1.0
    """By how much a count strays from what is expected, beside a Poisson count."""

    def z_score_of(self, count: float, expected: float) -> float:
        """The z-score that `count` would have had, of one window or of several."""
        return _surprise(count, expected) / self.spread


class SurgeDetector:
    """A robust moving baseline of a series and the z-score of each new value against it.

    Counts are taken to 2*sqrt(x + 3/8), where a Poisson count has a variance near 1 whatever its
    mean (Anscombe 1948), to learn what is usual; the z-score of a count is the signed root of its
    likelihood ratio against a Poisson count of that mean, which is right for rare events too. It is
    the larger one of the newest value and of the sum of the last few (a scan statistic; Kulldorff,
    "A spatial scan statistic", 1997), so that a small shift that stays is seen as well as a large
    one. With `rhythm` the baseline is the usual value of the hour of the day, with what the hour of
    the week departs from it, plus a moving level, or where the level was some hours ago when it has
    fallen since: what comes back after an outage is no surge. Residuals are clipped before they are
    learned from, so that single outliers move the baseline little. With `novelty` an anomaly score
    is made as well.
    """

    __slots__ = (
        "_base", "_counts", "_day", "_level", "_memory", "_novelty", "_recent", "_seen", "_slow",
        "_spread", "_week",
    )  # fmt: skip

    def __init__(
        self,
        *,
        counts: bool = True,
        memory: int = 60,
        usual: float | None = None,
        rhythm: bool = False,
        novelty: bool = False,
    ) -> None:
        """`memory` in values; `usual`: what the values have been so far, None to learn it."""
        self._counts = counts
        self._memory = memory
        self._level = 0.0 if usual is None else self._stable(usual)
        self._seen = 0 if usual is None else memory
        self._spread = 1.0 if counts else 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=_SCAN)
        self._day = Rhythm(DAY, 48) if rhythm else None
        self._week = Rhythm(WEEK, 168, zeros=1) if rhythm else None
        self._base: float | None = None
        self._slow = 0.0
        self._novelty = Novelty() if novelty else None

    def update(self, at: float, value: float, *, learn: bool = True) -> Reading:
        """The reading of the next value, at Unix time `at`; not learned from without `learn`."""
        value = max(-_LARGEST, min(_LARGEST, value))
        stable = self._stable(value)
        usual = self._usual(at, stable)
        if not self._seen:
            self._level = stable - usual
        residual = stable - usual - self._level
        level = self._level if self._base is None else max(self._level, self._slow)
        expected = self._unstable(usual + level)
        if self._counts:
            z_score = self._scanned(max(0.0, value), expected)
        else:
            z_score = self._z_score(residual, stable)
        spread = self._spread
        anomaly = self._novelty.update(at, value, z_score) if self._novelty is not None else 0.0
        if learn:
            self._learn(at, stable, residual)
        return Reading(expected, z_score, anomaly, spread)

    def rest(self, windows: int) -> None:
        """As many windows without an event, at once; for a series of counts without a rhythm."""
        if not windows:
            return
        memory = 1 - max(1 / (self._seen + windows), 2 / (self._memory + 1))
        silent = self._stable(0.0)
        self._level = silent + memory**windows * (self._level - silent)
        self._recent.extend([(0.0, self._unstable(self._level))] * min(windows, _SCAN))
        self._seen += windows

    def settle(self, usual: float) -> None:
        """Expect `usual` from here on, with the rhythm as it was."""
        self._level = self._stable(usual) - (self._base or 0.0)
        self._slow = self._level
        self._recent.clear()

    def _usual(self, at: float, stable: float) -> float:
        """The rhythm's part of the baseline; where it begins or ends the level makes up for it."""
        usual = self._of_rhythm(at, stable - self._level)
        if (usual is None) is not (self._base is None):
            self._level += (self._base or 0.0) - (usual or 0.0)
        self._base = usual
        return usual or 0.0

    def _of_rhythm(self, at: float, value: float) -> float | None:
        if self._day is None or self._week is None:
            return None
        usual = self._day.usual(at, value)
        return None if usual is None else usual + (self._week.usual(at, value - usual) or 0.0)

    def _z_score(self, residual: float, stable: float) -> float:
        if self._seen <= _STEADY:
            return 0.0
        z_score = residual / max(self._spread, 1e-9 * (1 + abs(stable)))
        return max(-_MOST, min(_MOST, z_score))

    def _scanned(self, value: float, expected: float) -> float:
        self._recent.append((value, expected))
        newest = _surprise(value, expected)
        if newest > 0:
            values, usual = zip(*self._recent, strict=True)
            newest = max(newest, _surprise(sum(values), sum(usual)))
        return max(-_MOST, min(_MOST, newest / self._spread))

    def _learn(self, at: float, stable: float, residual: float) -> None:
        self._seen += 1
        weight = max(1 / self._seen, 2 / (self._memory + 1))
        steady = self._seen > _STEADY
        # A measured value is followed wherever it goes, a count only as far as its noise explains.
        bound = 2 * self._spread if self._counts and steady else math.inf
        self._level += weight * max(-bound, min(bound, residual))
        if steady or not self._counts:
            limit = self._limit(stable) if steady else math.inf
            slow = max(1 / self._seen, 0.02)
            self._spread += slow * (_NORMAL * min(abs(residual), limit) - self._spread)
            self._spread = max(self._spread, 1.0 if self._counts else 0.0)
        if self._day is not None and self._week is not None:
            usual = self._day.usual(at, stable - self._level)
            self._day.learn(at, stable)
            if usual is not None:
                self._slow += (self._level - self._slow) / _SLOW
                self._week.learn(at, stable - usual)

    def _limit(self, stable: float) -> float:
        """The largest residual that the spread is learned from: more would make it blind."""
        return 2 * self._spread if self._counts else 4 * self._spread + 1e-9 * (1 + abs(stable))

    def _stable(self, value: float) -> float:
        return 2 * math.sqrt(max(0.0, value) + 3 / 8) if self._counts else value

    def _unstable(self, stable: float) -> float:
        return max(0.0, stable * stable / 4 - 3 / 8) if self._counts else stable


def _surprise(count: float, expected: float) -> float:
    """How many standard deviations a count is from a Poisson count of mean `expected`."""
    expected = max(_RARE, expected)
    deviance = expected - count + (count * math.log(count / expected) if count else 0.0)
    return math.copysign(math.sqrt(2 * max(0.0, deviance)), count - expected)
