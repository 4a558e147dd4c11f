"""Scoring of text: one prediction for all texts of a batch, evidence for those that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import bytewax.operators as op
import numpy as np
import structlog
from bytewax.dataflow import Stream, operator
from numpy.typing import NDArray

from events.messages import Evidence, ModelOutput, Signal
from operators.item import Item, Stage

log = structlog.get_logger(__name__)

SIGNAL_LEVEL: Final = 0.4
"""Categories that score above this get a signal with evidence: uncertain ones are told of too."""
_PREDICTED: Final = 0.5
_MAX_EVIDENCE: Final = 3


class TextModel(Protocol):
    """What scores texts: a model, or a cascade of them."""

    @property
    def name(self) -> str:
        """What `model_outputs` and signals call it."""
        ...

    @property
    def version(self) -> str:
        """Changes with every training."""
        ...

    @property
    def categories(self) -> tuple[str, ...]:
        """The columns of `predict`."""
        ...

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (len(texts), len(categories)) of normalized texts."""
        ...

    def attribute(self, text: str, category: str) -> list[tuple[int, int, float]]:
        """Spans of `text` with what each adds to `category`, the largest contribution first."""
        ...


class TextScorer:
    """Fills `text_scores` of every item with text, and adds a `ModelOutput` and signals.

    When the model fails, every item with text of the batch is marked degraded and goes on unscored.
    """

    STAGE = "text_score"

    def __init__(self, model: TextModel) -> None:
        self._model = model

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        texted = [item for item in items if item.content.text]
        if not texted:
            return items
        texts = [_text(item) for item in texted]
        try:
            scores = self._model.predict(texts).astype(np.float64).round(4)
            flagged = np.argwhere(scores > SIGNAL_LEVEL).tolist()
            signals = [
                (row, self._signal(texted[row], texts[row], column, scores[row, column]))
                for row, column in flagged
            ]
        except Exception:
            # Whatever a model fails with must not stop the stream; policy knows what to do.
            log.exception("text model failed", model=self._model.name, texts=len(texts))
            for item in texted:
                item.degraded.append(self.STAGE)
            return items
        for item, row in zip(texted, scores.tolist(), strict=True):
            item.text_scores = dict(zip(self._model.categories, row, strict=True))
            item.outputs.append(self._output(item.text_scores))
        for row, signal in signals:
            texted[row].signals.append(signal)
        return items

    def _output(self, scores: dict[str, float]) -> ModelOutput:
        top = max(scores, key=scores.__getitem__)
        prediction = top if scores[top] >= _PREDICTED else ""
        return ModelOutput(
            self._model.name, self._model.version, prediction, scores[top], dict(scores)
        )

    def _signal(self, item: Item, text: str, column: int, score: float) -> Signal:
        category = self._model.categories[column]
        spans = [
            (start, end)
            for start, end, added in self._model.attribute(text, category)[:_MAX_EVIDENCE]
            if added > 0
        ]
        if item.normalized is not None:
            spans = [item.normalized.original_span(start, end) for start, end in spans]
        evidence = tuple(Evidence("text", start, end) for start, end in spans)
        return Signal(self._model.name, self._model.name, category, float(score), evidence)


def _text(item: Item) -> str:
    return item.content.text if item.normalized is None else item.normalized.text


@operator
def text_score(
    step_id: str,
    up: Stream[Item],
    scorer: Stage,
) -> Stream[Item]:
    """Bytewax shell of `TextScorer`."""
    return op.flat_map_batch("score", up, scorer)
