"""The messages that cross a boundary: topics, files and tables are made of these alone.

Field names, types and bounds are a contract with other people's programs: add, never rename.
Times are timezone-aware datetimes, written as RFC 3339: a producer's with the offset that it gave,
others in UTC. Scores are probabilities, 0 to 1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

ContentKind = Literal["post", "comment", "message", "profile", "video_frame"]
Action = Literal["allow", "review", "block"]
ACTIONS: Final[tuple[Action, ...]] = ("allow", "review", "block")
"""From the mildest to the strictest."""
Mode = Literal["live", "shadow"]
ReviewReason = Literal["uncertain", "policy", "appeal", "sample"]
LabelSource = Literal["review", "appeal", "golden", "user_report"]
AppealState = Literal["open", "granted", "denied"]
AlertKind = Literal["surge", "drift", "health"]
AlertState = Literal["open", "update", "resolved"]
RuleAction = Literal["push", "remove", "rollback"]
AlertSeverity = Literal["critical", "error", "warning", "info"]

MAX_TEXT_BYTES = 64 * 1024
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGES = 10
MAX_MESSAGE_BYTES = MAX_IMAGES * MAX_IMAGE_BYTES * 4 // 3 + 1024 * 1024
"""A message cannot be larger than ten full images in base64 and the rest of its fields."""

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[str, Meta(max_length=256)]
Instant = Annotated[datetime, Meta(tz=True)]
Revision = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]


def check_text(text: str, field: str = "text") -> None:
    """Raises ValueError: `text`, which `field` holds, is longer than MAX_TEXT_BYTES."""
    # A code point is at most four bytes of UTF-8: most texts need not be encoded.
    if len(text) * 4 > MAX_TEXT_BYTES:
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_TEXT_BYTES:
            raise ValueError(f"`{field}` is {size} bytes long, at most {MAX_TEXT_BYTES} are taken")


def _check_times(*times: datetime | None) -> None:
    for at in times:
        # The tables' DateTime, in which minutes and hours are counted, ends in February 2106.
        if at is not None and not 1970 <= at.year <= 2105:
            raise ValueError(f"{at.isoformat()} is not a time between 1970 and 2105")


class Image(Struct, frozen=True, omit_defaults=True):
    """A picture of a content: its bytes (base64 in JSON) or where they are, one of the two."""

    image_id: Id
    data: Annotated[bytes, Meta(min_length=1, max_length=MAX_IMAGE_BYTES)] | None = None
    uri: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.uri is None):
            raise ValueError("an image needs `data` or `uri`, and not both")


class Content(Struct, frozen=True):
    """One item posted by a user, identified by (content_id, revision); an edit is a higher one."""

    content_id: Id
    created_at: Instant
    author_id: Id
    revision: Revision = 0
    author_created_at: Instant | None = None
    kind: ContentKind = "post"
    community: Name = ""
    text: str = ""
    images: Annotated[list[Image], Meta(max_length=MAX_IMAGES)] = []
    parent_id: Annotated[str, Meta(max_length=128)] = ""
    language: Annotated[str, Meta(max_length=35)] = ""

    def __post_init__(self) -> None:
        if not self.text and not self.images:
            raise ValueError("a content needs `text` or `images`")
        _check_times(self.created_at, self.author_created_at)
        check_text(self.text)


class Evidence(Struct, frozen=True):
    """Where a signal was seen: code points [start, end) of a field of the original content."""

    field: str
    start: int
    end: int


class Signal(Struct, frozen=True):
    """What one stage found: `category` at `score`, by `rule` (a rule, hash or model)."""

    stage: str
    rule: str
    category: str
    score: Score
    evidence: tuple[Evidence, ...] = ()


class Decision(Struct, frozen=True, kw_only=True):
    """What is to be done with a content, and everything that led to it."""

    decision_id: str
    content_id: Id
    revision: Revision
    author_id: Id
    community: Name
    kind: ContentKind
    action: Action
    category: str
    scores: dict[str, Score]
    signals: tuple[Signal, ...]
    final: bool
    mode: Mode
    degraded: tuple[str, ...]
    policy_version: str
    ruleset_version: str
    model_versions: dict[str, str]
    created_at: Instant
    decided_at: Instant
    latency_ms: float
    hold: bool = False
    """True: while a human has yet to decide, the content stays hidden."""
    frames: int = 0
    """Of the verdict on a video, whose id is its frames' parent_id: how many frames there were."""


class ReviewItem(Struct, frozen=True, kw_only=True):
    """A decision that a moderator should look at; a higher priority is looked at first."""

    decision: Decision
    text: str
    priority: float
    reason: ReviewReason


class Label(Struct, frozen=True, kw_only=True):
    """What a person says a content is; the models learn from these."""

    label_id: Id
    content_id: Id
    revision: Revision
    reviewer_id: Id
    action: Action
    category: str
    source: LabelSource
    labeled_at: Instant

    def __post_init__(self) -> None:
        _check_times(self.labeled_at)


class UserReport(Struct, frozen=True, kw_only=True):
    """A user's complaint about a content; `category` is "" when they chose none.

    `community`: where the content stands, if the platform says so; reports are counted by it.
    """

    report_id: Id
    content_id: Id
    reporter_id: Id
    category: Name = ""
    community: Name = ""
    reason: str = ""
    reported_at: Instant

    def __post_init__(self) -> None:
        _check_times(self.reported_at)
        check_text(self.reason, "reason")


class Appeal(Struct, frozen=True, kw_only=True):
    """An author's appeal against a decision; the answer comes under the same `appeal_id`."""

    appeal_id: Id
    content_id: Id
    revision: Revision = 0
    decision_id: Name = ""
    user_id: Id
    category: Name = ""
    policy_version: Name = ""
    statement: str = ""
    state: AppealState = "open"
    reviewer_id: Annotated[str, Meta(max_length=128)] = ""
    appealed_at: Instant
    resolved_at: Instant | None = None

    def __post_init__(self) -> None:
        if (self.state == "open") != (self.resolved_at is None):
            raise ValueError("`resolved_at` belongs to an appeal that is granted or denied")
        _check_times(self.appealed_at, self.resolved_at)
        check_text(self.statement, "statement")


class AlertKey(Struct, frozen=True, order=True):
    """What surged: a category, the link domain or text signature it shares, and where."""

    category: str
    signature: str = ""
    community: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """Something on-call should know; `open`, `update` and `resolved` share the alert_id."""

    alert_id: str
    kind: AlertKind
    state: AlertState
    severity: AlertSeverity
    key: AlertKey
    window_start: Instant
    window_end: Instant
    observed: float
    expected: float
    z_score: float
    distinct_authors: int
    examples: tuple[str, ...]
    summary: str
    texts: tuple[str, ...] = ()
    """Excerpts of the examples, without the personal data that the policy strikes out."""
    recent: tuple[int, ...] = ()
    """Counts of the last windows, the oldest first."""
    last_hour: int = 0
    last_day: int = 0


class Position(Struct, frozen=True, omit_defaults=True):
    """Where a message stood: topic, partition and offset, or file (`-`: standard input) and line.

    Offsets and partitions count from 0, lines from 1; what does not apply is left out of the JSON.
    """

    topic: str = ""
    partition: int = -1
    offset: int = -1
    file: str = ""
    line: int = 0

    @property
    def key(self) -> str:
        """The position as one text, another for every position."""
        return f"{self.topic}/{self.partition}/{self.offset}/{self.file}/{self.line}"


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that could not be used, kept whole, with a reason its producer can act on."""

    raw: bytes
    error: str
    stage: str
    source: Position
    failed_at: Instant
    size: int = 0
    """Bytes of the message where `raw` is only its beginning, else 0."""
