"""The working record of one content on its way through the stages; it never leaves a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field, structs

from events.messages import Content, Position, Signal
from events.records import AuthorFeatures, ModelOutput

if TYPE_CHECKING:
    from operators.normalize import Normalized


class Item(Struct):
    """A content and what the stages have found so far; `decide` alone concludes."""

    content: Content
    position: Position
    received_at: float
    """Unix seconds when the job took it (file) or the broker did (Kafka)."""
    author: AuthorFeatures = field(default_factory=AuthorFeatures)
    normalized: Normalized | None = None
    signals: list[Signal] = []
    text_scores: dict[str, float] = {}
    """The text models' probability by category; empty when there is no text or no model."""
    image_scores: dict[str, float] = {}
    image_texts: dict[str, list[str]] = {}
    """What is written in images, by image id; producers may give several images the same one.
    Evidence in `images.ID` counts from the beginning of its own image's text."""
    scores: dict[str, float] = {}
    """After fusion: the probability of every category."""
    outputs: list[ModelOutput] = []
    degraded: list[str] = []
    """Stages that could not do their part."""
    ruleset_version: str = ""
    """The rules and hash lists that read it, where they may change while the job runs."""
    asked_review: str = ""
    """Category of a matching rule that wants a human, whatever the scores are."""
    hints: tuple[str, ...] = ()
    """Ids of the matching rules that the models are to weigh."""
    shadow_signals: list[Signal] = []
    """What rules in shadow have found, or rules that do not apply here by the live policy: only a
    decision in shadow counts it."""
    stage_ms: dict[str, float] = {}
    """How long each stage took for the batch this was in: what it waited, in milliseconds."""

    def degrade(self, stage: str) -> None:
        """Notes, once, that `stage` could not do its part."""
        if stage not in self.degraded:
            self.degraded.append(stage)

    def copy(self) -> Item:
        """The same item, for stages whose findings must not show in this one."""
        return structs.replace(
            self,
            signals=self.signals.copy(),
            text_scores=self.text_scores.copy(),
            image_scores=self.image_scores.copy(),
            image_texts={image: texts.copy() for image, texts in self.image_texts.items()},
            scores=self.scores.copy(),
            outputs=self.outputs.copy(),
            degraded=self.degraded.copy(),
            shadow_signals=self.shadow_signals.copy(),
            stage_ms=self.stage_ms.copy(),
        )


Stage = Callable[[list[Item]], list[Item]]
"""Takes a batch of items and gives it back, in order, with what it found in them."""
