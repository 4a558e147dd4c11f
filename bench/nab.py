"""The scoring of the Numenta Anomaly Benchmark, standard profile.

Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark"
(ICMLA 2015). The first detection in a window counts by how early it is, each detection outside
costs 0.11 (less right behind a window), each missed window 1; 0 is a detector that never fires, 100
one that fires at the first row of every window. The first 15 % of a series (of 5,000 rows at most)
do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FALSE_POSITIVE: Final = 0.11
_BEST: Final = 2 / (1 + math.exp(-5)) - 1


@dataclass(frozen=True)
class Scored:
    """Anomaly scores of a series and its labelled windows, rows [left, right]."""

    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]


def _sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(min(50.0, 5 * position))) - 1


def _probation(series: Scored) -> int:
    """Rows at the beginning that do not count."""
    return math.floor(0.15 * min(len(series.scores), 5_000))


def raw_score(series: Scored, threshold: float) -> float:
    """Sum of what each detection and each missed window is worth."""
    rows, probation = len(series.scores), _probation(series)
    windows = [(left, right) for left, right in series.windows if right >= probation]
    seen: set[int] = set()
    total = 0.0
    behind = -1
    for row in range(probation, rows):
        while behind + 1 < len(windows) and windows[behind + 1][1] < row:
            behind += 1
        if series.scores[row] < threshold:
            continue
        ahead = behind + 1
        if ahead < len(windows) and windows[ahead][0] <= row:
            if ahead not in seen:
                seen.add(ahead)
                left, right = windows[ahead]
                total += _sigmoid(-(right - row + 1) / (right - left + 1)) / _BEST
        elif behind < 0:
            total -= FALSE_POSITIVE
        else:
            left, right = windows[behind]
            total += FALSE_POSITIVE * _sigmoid((row - right) / max(1, right - left))
    return total - (len(windows) - len(seen))


def score(suite: Sequence[Scored], threshold: float) -> float:
    """The suite's score, 0 (never fires) to 100 (perfect); below 0 is worse than never firing."""
    count = 0
    for series in suite:
        probation = _probation(series)
        count += sum(right >= probation for _, right in series.windows)
    raw = sum(raw_score(series, threshold) for series in suite)
    return 100 * (raw + count) / (2 * count)


def best(suite: Sequence[Scored], candidates: Sequence[float]) -> tuple[float, float]:
    """(score, threshold) of the best of `candidates`, one for all series."""
    return max((score(suite, threshold), threshold) for threshold in candidates)
