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
from typing import Final, NamedTuple

from events.identity import alert_id
from events.messages import Alert, AlertKey, AlertState
from operators.drift_series import Change, Series
from operators.sliding import VersionLog

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
    versions: tuple[tuple[str, str], ...] = ()
    """Name and version of the policy, the rules and the models that decided it."""


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
    fresh: float = 86_400.0
    """Seconds before a drift began in which a version that changed is named."""


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
    count: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)
    """By series: the sum of its values in the block that is being filled, and their number."""
    series: dict[str, Series] = field(default_factory=dict)
    drift: _Drift | None = None


class DriftMonitor:
    """Watches all groups; picklable, so its snapshot is a copy."""

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._groups: dict[str, _Group] = {}
        self._sizes: Counter[str] = Counter()
        self._versions = VersionLog()

    def observe(self, samples: Sequence[DriftSample]) -> list[Alert]:
        """Take samples in the order of time: the alerts that opened, changed or ended."""
        alerts: list[Alert] = []
        for sample in samples:
            self._versions.observe(sample.at, dict(sample.versions))
            for name in (ALL, self._group_of(sample.community)):
                group = self._groups.get(name)
                if group is None:
                    group = self._groups[name] = _Group(deque(maxlen=self._settings.recent))
                alerts += self._take(name, group, sample)
        return alerts

    def finish(self) -> list[Alert]:
        """The ends of all drifts: the stream is over."""
        alerts = []
        for name, group in self._groups.items():
            if group.drift is not None:
                alerts.append(_alert(name, group.drift, "resolved", group.recent[-1].at))
                group.drift = None
        return alerts

    def _group_of(self, community: str) -> str:
        if community in (ALL, NICHE):
            # Of that name: as a group it would stand for others, and count twice in `ALL`.
            return NICHE
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

    def _take(self, name: str, group: _Group, sample: DriftSample) -> list[Alert]:
        settings = self._settings
        group.recent.append(sample)
        group.count += 1
        moved: list[tuple[float, str, Change]] = []
        sums, block = group.sums, settings.block
        for key, value in sample.values.items():
            so_far = sums.get(key)
            if so_far is None:
                so_far = sums[key] = [0.0, 0]
            so_far[0] += value
            so_far[1] += 1
            if so_far[1] < block:
                continue
            del sums[key]
            series = group.series.get(key)
            if series is None:
                series = group.series[key] = Series(settings.delta)
            change = series.add(sample.at, so_far[0] / block)
            if change.size:
                least = max(settings.min_change, settings.min_effect * abs(series.usual))
                moved.append((abs(change.size) / least, key, change))
        moved = [move for move in moved if move[0] >= 1]
        if moved and group.count > settings.warm_up * settings.block:
            return self._found(name, group, sample.at, max(moved))
        if group.count % settings.block == 0:
            return self._calm(name, group, sample.at)
        return []

    def _found(
        self, name: str, group: _Group, at: float, move: tuple[float, str, Change]
    ) -> list[Alert]:
        if group.drift is not None:
            # Other numbers move with the first: the same drift.
            group.drift.calm = 0
            return []
        _, key, change = move
        group.drift = self._explained(name, group, key, change)
        return [_alert(name, group.drift, "open", at)]

    def _calm(self, name: str, group: _Group, at: float) -> list[Alert]:
        drift = group.drift
        if drift is None:
            return []
        drift.calm += 1
        if drift.calm < self._settings.settle:
            return []
        group.drift = None
        return [_alert(name, drift, "resolved", at)]

    def _explained(self, name: str, group: _Group, key: str, change: Change) -> _Drift:
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
        changed = self._versions.change_before(change.began, self._settings.fresh)
        if changed:
            cause += f"; after a change: {changed}"
        group_key = _key(name, key)
        return _Drift(
            alert_id=alert_id("drift", group_key, datetime.fromtimestamp(change.began, UTC)),
            opened_at=change.began,
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
    """The category, or what else drifted; the model, where one model's numbers did; the group."""
    kind, _, rest = series.partition(":")
    model, _, category = rest.rpartition(":")
    community = "" if group == ALL else group
    if kind == "model":
        return AlertKey(category, model, community)
    return AlertKey(rest if kind == "score" else series, "", community)


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
