"""`breakwater replay --rescore`: logged decisions with the scores of other text models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from connectors.decision_log import Chunk, DecisionLog, Logged
from events.messages import Position
from flows.settings import Settings
from models.fusion.fusion import FusionModel
from models.registry import Registry, verify
from models.text.cascade import PARTS, Cascade
from operators.item import Item
from operators.rescore import Rescorer
from policy.policy import load_policy


def load_rescorer(settings: Settings, text_model: Path | None) -> Rescorer:
    """The models in use; `text_model`: a directory of others in the place of the text models.

    Raises:
        RegistryError, ModelError: a model is not what its card says.
    """
    registry = Registry(settings.models)
    if text_model is not None:
        verify(text_model, parts=PARTS)
    text = Cascade.load(text_model or registry.current("text"))
    return Rescorer(text, FusionModel(registry.current("fusion")))


class RescoredLog:
    """The decisions of `log`, scored again where their text is kept.

    Contents with images keep their logged scores: neither the images nor what is written in them
    is stored. `hints` are the rules that models weigh; `advance` is told how many decisions were
    read.
    """

    def __init__(
        self,
        log: DecisionLog,
        rescorer: Rescorer,
        hints: Collection[str],
        advance: Callable[[int], None],
    ) -> None:
        self._log = log
        self._rescorer = rescorer
        self._hints = hints
        self._advance = advance
        self._counts: Counter[str] = Counter()
        self._mended = [
            [stage for stage in missing if stage not in Rescorer.STAGES] for missing in log.degraded
        ]
        self.degraded = [*log.degraded, *self._mended]
        """The missing stages that `Chunk.degraded` numbers."""

    def chunks(self, review_rules: Mapping[str, str], watched: Collection[str]) -> Iterator[Chunk]:
        """As `DecisionLog.chunks`, in smaller ones."""
        for chunk, contents in self._log.contents(review_rules, watched):
            rows = [row for row, one in enumerate(contents) if one.content is not None]
            scores, degraded = chunk.scores.copy(), chunk.degraded.copy()
            scores[rows] = self._rescorer(
                [self._item(contents[row], self._mended[degraded[row]]) for row in rows]
            )
            degraded[rows] += len(self._log.degraded)
            images = sum(one.has_images for one in contents)
            gone = len(contents) - len(rows) - images
            self._counts.update(anew=len(rows), images=images, gone=gone)
            yield replace(chunk, scores=scores, degraded=degraded)
            self._advance(len(contents))

    def _item(self, one: Logged, degraded: Sequence[str]) -> Item:
        if one.content is None:
            raise ValueError("a content without text cannot be scored")
        return Item(
            one.content,
            Position(),
            0.0,
            one.author,
            signals=list(one.signals),
            degraded=list(degraded),
            hints=tuple(each.rule for each in one.signals if each.rule in self._hints),
        )

    def notes(self, settings: Settings) -> Iterator[str]:
        """What the scores are of, in words."""
        counts = self._counts
        yield f"{counts['anew']:,} decisions were scored again by {self._rescorer.version}."
        if counts["gone"]:
            yield f"{counts['gone']:,} keep their logged scores: their text is kept no more."
        if counts["images"]:
            yield (
                f"{counts['images']:,} keep their logged scores: they have images, and what is"
                " written in these is not stored."
            )
        struck = load_policy(settings.policy).file.personal_data
        if kinds := sorted(kind for kind, treatment in struck.items() if treatment != "keep"):
            yield f"The models read texts as stored, without personal data ({', '.join(kinds)})."
