"""Messages as rows of the tables of `clickhouse/schema.sql`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from events.identity import crc
from events.messages import Alert, Appeal, DeadLetter, Decision, Label, UserReport
from events.reason import deciding_signal, reason
from events.records import Judgement, RuleChange, RuleFileChange

M = TypeVar("M")
Row = tuple[Any, ...]

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""What the tables hold for a time that is not known."""

TRACED_OF = 16
"""The times of the stages are stored for one content in so many: enough for percentiles."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Table(Generic[M]):
    """A table of database `moderation` and how a message becomes rows of it.

    `identity` names the columns that tell rows apart; a second row of one identity replaces the
    first unless its `version` (a column, if the table has it) is lower. `texts` names the columns
    in which users wrote what they liked; a `binary` table has bytes among its values.
    """

    name: str
    identity: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Callable[[M], Iterator[Row]]
    version: str = "version"
    texts: tuple[str, ...] = ()
    binary: bool = False


def in_utc(time: datetime) -> datetime:
    """A time that was read from a table: the driver gives those of the zone UTC without it."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def version(decision: Decision) -> int:
    """The higher one of two decisions on a content wins: live, then final, then the later."""
    live, final = decision.mode == "live", decision.final
    return live << 62 | final << 61 | _milliseconds(decision.decided_at)


@lru_cache
def _milliseconds(at: datetime) -> int:
    """Since 1970. The decisions of a batch have one time."""
    return int(at.timestamp() * 1000)


def _is_traced(content_id: str) -> bool:
    # A digest of the id rather than chance: a replay traces the same contents.
    return crc(content_id) % TRACED_OF == 0


def _content(judgement: Judgement) -> Iterator[Row]:
    content, decision = judgement.content, judgement.decision
    if decision.frames:
        # On a video: its frames are contents, with rows of their own.
        return
    yield (
        content.content_id,
        content.revision,
        content.created_at,
        content.author_id,
        content.author_created_at or UNKNOWN_TIME,
        content.kind,
        content.community,
        content.language,
        content.parent_id,
        content.text,
        [image.image_id for image in content.images] if content.images else [],
        [image.uri or "" for image in content.images] if content.images else [],
        decision.action,
        decision.decided_at,
        version(decision),
    )


def _decision(judgement: Judgement) -> Iterator[Row]:
    content, decision = judgement.content, judgement.decision
    signal = deciding_signal(decision)
    scores, signals = decision.scores, decision.signals
    top = max(scores, key=scores.__getitem__, default="")
    yield (
        decision.decision_id,
        decision.content_id,
        decision.revision,
        decision.author_id,
        decision.community,
        decision.kind,
        decision.action,
        decision.category,
        reason(decision),
        signal.stage if signal else "",
        signal.rule if signal else "",
        top,
        scores.get(top, 0.0),
        scores,
        list(dict.fromkeys([each.rule for each in signals])) if signals else [],
        _encode(signals).decode() if signals else "[]",
        decision.final,
        decision.mode,
        decision.degraded,
        decision.policy_version,
        decision.ruleset_version,
        decision.model_versions,
        decision.created_at,
        content.author_created_at or UNKNOWN_TIME,
        content.language,
        decision.decided_at,
        decision.latency_ms,
        judgement.stage_ms if _is_traced(decision.content_id) else {},
        version(decision),
    )


def _outputs(judgement: Judgement) -> Iterator[Row]:
    content = judgement.content
    for output in judgement.outputs:
        yield (
            content.content_id,
            content.revision,
            output.model,
            output.version,
            output.prediction,
            output.confidence,
            output.scores,
            content.created_at,
        )


def _fields(*names: str) -> Callable[[Any], Iterator[Row]]:
    """Makes a message one row of its fields `names`, a dot leading into a field's own."""
    pick = attrgetter(*names)
    return lambda message: iter((pick(message),))


def _appeal(appeal: Appeal) -> Iterator[Row]:
    for *known, resolved_at in _fields(*_APPEAL_COLUMNS)(appeal):
        yield (*known, resolved_at or UNKNOWN_TIME)


def _rule_change(change: RuleChange) -> Iterator[Row]:
    # A rollback to equal rules changes no file: it is logged all the same.
    for file in change.files or (RuleFileChange(file="", entries=0),):
        yield (
            change.change_id,
            change.push,
            change.action,
            file.file,
            file.entries,
            file.rules,
            file.expires or UNKNOWN_TIME,
            change.author,
            change.reason,
            change.ruleset_version,
            change.changed_at,
        )


CONTENT = Table[Judgement](
    "content",
    ("content_id", "revision"),
    (
        "content_id", "revision", "created_at", "author_id", "author_created_at", "kind",
        "community", "language", "parent_id", "text", "image_ids", "image_uris", "action",
        "decided_at", "version",
    ),
    _content,
    texts=("text",),
)  # fmt: skip

MODERATION_LOGS = Table[Judgement](
    "moderation_logs",
    ("content_id", "revision", "mode"),
    (
        "decision_id", "content_id", "revision", "user_id", "community", "kind", "action",
        "category", "reason", "stage", "rule", "top_category", "top_score", "scores", "rules",
        "signals", "final", "mode", "degraded", "policy_version", "ruleset_version",
        "model_versions", "created_at", "author_created_at", "language", "timestamp",
        "latency_ms", "stage_ms", "version",
    ),
    _decision,
)  # fmt: skip

MODEL_OUTPUTS = Table[Judgement](
    "model_outputs",
    ("content_id", "revision", "model", "model_version"),
    (
        "content_id", "revision", "model", "model_version", "model_prediction", "confidence",
        "scores", "created_at",
    ),
    _outputs,
)  # fmt: skip

HUMAN_LABELS = Table[Label](
    "human_labels",
    ("label_id",),
    (
        "label_id", "content_id", "revision", "true_label", "action", "reviewer_id", "source",
        "labeled_at",
    ),
    _fields(
        "label_id", "content_id", "revision", "category", "action", "reviewer_id", "source",
        "labeled_at",
    ),
    version="labeled_at",
)  # fmt: skip

_REPORT_COLUMNS = (
    "report_id", "content_id", "reporter_id", "category", "reason", "reported_at",
)  # fmt: skip
USER_REPORTS = Table[UserReport](
    "user_reports",
    ("content_id", "report_id"),
    _REPORT_COLUMNS,
    _fields(*_REPORT_COLUMNS),
    version="reported_at",
    texts=("reason",),
)

_APPEAL_COLUMNS = (
    "appeal_id", "content_id", "revision", "decision_id", "user_id", "category", "policy_version",
    "statement", "state", "reviewer_id", "appealed_at", "resolved_at",
)  # fmt: skip
APPEALS = Table[Appeal](
    "appeals",
    ("appeal_id",),
    _APPEAL_COLUMNS,
    _appeal,
    version="resolved_at",
    texts=("statement",),
)

_ALERT_IDENTITY = ("alert_id", "state", "window_end")
_ALERT_COLUMNS = (
    "alert_id", "kind", "state", "severity", "category", "signature", "community", "window_start",
    "window_end", "observed", "expected", "z_score", "distinct_authors", "examples", "summary",
)  # fmt: skip
_alert = _fields(
    "alert_id", "kind", "state", "severity", "key.category", "key.signature", "key.community",
    "window_start", "window_end", "observed", "expected", "z_score", "distinct_authors", "examples",
    "summary",
)  # fmt: skip
SURGE_ALERTS = Table[Alert]("surge_alerts", _ALERT_IDENTITY, _ALERT_COLUMNS, _alert)
DRIFT_ALERTS = Table[Alert]("drift_alerts", _ALERT_IDENTITY, _ALERT_COLUMNS, _alert)

DEAD_LETTERS = Table[DeadLetter](
    "dead_letters",
    ("source_topic", "source_partition", "source_offset", "source_file", "source_line", "raw"),
    (
        "raw", "error", "stage", "source_topic", "source_partition", "source_offset",
        "source_file", "source_line", "failed_at",
    ),
    _fields(
        "raw", "error", "stage", "source.topic", "source.partition", "source.offset", "source.file",
        "source.line", "failed_at",
    ),
    texts=("raw",),
    binary=True,
)  # fmt: skip

RULE_CHANGES = Table[RuleChange](
    "rule_changes",
    ("changed_at", "change_id", "file"),
    (
        "change_id", "push", "action", "file", "entries", "rules", "expires_at", "author", "reason",
        "ruleset_version", "changed_at",
    ),
    _rule_change,
)  # fmt: skip

TABLES: tuple[Table[Any], ...] = (
    CONTENT, MODERATION_LOGS, MODEL_OUTPUTS, HUMAN_LABELS, USER_REPORTS, APPEALS, SURGE_ALERTS,
    DRIFT_ALERTS, DEAD_LETTERS, RULE_CHANGES,
)  # fmt: skip
"""Every table that the job writes."""
