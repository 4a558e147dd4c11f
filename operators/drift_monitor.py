"""Whether what the models see and say is still what it was.

The means of some numbers over blocks of contents (scores, the share sent to people, the look of the
texts) are compared with the usual of the hour and watched by ADWIN (Bifet and Gavaldà, "Learning
from time-changing data with adaptive windowing", SDM 2007): for all content, for each large
community, and for the small ones together. When a mean has moved, the contents that moved it tell
why: few clusters or few authors are a viral attack, many are drift of the model or of the language.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

from river.drift import ADWIN

from events.identity import alert_id
from events.messages import Alert, AlertKey, AlertState
from operators.rhythm import DAY, Rhythm

ALL: Final = "*"
"""The group of all content."""
NICHE: Final = "niche"
"""The group of all small communities."""


class DriftSample(NamedTuple):
    """What one content says about drift; `at` in Unix seconds, `values` by series name."""

    at: float
    community: str
    author_id: str
    content_id: str
    cluster: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """When a change is drift."""

    block: int = 200
    """Contents whose mean is one observation."""
    delta: float = 1e-5
    """ADWIN's probability of a false alarm."""
    min_effect: float = 0.25
    """Least change, relative to the usual value."""
    min_change: float = 0.01
    """Least change in the series' own unit, for series that are usually near 0."""
    warm_up: int = 30
    """Blocks of a group that are learned from first."""
    recent: int = 800
    """Contents of a group that are looked at to tell why."""
    viral_share: float = 0.3
    """Share of one cluster, or of authors with several contents, that makes a viral attack."""
    settle: int = 50
    """Blocks without a further change after which drift is over: the new is the usual."""
    groups: int = 20
    """Communities large enough to be watched on their own."""


class Change(NamedTuple):
    """By how much a mean has moved, in its own unit and in standard deviations of a block mean."""

    size: float
    z_score: float


NONE: Final = Change(0.0, 0.0)


class Series:
    """The block means of one number in one group, as departures from the usual of the hour."""

    __slots__ = ("_adwin", "_delta", "_deviation", "_means", "_rhythm", "_seen", "usual")

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._adwin = _adwin(delta)
        self._rhythm = Rhythm(DAY, 24)
        self._means: deque[float] = deque(maxlen=48)
        self._deviation = 0.0
        self._seen = 0
        self.usual = 0.0
        """What the last mean was compared with."""

    def update(self, at: float, mean: float) -> Change:
        """The change of the mean that has just been found, of size 0 for none."""
        known = self._rhythm.usual(at, mean, periods=2)
        self._rhythm.learn(at, mean)
        if known is None:
            return NONE
        self.usual = known
        departure = mean - known
        self._means.append(departure)
        spread = self._spread(departure)
        # ADWIN's bound is made for numbers about as wide as 1.
        self._adwin.update(departure / max(1e-9, spread))
        if not self._adwin.drift_detected:
            return NONE
        means = list(self._means)
        newest, before = means[-6:], means[:-6]
        if len(before) < 2:
            return NONE
        size = fmean(newest) - fmean(before)
        # From here on the new is the usual: the way back would be another drift.
        self._rhythm.shift(size)
        self._means.clear()
        self._adwin = _adwin(self._delta)
        return Change(size, size / max(1e-9, stdev(before)))

    def _spread(self, departure: float) -> float:
        """The standard deviation of the departures so far, of which outliers are a small part."""
        self._seen += 1
        size = abs(departure)
        if self._seen > 10:
            size = min(size, 3 * self._deviation)
        self._deviation += max(1 / self._seen, 0.02) * (size - self._deviation)
        return 1.2533 * self._deviation


def _adwin(delta: float) -> Any:
    return ADWIN(  # type: ignore[no-untyped-call]  # river has no types
        delta=delta, clock=1, min_window_length=5, grace_period=10
    )


@dataclass(slots=True)
class _Drift:
    alert_id: str
    opened_at: float
    series: str
    observed: float
    expected: float
    z_score: float
    viral: bool
    authors: int
    examples: tuple[str, ...]
    cause: str
    calm: int = 0


@dataclass(slots=True)
class _Group:
    recent: deque[DriftSample]
    sums: Counter[str] = field(default_factory=Counter)
    count: int = 0
    blocks: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    drift: _Drift | None = None


class DriftMonitor:
    """Watches all groups; picklable, so its snapshot is a copy."""

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._groups: dict[str, _Group] = {}
        self._sizes: Counter[str] = Counter()

    def observe(self, samples: Sequence[DriftSample]) -> list[Alert]:
        """Take samples in the order of time: the alerts that opened, changed or ended."""
        alerts: list[Alert] = []
        for sample in samples:
            for name in (ALL, self._group_of(sample.community)):
                group = self._groups.get(name)
                if group is None:
                    group = self._groups[name] = _Group(deque(maxlen=self._settings.recent))
                group.recent.append(sample)
                group.count += 1
                group.sums.update(sample.values)
                if group.count >= self._settings.block:
                    alerts += self._close_block(name, group, sample.at)
        return alerts

    def _group_of(self, community: str) -> str:
        if community in self._groups:
            return community
        self._sizes[community] += 1
        watched = len(self._groups) - (ALL in self._groups) - (NICHE in self._groups)
        if self._sizes[community] >= 20 * self._settings.block and watched < self._settings.groups:
            del self._sizes[community]
            return community
        if len(self._sizes) > 10_000:
            # Lossy counting: the rare half makes room.
            self._sizes = Counter(dict(self._sizes.most_common(5_000)))
        return NICHE

    def _close_block(self, name: str, group: _Group, at: float) -> list[Alert]:
        means = {series: total / group.count for series, total in group.sums.items()}
        group.sums.clear()
        group.count = 0
        group.blocks += 1
        moved: list[tuple[float, str, Change]] = []
        for key, mean in means.items():
            series = group.series.get(key)
            if series is None:
                series = group.series[key] = Series(self._settings.delta)
            change = series.update(at, mean)
            least = max(self._settings.min_change, self._settings.min_effect * abs(series.usual))
            if abs(change.size) >= least:
                moved.append((abs(change.size) / least, key, change))
        if group.blocks <= self._settings.warm_up:
            moved = []
        return self._follow(name, group, at, moved)

    def _follow(
        self, name: str, group: _Group, at: float, moved: list[tuple[float, str, Change]]
    ) -> list[Alert]:
        drift = group.drift
        if not moved:
            if drift is None:
                return []
            drift.calm += 1
            if drift.calm < self._settings.settle:
                return []
            group.drift = None
            return [_alert(name, drift, "resolved", at)]
        if drift is not None:
            # Other numbers move with the first: the same drift.
            drift.calm = 0
            return []
        _, key, change = max(moved)
        group.drift = self._explained(name, group, at, key, change)
        return [_alert(name, group.drift, "open", at)]

    def _explained(self, name: str, group: _Group, at: float, key: str, change: Change) -> _Drift:
        """Who moved the mean: the recent contents beyond it, by cluster and by author."""
        usual = group.series[key].usual
        sign = math.copysign(1.0, change.size)
        movers = [
            sample
            for sample in list(group.recent)[-4 * self._settings.block :]
            if sign * (sample.values.get(key, usual) - usual) > abs(change.size)
        ]
        clusters = Counter(sample.cluster for sample in movers if sample.cluster)
        authors = Counter(sample.author_id for sample in movers)
        total = max(1, len(movers))
        top_cluster = sum(count for _, count in clusters.most_common(1)) / total
        # Of a few contents a few authors always hold much: only those with several tell something.
        busy_authors = sum(count for count in authors.values() if count >= 3) / total
        viral = len(movers) >= 10 and max(top_cluster, busy_authors) >= self._settings.viral_share
        if viral:
            cause = (
                f"a viral attack, not the model: one cluster holds {top_cluster:.0%} and"
                f" authors with several posts {busy_authors:.0%} of what moved it"
            )
        else:
            cause = f"the model or the language: spread over {len(clusters)} clusters"
        group_key = _key(name, key)
        return _Drift(
            alert_id=alert_id("drift", group_key, datetime.fromtimestamp(at, UTC)),
            opened_at=at,
            series=key,
            observed=usual + change.size,
            expected=usual,
            z_score=change.z_score,
            viral=viral,
            authors=len(authors),
            examples=tuple(sample.content_id for sample in movers[-5:]),
            cause=cause,
        )


def _key(group: str, series: str) -> AlertKey:
    return AlertKey(series.removeprefix("score:"), "", "" if group == ALL else group)


def _alert(group: str, drift: _Drift, state: AlertState, at: float) -> Alert:
    where = "all content" if group == ALL else group
    return Alert(
        alert_id=drift.alert_id,
        kind="drift",
        state=state,
        severity="info" if drift.viral else "warning",
        key=_key(group, drift.series),
        window_start=datetime.fromtimestamp(drift.opened_at, UTC),
        window_end=datetime.fromtimestamp(at, UTC),
        observed=round(drift.observed, 6),
        expected=round(drift.expected, 6),
        z_score=round(drift.z_score, 3),
        distinct_authors=drift.authors,
        examples=drift.examples,
        summary=(
            f"Drift of {drift.series} in {where}: a mean of {drift.observed:.3f} where"
            f" {drift.expected:.3f} was usual; {drift.cause}"
        ),
    )
