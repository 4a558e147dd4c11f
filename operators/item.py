"""The working record of one content on its way through the stages; it never leaves a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from events.messages import AuthorFeatures, Content, ModelOutput, Position, Signal

if TYPE_CHECKING:
    from operators.normalize import Normalized


@dataclass(slots=True)
class Item:
    """A content and what the stages have found so far; `decide` alone concludes."""

    content: Content
    position: Position
    received_at: float
    """Unix seconds when the job took it (file) or the broker did (Kafka)."""
    author: AuthorFeatures = field(default_factory=AuthorFeatures)
    normalized: Normalized | None = None
    signals: list[Signal] = field(default_factory=list)
    text_scores: dict[str, float] = field(default_factory=dict)
    """The text way's probability by category; empty when there is no text or no model."""
    image_scores: dict[str, float] = field(default_factory=dict)
    image_texts: dict[str, str] = field(default_factory=dict)
    """What is written in images, by image id: what evidence in `images.ID` counts from."""
    scores: dict[str, float] = field(default_factory=dict)
    """After fusion: the probability of every category."""
    outputs: list[ModelOutput] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    """Stages that could not do their part."""
    ruleset_version: str = ""
    """The rules and hash lists that read it, where they may change while the job runs."""
    asked_review: str = ""
    """Category of a matching rule that wants a human, whatever the scores are."""
    hints: tuple[str, ...] = ()
    """Ids of the matching rules that the models are to weigh."""
    shadow_signals: list[Signal] = field(default_factory=list)
    """What rules in shadow have found, or rules that do not apply here by the live policy: only a
    decision in shadow counts it."""
    stage_ms: dict[str, float] = field(default_factory=dict)
    """How long each stage took for the batch this was in: what it waited, in milliseconds."""

    def copy(self) -> Item:
        """The same item, for stages whose findings must not show in this one."""
        # By position: half the time of dataclasses.replace.
        return Item(
            self.content, self.position, self.received_at, self.author, self.normalized,
            self.signals.copy(), self.text_scores.copy(), self.image_scores.copy(),
            self.image_texts.copy(), self.scores.copy(), self.outputs.copy(),
            self.degraded.copy(), self.ruleset_version, self.asked_review, self.hints,
            self.shadow_signals.copy(), self.stage_ms.copy(),
        )  # fmt: skip


Stage = Callable[[list[Item]], list[Item]]
"""What the shells of the stages take: the stage itself, or the stage with a clock around it."""
