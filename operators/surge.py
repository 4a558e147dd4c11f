"""Surges of violations: counted by key on shards, judged against what is usual, said as alerts.

How a flow wires it, after `decide`, where `judged` is a Stream[Judgement] (repeats already
dropped)::

    violations = op.flat_map_batch("count_violations", judged, surge_events)
    alerts = surge("find_surges", violations, SurgeSettings(), severity_by(policy)).alerts

`surge_events` also emits a clock tick a batch for every shard, made of all content, so that surges
end even when violations stop. A flow over a file leaves `finish_at_eof` on: open windows close and
alerts are resolved at the end. A flow over Kafka turns it off: a stop is not the end of the stream,
and the state goes on from its snapshot.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from events import identity
from events.messages import Alert, AlertKey, Decision, UserReport
from events.records import Judgement, ReportedContent
from operators.alerts import AlertGrouper, SeverityOf, ShardReport, rated
from operators.parcel import Parcel, opened, parcels
from operators.signature import signatures
from operators.sliding import versions_of
from operators.surge_settings import KeySurge, SurgeSettings
from operators.surge_tally import SurgeEvent, Tick
from operators.surge_windows import SurgeState
from policy.personal_data import Redact

SHARDS = tuple(f"shard-{number:02}" for number in range(16))
"""Keys are spread over these: an activation of the engine is a shard and a batch, not a key and a
batch.
"""

EXCERPT: Final = 120
"""Characters of an example's text that an alert shows."""
_UNKNOWN: Final = ReportedContent()
UNSHOWN: Final = frozenset({"csam"})
"""Categories whose texts are shown nowhere."""

ShardItem: TypeAlias = tuple[str, SurgeEvent | Tick]
Lookup: TypeAlias = Callable[[Sequence[str]], Mapping[str, ReportedContent]]
"""What is known of contents, by content id; unknown ones are left out."""


def nothing_known(_: Sequence[str]) -> Mapping[str, ReportedContent]:
    """The lookup without a store."""
    return {}


def surge_events(
    judgements: list[Judgement],
    redact: Redact | None = None,
    policy_version: Callable[[], str] = lambda: "",
) -> list[ShardItem]:
    """What the surge step counts of a batch: (shard, event) for each key of a violation, and ticks.

    `redact` takes out of texts what must not be shown; `policy_version` is that of the policy in
    force. A content counts when it was created, or when it was decided if that was before: a
    device whose clock is ahead must not move the stream's.

    Violations are final, live decisions other than allow. Their keys: the category; with each
    signature; with the community; with the community and the most telling signature. The ticks come
    last and stand at the batch's median creation time.
    """
    if not judgements:
        return []
    items: list[ShardItem] = []
    for judgement in judgements:
        decision = judgement.decision
        if decision.action == "allow" or decision.mode != "live" or not decision.final:
            continue
        at = _event_time(decision)
        text = _excerpt(judgement, redact)
        for key in _keys_of(judgement):
            event = SurgeEvent(key, at, decision.author_id, decision.content_id, text)
            items.append((shard_of(key), event))
    times = [_event_time(judgement.decision) for judgement in judgements]
    return items + _ticks(times, versions_of(judgements[-1].decision, policy_version()))


def _event_time(decision: Decision) -> float:
    return min(decision.created_at, decision.decided_at).timestamp()


def report_events(
    reports: list[UserReport],
    lookup: Lookup = nothing_known,
    now: Callable[[], float] = time.time,
) -> list[ShardItem]:
    """What the surge step counts of users' reports, as `surge_events` does of violations.

    Their keys: `report:` and the category they chose; with the content they are about, as
    `content:` and its id; with each signature of that content; with the community; with the
    community and the most telling signature. Reports carry no text: `lookup` knows the contents.
    The authors that an alert counts are the reporters. A report counts when it was made, or `now`
    (Unix seconds) if that is before.
    """
    if not reports:
        return []
    items: list[ShardItem] = []
    known = lookup([report.content_id for report in reports])
    latest = now()
    times = [min(report.reported_at.timestamp(), latest) for report in reports]
    for report, at in zip(reports, times, strict=True):
        content = known.get(report.content_id, _UNKNOWN)
        for key in _report_keys(report, content):
            event = SurgeEvent(key, at, report.reporter_id, report.content_id)
            items.append((shard_of(key), event))
    return items + _ticks(times)


def _report_keys(report: UserReport, content: ReportedContent) -> list[AlertKey]:
    category = f"report:{report.category}"[:128]
    images = [content.image_uri] if content.image_uri else []
    shared = _signatures(content.hash_rule, content.text, images)
    keys = _keys(category, report.community or content.community, shared)
    return [*keys, AlertKey(category, f"content:{report.content_id}"[:128])]


def _ticks(times: list[float], versions: tuple[tuple[str, str], ...] = ()) -> list[ShardItem]:
    """The clock of every shard, at the median of `times`."""
    minutes = Counter(int(at // 60) for at in times)
    tick = Tick(sorted(times)[len(times) // 2], minutes, versions)
    return [(shard, tick) for shard in SHARDS]


def shard_of(key: AlertKey) -> str:
    """The shard that counts `key`, the same in every process."""
    return identity.shard_of(f"{key.category}\0{key.signature}\0{key.community}", SHARDS)


def _keys(category: str, community: str, shared: Sequence[str]) -> list[AlertKey]:
    keys = [AlertKey(category), *(AlertKey(category, name) for name in shared)]
    if community:
        keys += [AlertKey(category, name, community) for name in ("", *shared[:1])]
    return keys


def _keys_of(judgement: Judgement) -> list[AlertKey]:
    content, decision = judgement.content, judgement.decision
    matched = (signal.rule for signal in decision.signals if signal.stage == "hash")
    images = [image.data or image.uri or "" for image in content.images[:1]]
    shared = _signatures(next(matched, ""), content.text, images)
    return _keys(decision.category, decision.community, shared)


def _signatures(hash_rule: str, text: str, images: Sequence[bytes | str]) -> tuple[str, ...]:
    if hash_rule:
        # Without the distance: copies of one picture are at different ones.
        return f"hash:{hash_rule.rpartition(':')[0]}"[:128], *signatures(text)
    return signatures(text, images)


def _excerpt(judgement: Judgement, redact: Redact | None) -> str:
    # Without the blanks first: behind many of them half an address would be shown.
    text = " ".join(judgement.content.text.split())[: 4 * EXCERPT]
    if not text or judgement.decision.category in UNSHOWN:
        return ""
    # Before it is cut: half an address would not be known as one.
    (text,) = redact([text]) if redact is not None else [text]
    return text[:EXCERPT]


class _CountLogic(StatefulBatchLogic[Parcel[SurgeEvent | Tick], ShardReport, bytes]):
    def __init__(self, settings: SurgeSettings, resume: bytes | None, finish: bool) -> None:
        # S301: the snapshot comes from the recovery store that this job wrote itself.
        self._state = pickle.loads(resume) if resume else SurgeState(settings)  # noqa: S301
        self._finish = finish
        self._told = self._state.odd.copy()

    def on_batch(
        self, received: list[Parcel[SurgeEvent | Tick]]
    ) -> tuple[Iterable[ShardReport], bool]:
        values = opened(received)
        before = self._state.closed_through
        self._state.observe(value for value in values if isinstance(value, SurgeEvent))
        changes: list[KeySurge] = []
        for value in values:
            if isinstance(value, Tick):
                changes += self._state.advance(value)
        through = self._state.closed_through
        return ([self._report(through, changes)] if through > before else []), self.RETAIN

    def on_eof(self) -> tuple[Iterable[ShardReport], bool]:
        if not self._finish:
            return [], self.RETAIN
        return [self._report(float("inf"), self._state.finish())], self.RETAIN

    def _report(self, through: float, changes: Iterable[KeySurge]) -> ShardReport:
        odd = self._state.odd - self._told
        self._told = self._state.odd.copy()
        return ShardReport("", through, tuple(changes), odd)

    def snapshot(self) -> bytes:
        return pickle.dumps(self._state)


class _GroupLogic(StatefulBatchLogic[ShardReport, Alert, bytes]):
    def __init__(self, resume: bytes | None, finish: bool) -> None:
        self._grouper = (
            pickle.loads(resume)  # noqa: S301  the job's own snapshot, as above
            if resume
            else AlertGrouper(len(SHARDS))
        )
        self._finish = finish

    def on_batch(self, values: list[ShardReport]) -> tuple[Iterable[Alert], bool]:
        return [alert for report in values for alert in self._grouper.observe(report)], self.RETAIN

    def on_eof(self) -> tuple[Iterable[Alert], bool]:
        return (self._grouper.finish() if self._finish else []), self.RETAIN

    def snapshot(self) -> bytes:
        return pickle.dumps(self._grouper)


@dataclass(frozen=True)
class SurgeOut:
    """The alerts, and what every shard reports: its events that came late, too, for the metrics."""

    alerts: Stream[Alert]
    reports: Stream[ShardReport]


@operator
def surge(
    step_id: str,
    up: KeyedStream[SurgeEvent | Tick],
    settings: SurgeSettings,
    severity_of: SeverityOf = lambda _: "error",
    finish_at_eof: bool = True,
) -> SurgeOut:
    """Bytewax shell of `SurgeState` and `AlertGrouper`: alerts as they open, grow and end."""

    def shim_count(resume: bytes | None) -> _CountLogic:
        return _CountLogic(settings, resume, finish_at_eof)

    def shim_group(resume: bytes | None) -> _GroupLogic:
        return _GroupLogic(resume, finish_at_eof)

    def shim_report(shard_report: tuple[str, ShardReport]) -> tuple[str, ShardReport]:
        shard, report = shard_report
        return "all", report._replace(shard=shard)

    sent: KeyedStream[Parcel[SurgeEvent | Tick]] = op.flat_map_batch("parcels", up, parcels)
    counted = op.stateful_batch("count", sent, shim_count)
    reports: KeyedStream[Any] = op.map("report", counted, shim_report)
    grouped = op.key_rm("alerts", op.stateful_batch("group", reports, shim_group))
    alerts = op.map("rate", grouped, lambda alert: rated(alert, severity_of))
    return SurgeOut(alerts, op.key_rm("reports", reports))
