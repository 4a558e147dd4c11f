"""From surging keys to alerts: one alert for one attack, however many keys it touches.

An attack shows under its category, its link domain, its community and the pairs of these, on
several shards. Keys that surge together belong together when they share a signature or their
authors; the alert is named after the narrowest key that holds most of the excess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

import msgspec

from events.messages import Alert, AlertKey, AlertSeverity, AlertState
from operators.incident import Incident
from operators.sketch import DistinctSketch
from operators.surge_settings import KeySurge, Odd
from policy.policy import Policy

LEVELS: Final[tuple[AlertSeverity, ...]] = ("warning", "warning", "error", "error", "critical")
"""Severity of a surge by the policy's severity of its category, from 1."""
MAX_TEXTS: Final = 3


SeverityOf: TypeAlias = Callable[[AlertKey], AlertSeverity]


def severity_by(policy: Callable[[], Policy]) -> SeverityOf:
    """Severity of a surge by the policy in force: that of its category there, else `error`."""

    def severity_of(key: AlertKey) -> AlertSeverity:
        category = key.category.removeprefix("report:")
        treatment = policy().categories(key.community).get(category)
        return LEVELS[treatment.severity - 1] if treatment else "error"

    return severity_of


def rated(alert: Alert, severity_of: SeverityOf) -> Alert:
    """`alert` with its severity."""
    return msgspec.structs.replace(alert, severity=severity_of(alert.key))


class ShardReport(NamedTuple):
    """What changed on a shard, which has closed all windows before `through` (Unix seconds)."""

    shard: str
    through: float
    changes: tuple[KeySurge, ...]
    odd: Mapping[Odd, int] = {}
    """Events since the last report that were not simply counted, by why."""


@dataclass(slots=True)
class AlertGrouper:
    """Groups the surges of all shards into alerts, yet to be `rated`, and follows each to its end.

    Changes wait until every one of the `shards` has closed their window, so that the outcome does
    not depend on which shard is faster. A finished alert lingers for `linger` seconds of event time
    before it is resolved, so that one that flares up again stays the same alert.
    """

    shards: int
    linger: float = 300.0
    min_shared_authors: float = 0.3
    growth: float = 2.0
    """How many times what was said before makes an update."""
    _through: dict[str, float] = field(default_factory=dict)
    _waiting: list[KeySurge] = field(default_factory=list)
    _incidents: list[Incident] = field(default_factory=list)

    def observe(self, report: ShardReport) -> list[Alert]:
        """Take a shard's report: the alerts that can be said now, in the order of their windows."""
        self._waiting += report.changes
        self._through[report.shard] = report.through
        if len(self._through) < self.shards:
            return []
        return self._say_through(min(self._through.values()))

    def finish(self) -> list[Alert]:
        """Say everything and resolve every alert: the stream is over."""
        return self._say_through(math.inf)

    def _say_through(self, through: float) -> list[Alert]:
        due = sorted(
            (change for change in self._waiting if change.window_end <= through),
            key=lambda change: (change.window_end, change.key),
        )
        self._waiting = [change for change in self._waiting if change.window_end > through]
        alerts: list[Alert] = []
        for end in sorted({change.window_end for change in due}):
            alerts += self._resolve_before(end)
            alerts += self._take([change for change in due if change.window_end == end])
        return alerts + self._resolve_before(through)

    def _resolve_before(self, now: float) -> list[Alert]:
        over = [i for i in self._incidents if i.over_at + self.linger <= now]
        self._incidents = [i for i in self._incidents if i.over_at + self.linger > now]
        return [self._alert(incident, "resolved") for incident in over]

    def _take(self, changes: Sequence[KeySurge]) -> list[Alert]:
        """The alerts of one window, whose changes are all here."""
        alerts: list[Alert] = []
        fresh: list[KeySurge] = []
        grown: dict[str, Incident] = {}
        # What is known already first: a new key is compared with where its alert stands now.
        for change in sorted(changes, key=lambda change: change.state == "open"):
            incident = self._incident_of(change)
            if incident is not None:
                incident.take(change)
                if change.state != "resolved":
                    grown[incident.alert_id] = incident
            elif change.state == "open":
                fresh.append(change)
        for incident in grown.values():
            # Once all of the window is known: two of its keys with news are one message.
            if incident.has_news(self.growth):
                incident.tell()
                alerts.append(self._alert(incident, "update"))
        # The strongest first: what belongs to it joins it.
        groups: list[list[KeySurge]] = []
        for change in sorted(fresh, key=lambda c: (c.expected - c.observed, c.key)):
            for group in groups:
                if any(self._related(change, member) for member in group):
                    group.append(change)
                    break
            else:
                groups.append([change])
        return alerts + [self._open(group) for group in groups]

    def _incident_of(self, change: KeySurge) -> Incident | None:
        for incident in self._incidents:
            if change.key in incident.members:
                return incident
        if change.state != "open":
            return None
        for incident in self._incidents:
            for member in incident.members.values():
                # A broad key holds every attack in it: only as the alert's own name does it take
                # others in.
                named = member.key == incident.primary.key
                if (named or not _is_broader(member.key, change.key)) and self._related(
                    change, member
                ):
                    return incident
        return None

    def _related(self, a: KeySurge, b: KeySurge) -> bool:
        if a.key.signature and a.key.signature == b.key.signature:
            return True
        if _are_wordings(a.key, b.key) and abs(a.opened_at - b.opened_at) <= self.linger:
            return True
        shared = DistinctSketch(hashes=a.authors).overlap(DistinctSketch(hashes=b.authors))
        return shared >= self.min_shared_authors

    def _open(self, group: list[KeySurge]) -> Alert:
        incident = Incident.of(group)
        self._incidents.append(incident)
        return self._alert(incident, "open")

    def _alert(self, incident: Incident, state: AlertState) -> Alert:
        surge = incident.primary
        # As it stands now: the end tells the whole of it.
        top = incident.members[incident.top.key] if incident.top is not None else None
        authors = DistinctSketch(hashes=surge.authors).count()
        return Alert(
            alert_id=incident.alert_id,
            kind="surge",
            state=state,
            severity="error",
            key=surge.key,
            window_start=_instant(surge.opened_at),
            window_end=_instant(surge.window_end),
            observed=float(surge.observed),
            expected=round(surge.expected, 3),
            z_score=round(surge.z_score, 3),
            distinct_authors=authors,
            examples=tuple(example.content_id for example in surge.examples),
            summary=_summary(surge, authors, len(incident.members), top),
            texts=tuple(example.text for example in surge.examples if example.text)[:MAX_TEXTS],
            recent=surge.recent,
            last_hour=surge.last_hour,
            last_day=surge.last_day,
        )


def _summary(surge: KeySurge, authors: int, keys: int, top: KeySurge | None) -> str:
    minutes = (surge.window_end - surge.opened_at) / 60
    since = _instant(surge.opened_at).strftime("%Y-%m-%d %H:%M UTC")
    surge_of = f"Surge of {_named(surge.key)}: {surge.observed} in {minutes:.0f} min"
    against = f" where {surge.expected:.1f} were expected"
    parts = [surge_of + against, f"by about {authors} authors", f"since {since}"]
    if keys > 1:
        parts.append(f"seen under {keys} keys")
    if top is not None and surge.key.signature:
        parts.append(f"by now {top.observed} of {_named(top.key)}")
    elif top is not None:
        parts.append(f"most of it {top.key.signature} ({top.observed})")
    if surge.changed:
        parts.append(f"shortly after a change: {surge.changed}")
    return ", ".join(parts)


def _named(key: AlertKey) -> str:
    sharing = f" sharing {key.signature}" if key.signature else ""
    return key.category + sharing + (f" in {key.community}" if key.community else "")


def _are_wordings(a: AlertKey, b: AlertKey) -> bool:
    """One campaign that is paraphrased falls into several clusters, of other authors at first."""
    return a.category == b.category and all(key.signature.startswith("text:") for key in (a, b))


def _is_broader(a: AlertKey, b: AlertKey) -> bool:
    return (
        a != b
        and a.category == b.category
        and a.signature in ("", b.signature)
        and a.community in ("", b.community)
    )


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
