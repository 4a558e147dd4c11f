"""The console's view of ClickHouse, a server or the embedded engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Protocol

import msgspec

from connectors.clickhouse_rows import in_utc
from console import appeals
from console.data import SECOND_ANSWERS, Key, Overview, RuleCount, WaitingItem
from events.messages import ACTIONS, Alert, AlertKey, Appeal, Decision, Signal
from policy import review
from policy.policies import Policies

QUEUE_DAYS = 14
"""Older items have been settled by time: appeals are the way to reopen them."""
STEPS_S = (60, 300, 900, 3600, 21600)
MAX_STEPS = 400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A clock that runs ahead somewhere must not empty the queue and the page.
_NEWEST = """
    SELECT max(minute) AS newest FROM moderation.decisions_by_minute
    WHERE mode = 'live' AND minute <= now()
"""
# A sample of what was allowed is chosen by zlib's CRC-32 of the id, as `operators.decide` does.
# What a user reports is no answer.
_WAITING = """
    FROM moderation.moderation_logs FINAL
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND mode = 'live' AND final
        AND (action = 'review' OR (action = 'allow' AND CRC32(content_id) < {sample:UInt64}))
        AND (content_id, revision) NOT IN
        (
            SELECT content_id, revision
            FROM moderation.human_labels FINAL
            WHERE source != 'user_report'
            GROUP BY content_id, revision
            HAVING countIf(reviewer_id = {reviewer:String}) > 0
                OR uniqExact(reviewer_id) >= if(CRC32(content_id) % {second:UInt32} = 0, 2, 1)
        )
"""
_QUEUE = (
    "SELECT *"
    + _WAITING
    + """
    ORDER BY scores[category]
        + transform(toString(category), {categories:Array(String)}, {severities:Array(Float64)}, 0.)
        DESC, created_at, content_id
    LIMIT {limit:UInt32}
"""
)
# What waits and is appealed, perhaps twice, is one item.
_KEYS = "SELECT content_id, revision"
_COUNT = (
    f"SELECT count() AS waiting FROM ({_KEYS}{_WAITING}"  # noqa: S608 (made of constants)
    f"UNION DISTINCT {_KEYS}{appeals.OPEN})"
)
_TEXTS = """
    SELECT content_id, revision, text, length(image_ids) AS images FROM moderation.content FINAL
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND content_id IN {ids:Array(String)}
"""
_VOLUME = """
    SELECT toStartOfInterval(minute, toIntervalSecond({step:UInt32})) AS time, action, category,
        uniqMerge(decisions) AS decisions
    FROM moderation.decisions_by_minute
    WHERE mode = 'live' AND minute >= {since:DateTime('UTC')} AND minute < {until:DateTime('UTC')}
    GROUP BY time, action, category
"""
_LATENCY = """
    SELECT toStartOfInterval(created_at, toIntervalSecond({step:UInt32})) AS time,
        quantiles(0.5, 0.99)(latency_ms) AS latency
    FROM moderation.moderation_logs
    WHERE mode = 'live' AND final
        AND created_at >= {since:DateTime('UTC')} AND created_at < {until:DateTime('UTC')}
    GROUP BY time
"""
_RULES = """
    SELECT rule, any(stage) AS stage, category,
        countIf(action = 'review') AS reviewed, countIf(action = 'block') AS blocked
    FROM moderation.moderation_logs FINAL
    WHERE mode = 'live' AND final AND rule != '' AND action != 'allow'
        AND created_at >= {since:DateTime('UTC')} AND created_at < {until:DateTime('UTC')}
    GROUP BY rule, category
    ORDER BY reviewed + blocked DESC, rule
    LIMIT 12
"""
_ALERTS = """
    SELECT * EXCEPT inserted_at
    FROM
    (
        SELECT * FROM moderation.surge_alerts FINAL
        UNION ALL
        SELECT * FROM moderation.drift_alerts FINAL
    )
    WHERE window_end >= {since:DateTime('UTC')} AND window_start < {until:DateTime('UTC')}
    ORDER BY window_end DESC
    LIMIT 500
"""


class Client(Protocol):
    """A client as `connectors.clickhouse.connect` gives it."""

    def query(self, query: str, parameters: dict[str, Any], /) -> Any:
        """A result with `named_results`."""
        ...


class ClickHouseStore:
    """Reads what waits for a person and how the stream does.

    `policies`, those in force, give the severities that order the queue and say which allowed
    contents are sampled.
    One query runs at a time: the embedded engine wants it so, and a console has few readers.
    """

    def __init__(self, client: Client, policies: Callable[[], Policies]) -> None:
        self._client = client
        self._policies = policies
        self._lock = Lock()

    def waiting(self, limit: int, reviewer: str) -> list[WaitingItem]:
        """Items that want an answer and have none of `reviewer`.

        The highest priority first, the oldest among equals.
        """
        categories = self._policies().live.file.categories
        chosen = self._chosen(reviewer)
        rows = self._query(
            _QUEUE,
            **chosen,
            limit=limit,
            categories=list(categories),
            severities=[float(treatment.severity) for treatment in categories.values()],
        )
        appealed = {
            _key(row): _appeal(row) for row in self._query(appeals.OLDEST, **chosen, limit=limit)
        }
        rows = [row for row in rows if _key(row) not in appealed]
        decided = self._of(appeals.DECISIONS, ids=[content_id for content_id, _ in appealed])
        rows += [decided[key] for key in appealed if key in decided]
        oldest = min((row["created_at"] for row in rows), default=chosen["since"])
        contents = self._of(_TEXTS, ids=[row["content_id"] for row in rows], since=oldest)
        items = [
            self._item(_decision(row), contents.get(_key(row), {}), appealed.get(_key(row)))
            for row in rows
        ]
        # The database orders by the policy's own severities; a community may have others.
        return sorted(items, key=lambda item: -item.priority)[:limit]

    def count_waiting(self) -> int:
        """How many items want an answer."""
        (row,) = self._query(_COUNT, **self._chosen(""))
        return int(row["waiting"])

    def overview(self, hours: float) -> Overview:
        """The last `hours` before the newest decision, in at most `MAX_STEPS` steps."""
        step = next((s for s in STEPS_S if hours * 3600 / s <= MAX_STEPS), STEPS_S[-1])
        until = _ceiling(self._newest(), step)
        since = until - timedelta(seconds=math.ceil(hours * 3600 / step) * step)
        bounds = {"since": since, "until": until}
        times = [
            since + timedelta(seconds=offset)
            for offset in range(0, int((until - since).total_seconds()), step)
        ]
        step_of = {time: index for index, time in enumerate(times)}
        volume: dict[str, list[int]] = {action: [0] * len(times) for action in ACTIONS}
        decisions: dict[tuple[str, str], int] = {}
        for row in self._query(_VOLUME, step=step, **bounds):
            volume[row["action"]][step_of[in_utc(row["time"])]] += row["decisions"]
            outcome = row["action"], row["category"]
            decisions[outcome] = decisions.get(outcome, 0) + row["decisions"]
        latency = {
            in_utc(row["time"]): row["latency"]
            for row in self._query(_LATENCY, step=step, **bounds)
        }
        nothing = (math.nan, math.nan)
        return Overview(
            **bounds,
            times=times,
            volume=volume,
            decisions=decisions,
            latency_p50_ms=[latency.get(time, nothing)[0] for time in times],
            latency_p99_ms=[latency.get(time, nothing)[1] for time in times],
            rules=[RuleCount(**row) for row in self._query(_RULES, **bounds)],
            alerts=[_alert(row) for row in reversed(self._query(_ALERTS, **bounds))],
        )

    def _chosen(self, reviewer: str) -> dict[str, Any]:
        """The parameters of `_WAITING`; "" is no reviewer."""
        return {
            "since": self._newest() - timedelta(days=QUEUE_DAYS),
            "sample": int(self._policies().live.file.sample_rate * 2**32),
            "second": SECOND_ANSWERS,
            "reviewer": reviewer,
        }

    def _newest(self) -> datetime:
        """The newest minute with a live decision; the beginning of time in an empty store."""
        rows = self._query(_NEWEST)
        return max(in_utc(rows[0]["newest"]), EPOCH + timedelta(days=365))

    def _query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._client.query(sql, parameters).named_results())

    def _of(self, sql: str, *, ids: Sequence[str], **parameters: Any) -> dict[Key, dict[str, Any]]:
        """Rows about the contents with these ids, by content and revision."""
        rows = self._query(sql, ids=ids, **parameters) if ids else []
        return {_key(row): row for row in rows}

    def _item(
        self, decision: Decision, content: Mapping[str, Any], appeal: Appeal | None
    ) -> WaitingItem:
        policy = self._policies().for_author(decision.author_id)
        return WaitingItem(
            decision=decision,
            text=content.get("text", ""),
            priority=review.priority(decision, policy),
            reason="appeal" if appeal else review.reason(decision, policy),
            images=content.get("images", 0),
            appeal=appeal,
        )


def _key(row: Mapping[str, Any]) -> Key:
    return row["content_id"], row["revision"]


def _decision(row: Mapping[str, Any]) -> Decision:
    return Decision(
        decision_id=row["decision_id"],
        content_id=row["content_id"],
        revision=row["revision"],
        author_id=row["user_id"],
        community=row["community"],
        kind=row["kind"],
        action=row["action"],
        category=row["category"],
        scores=dict(row["scores"]),
        signals=msgspec.json.decode(row["signals"] or "[]", type=tuple[Signal, ...]),
        final=bool(row["final"]),
        mode=row["mode"],
        degraded=tuple(row["degraded"]),
        policy_version=row["policy_version"],
        ruleset_version=row["ruleset_version"],
        model_versions=dict(row["model_versions"]),
        created_at=in_utc(row["created_at"]),
        decided_at=in_utc(row["timestamp"]),
        latency_ms=row["latency_ms"],
    )


def _appeal(row: Mapping[str, Any]) -> Appeal:
    known = {name: row[name] for name in Appeal.__struct_fields__ if name != "resolved_at"}
    return Appeal(**known | {"appealed_at": in_utc(row["appealed_at"])})


def _alert(row: Mapping[str, Any]) -> Alert:
    return Alert(
        alert_id=row["alert_id"],
        kind=row["kind"],
        state=row["state"],
        severity=row["severity"],
        key=AlertKey(row["category"], row["signature"], row["community"]),
        window_start=in_utc(row["window_start"]),
        window_end=in_utc(row["window_end"]),
        observed=row["observed"],
        expected=row["expected"],
        z_score=row["z_score"],
        distinct_authors=row["distinct_authors"],
        examples=tuple(row["examples"]),
        summary=row["summary"],
    )


def _ceiling(time: datetime, step: int) -> datetime:
    """The first multiple of `step` seconds after the minute that begins at `time`."""
    seconds = int(time.timestamp()) + 60
    return datetime.fromtimestamp(-(-seconds // step) * step, UTC)
