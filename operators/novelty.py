"""Whether a series has just done what it never did, as one number from 0 to 1."""

from __future__ import annotations

import math
from typing import Final

from operators.rhythm import DAY, Rhythm
from operators.tail import Tail

_THRESHOLD: Final = 2.75
"""Surprise (-log10 of a probability) at which a value is an anomaly and scores 0.5."""
_HOLD: Final = 100
"""Values after an anomaly that belong to it."""
_HABIT: Final = 0.6
"""What each anomaly adds to the threshold; it wears off over `_FORGET` values."""
_FORGET: Final = 1_000.0


class Novelty:
    """Watches a series from several sides and tells how improbable its newest value is from any.

    Each view turns the series into a number that is large when something is odd: a jump, a
    residual, a level never reached, a shift of the level, a departure from the hour's usual. A
    `Tail` for each view learns what is large *for this series*, so no view needs a scale. The
    largest surprise counts. An anomaly is said once: the values behind it score below 0.5, and a
    series that surprises all the time has to surprise more.
    """

    __slots__ = (
        "_bottom", "_day", "_departure", "_drift", "_fired", "_habit", "_last", "_levels", "_seen",
        "_tails",
    )  # fmt: skip

    def __init__(self) -> None:
        self._levels = [0.0, 0.0, 0.0]
        self._tails = [Tail() for _ in range(7)]
        self._day = Rhythm(DAY, 48)
        self._drift = 0.0
        self._departure = 0.0
        self._last = 0.0
        self._seen = 0
        self._fired = -_HOLD
        self._habit = 0.0

    def update(self, at: float, value: float, z_score: float) -> float:
        """The anomaly score of the next value: 0.5 and more at the first value of an anomaly."""
        surprise = 0.0
        for tail, view in zip(self._tails, self._views(at, value, z_score), strict=True):
            if view is not None:
                surprise = max(surprise, tail.surprise(view))
                tail.learn(view)
        self._seen += 1
        return self._said(surprise)

    def _views(self, at: float, value: float, z_score: float) -> tuple[float | None, ...]:
        if not self._seen:
            self._levels = [value] * 3
            self._last = value
        residual = abs(value - self._levels[0])
        jump = abs(value - self._last)
        self._last = value
        for i, span in enumerate((8, 24, 300)):
            weight = max(2 / (span + 1), 1 / (self._seen + 1))
            self._levels[i] += weight * (value - self._levels[i])
        short, middle, long = self._levels
        shift = abs(middle - long)
        return residual, abs(z_score), jump, shift, short, -short, self._season(at, value)

    def _season(self, at: float, value: float) -> float | None:
        """How far the last values are from the hour's usual; None before there is a usual."""
        usual = self._day.usual(at, value - self._drift, periods=2)
        self._day.learn(at, value)
        if usual is None:
            return None
        departure = value - usual - self._drift
        self._drift += 0.01 * departure
        self._departure += 0.25 * (departure - self._departure)
        return abs(self._departure)

    def _said(self, surprise: float) -> float:
        habit = self._habit * math.exp((self._fired - self._seen) / _FORGET)
        if surprise < _THRESHOLD + habit or self._seen - self._fired < _HOLD:
            return min(0.49, 0.5 * surprise / _THRESHOLD)
        self._habit = habit + _HABIT
        self._fired = self._seen
        return 1.0 - math.exp2(-surprise / _THRESHOLD)
