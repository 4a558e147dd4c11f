"""A labelled series, and what the generators of all kinds are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Rng: TypeAlias = np.random.Generator
START: Final = 1_400_000_000.0


@dataclass(frozen=True)
class Series:
    """A series and where its anomalies begin: `onsets` are row numbers."""

    name: str
    times: Floats
    values: Floats
    onsets: tuple[int, ...]

    def windows(self) -> list[tuple[int, int]]:
        """Rows [left, right] around each anomaly; together a tenth of the series."""
        if not self.onsets:
            return []
        half = int(0.1 * len(self.values) / len(self.onsets) / 2)
        last = len(self.values) - 1
        return [(max(0, onset - half), min(last, onset + half)) for onset in self.onsets]


Kind: TypeAlias = Callable[[Rng, str], Series]
"""A generator: what a series is like and what its anomalies are is drawn each time."""


def row_times(n: int, step: float, rng: Rng, *, jitter: float = 0.0) -> Floats:
    steps = step * (1 + jitter * rng.exponential(1.0, n)) if jitter else np.full(n, step)
    return START + float(rng.integers(0, 7 * 86_400)) + np.cumsum(steps)


def onsets_of(n: int, count: int, rng: Rng) -> tuple[int, ...]:
    """`count` rows after the warm-up, apart from each other."""
    edges = np.linspace(0.2 * n, 0.95 * n, count + 1)
    gap = 0.25 * (edges[1] - edges[0])
    return tuple(int(rng.uniform(a + gap, b - gap)) for a, b in pairwise(edges))


def correlated(n: int, rng: Rng, *, keep: float, sd: float) -> Floats:
    noise = rng.normal(0, sd * np.sqrt(1 - keep * keep), n)
    out = np.empty(n)
    level = rng.normal(0, sd)
    for i in range(n):
        level = keep * level + noise[i]
        out[i] = level
    return out


def hour_of(times: Floats) -> Floats:
    return times % 86_400 / 3_600


def weekday_of(times: Floats) -> Floats:
    return (times // 86_400 + 4) % 7
