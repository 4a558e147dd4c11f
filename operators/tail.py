"""How improbable a value is, from the tail of all values before it."""

from __future__ import annotations

import math
from typing import Final

WARM_UP: Final = 100
"""Values before the first estimate."""
MOST: Final = 16.0
"""No value is called less probable than 10^-16: a short past can't tell."""
_SHARE: Final = 0.02
_MEMORY: Final = 2_000


class Tail:
    """Peaks over a moving threshold: a stream's upper tail as a generalized Pareto distribution.

    The threshold follows the 98 % quantile by stochastic approximation; the excesses above it are
    fitted by their first two moments, which forget over some 2,000 values. Siffer et al., "Anomaly
    detection in streams with extreme value theory" (KDD 2017), with moments for maximum likelihood,
    so that a value costs constant time.
    """

    __slots__ = ("_count", "_excesses", "_mean", "_past", "_square", "_threshold")

    def __init__(self) -> None:
        self._past: list[float] | None = []
        self._count = WARM_UP
        self._threshold = 0.0
        self._excesses = 5
        self._mean = 0.0
        self._square = 0.0

    def surprise(self, value: float) -> float:
        """-log10 of the probability of a value at least this large; 0 for nothing special."""
        excess = value - self._threshold
        if self._past is not None or excess <= 0:
            return 0.0
        least = 1e-12 * self._mean**2
        # No excess yet, or such small ones that they have no squares.
        if least <= 0:
            return MOST
        # Method of moments; a shape beyond 0.5 has no variance, below 0 the tail would end.
        ratio = self._mean**2 / max(self._square - self._mean**2, least)
        shape = min(0.5, max(0.0, 0.5 * (1 - ratio)))
        scaled = excess / (self._mean * (1 - shape))
        decay = math.log1p(shape * scaled) / shape if shape > 1e-3 else scaled
        return min(MOST, -math.log10(_SHARE) + decay / math.log(10))

    def learn(self, value: float) -> None:
        """Take one value into the past."""
        if self._past is not None:
            self._past.append(value)
            if len(self._past) == WARM_UP:
                self._start(sorted(self._past))
            return
        self._count += 1
        excess = value - self._threshold
        step = self._mean * max(1 / (_SHARE * self._count + 1), 10 / _MEMORY)
        if excess <= 0:
            self._threshold -= step * _SHARE
            return
        self._threshold += step * (1 - _SHARE)
        self._excesses += 1
        weight = max(1 / self._excesses, 1 / (_MEMORY * _SHARE))
        # One monstrous value must not make all later ones look small.
        bounded = min(excess, 10 * self._mean) if self._mean > 0 else excess
        self._mean += weight * (bounded - self._mean)
        self._square += weight * (bounded**2 - self._square)

    def _start(self, past: list[float]) -> None:
        self._past = None
        self._threshold = past[-3]
        tenth = past[WARM_UP - 10 :]
        self._mean = max(
            sum(value - past[-3] for value in past[-2:]) / 2,
            sum(value - tenth[0] for value in tenth) / len(tenth),
        )
        self._square = 2 * self._mean**2
