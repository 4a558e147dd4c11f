"""What the parts of Breakwater hand to each other inside a process: no contract with anybody."""

from __future__ import annotations

from msgspec import Struct

from events.messages import (
    Content,
    Decision,
    Instant,
    Name,
    Position,
    RuleAction,
    Score,
    check_text,
)


class Raw(Struct, frozen=True):
    """A message as a connector took it, before it is decoded; `received_at` in Unix seconds."""

    value: bytes
    position: Position
    received_at: float


class AuthorFeatures(Struct):
    """What is known of an author before a content: counts over their history here."""

    decisions: int = 0
    violations: int = 0


class AuthorCount(Struct, frozen=True, array_like=True):
    """What a final decision adds to its author's history, once an identity."""

    content_id: str
    revision: int
    author_id: str
    violation: bool


class ModelOutput(Struct, frozen=True):
    """What one model said of one content: a row of `model_outputs`."""

    model: str
    version: str
    prediction: str
    confidence: Score
    scores: dict[str, Score]


class Judgement(Struct, frozen=True):
    """A decided content with all that is logged of it: what the sinks receive."""

    content: Content
    decision: Decision
    outputs: tuple[ModelOutput, ...] = ()
    stage_ms: dict[str, float] = {}
    """What it waited for each stage, in milliseconds."""


class ReportedContent(Struct, frozen=True):
    """What the store knows of a content that users report."""

    community: Name = ""
    text: str = ""
    image_uri: str = ""
    """Of its first image; "" for none, or one whose bytes were sent."""
    hash_rule: str = ""
    """The listed hash it matched, as its signal's rule; "" for none."""


class RuleFileChange(Struct, frozen=True, kw_only=True):
    """What a change of the rules did to one file of them.

    `entries` are its rules or hashes now, `rules` the ids of those that are new, other or gone,
    `expires` when the last entry expires (None: one never does).
    """

    file: str
    entries: int
    rules: tuple[str, ...] = ()
    expires: Instant | None = None


class RuleChange(Struct, frozen=True, kw_only=True):
    """A push or rollback of rules and hash lists: rows of `rule_changes`.

    `ruleset_version` is what decisions carry from then on, where the policy directory is that of
    the command.
    """

    change_id: str
    push: int
    action: RuleAction
    author: str
    reason: str
    ruleset_version: str
    changed_at: Instant
    files: tuple[RuleFileChange, ...] = ()


class ScoreRequest(Struct, frozen=True):
    """A line that `breakwater score` takes: a text, or the path of an image."""

    id: int | str | None = None
    text: str | None = None
    image: str = ""

    def __post_init__(self) -> None:
        check_text(self.text or "")
