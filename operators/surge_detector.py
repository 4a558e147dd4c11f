"""What is usual in a series, and how far its newest value is from that."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What the detector makes of one value.

    `expected` is in the value's unit, `z_score` in standard deviations of the transformed series
    (positive: more than usual).
    """

    expected: float
    z_score: float


class SurgeDetector:
    """A robust moving baseline of counts and the z-score of each new count against it.

    Counts are taken to 2*sqrt(x + 3/8), where a Poisson count has a variance near 1 whatever its
    mean (Anscombe 1948); more than Poisson noise is learned on top. Each residual also enters an
    exponentially weighted chart over `span` values (Roberts 1959), so that a small shift that stays
    is seen as well as a large one; the z-score is the larger of the two. Residuals are clipped
    before they are learned from, so that single outliers move the baseline little.
    """

    __slots__ = ("_chart", "_level", "_seen", "_spread", "memory", "span")

    def __init__(self, *, usual: float | None = None, memory: int = 60, span: int = 5) -> None:
        """`usual`: the counts so far, None to learn it; `memory`, `span`: in values."""
        self.memory = memory
        self.span = span
        self._level = 0.0 if usual is None else _stable(usual)
        self._seen = 0 if usual is None else memory
        self._spread = 1.0
        self._chart = 0.0

    def update(self, value: float, *, learn: bool = True) -> Reading:
        """The reading of the next value; `learn` False leaves the baseline as it is."""
        stable = _stable(value)
        if not self._seen:
            self._level = stable
        residual = stable - self._level
        expected = max(0.0, self._level * self._level / 4 - 3 / 8)
        z_score = residual / self._spread
        weight = 2 / (self.span + 1)
        self._chart += weight * (max(-8.0, min(8.0, z_score)) - self._chart)
        charted = self._chart / math.sqrt(weight / (2 - weight))
        if learn:
            self._learn(residual)
        return Reading(expected, max(z_score, charted) if z_score > 0 else z_score)

    def _learn(self, residual: float) -> None:
        self._seen += 1
        weight = max(1 / self._seen, 2 / (self.memory + 1))
        bound = 3 * self._spread if self._seen > 5 else math.inf
        clipped = max(-bound, min(bound, residual))
        self._level += weight * clipped
        if self._seen > 5:
            # 1.2533: standard deviation over mean absolute deviation of a normal distribution.
            self._spread += weight * (1.2533 * abs(clipped) - self._spread)
            self._spread = max(1.0, self._spread)


def _stable(count: float) -> float:
    return 2 * math.sqrt(max(0.0, count) + 3 / 8)
