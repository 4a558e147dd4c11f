"""What is usual in a series, and how far its newest value is from that."""

from __future__ import annotations

import math
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


class SurgeDetector:
    """A robust moving baseline of a series and the z-score of each new value against it.

    Counts are taken to 2*sqrt(x + 3/8), where a Poisson count has a variance near 1 whatever its
    mean (Anscombe 1948), and each residual also enters an exponentially weighted chart (Roberts
    1959), so that a small shift that stays is seen as well as a large one: the z-score is the
    larger of the two. With `rhythm` the baseline is the usual value of the hour of the week (of the
    day, until a week has passed) plus a moving level. Residuals are clipped before they are learned
    from, so that single outliers move the baseline little. With `novelty` an anomaly score is made
    as well.
    """

    __slots__ = (
        "_chart", "_counts", "_day", "_level", "_memory", "_novelty", "_seen", "_source", "_spread",
        "_week",
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
        self._chart = 0.0
        self._day = Rhythm(DAY, 48) if rhythm else None
        self._week = Rhythm(WEEK, 168) if rhythm else None
        self._source: Rhythm | None = None
        self._novelty = Novelty() if novelty else None

    def update(self, at: float, value: float, *, learn: bool = True) -> Reading:
        """The reading of the next value, at Unix time `at`; not learned from without `learn`."""
        value = max(-_LARGEST, min(_LARGEST, value))
        stable = self._stable(value)
        usual = self._usual(at)
        if not self._seen:
            self._level = stable - usual
        residual = stable - usual - self._level
        expected = self._unstable(usual + self._level)
        z_score = self._z_score(residual, stable)
        anomaly = self._novelty.update(at, value, z_score) if self._novelty is not None else 0.0
        if self._counts:
            z_score = self._charted(z_score)
        if learn:
            self._learn(at, stable, residual)
        return Reading(expected, z_score, anomaly)

    def _usual(self, at: float) -> float:
        """The rhythm's part of the baseline; where it begins or ends the level makes up for it."""
        source, usual = None, None
        for rhythm in (self._week, self._day):
            if rhythm is not None and usual is None:
                source, usual = rhythm, rhythm.usual(at)
        if usual is None:
            source = None
        if source is not self._source:
            before = self._source.usual(at) if self._source is not None else None
            self._level += (before or 0.0) - (usual or 0.0)
            self._source = source
        return usual or 0.0

    def _z_score(self, residual: float, stable: float) -> float:
        if not self._counts and self._seen <= _STEADY:
            return 0.0
        z_score = residual / max(self._spread, 1e-9 * (1 + abs(stable)))
        return max(-_MOST, min(_MOST, z_score))

    def _charted(self, z_score: float) -> float:
        weight = 1 / 3
        self._chart += weight * (max(-8.0, min(8.0, z_score)) - self._chart)
        charted = self._chart / math.sqrt(weight / (2 - weight))
        return max(z_score, charted) if z_score > 0 else z_score

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
        for rhythm in (self._day, self._week):
            if rhythm is not None:
                rhythm.learn(at, stable)

    def _limit(self, stable: float) -> float:
        """The largest residual that the spread is learned from: more would make it blind."""
        return 2 * self._spread if self._counts else 4 * self._spread + 1e-9 * (1 + abs(stable))

    def _stable(self, value: float) -> float:
        return 2 * math.sqrt(max(0.0, value) + 3 / 8) if self._counts else value

    def _unstable(self, stable: float) -> float:
        return max(0.0, stable * stable / 4 - 3 / 8) if self._counts else stable
