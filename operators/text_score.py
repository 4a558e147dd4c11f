"""Scoring of text: one prediction for all texts of a batch, evidence for those that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from events.messages import Evidence, ModelOutput, Signal
from models.text.cascade import Cascade
from operators.item import Item

log = structlog.get_logger(__name__)

SIGNAL_LEVEL: Final = 0.4
"""Categories that score above this get a signal with evidence: uncertain ones are told of too."""
_PREDICTED: Final = 0.5
_MAX_EVIDENCE: Final = 3


class _Named(Protocol):
    @property
    def name(self) -> str:
        """What `model_outputs` and signals call it."""
        ...

    @property
    def version(self) -> str:
        """Changes with every training."""
        ...


class TextModel(_Named, Protocol):
    """What scores texts."""

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

    Of a cascade, the output and the signals name the model that settled the text. When the model
    fails, every item with text of the batch is marked degraded and goes on unscored.
    """

    STAGE = "text_score"

    def __init__(self, model: TextModel | Cascade) -> None:
        self._model = model

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        texted = [item for item in items if item.content.text]
        if not texted:
            return items
        texts = [_text(item) for item in texted]
        try:
            probabilities, settled_by = self._predict(texts)
            scores = probabilities.astype(np.float64).round(4)
            flagged = np.argwhere(scores > SIGNAL_LEVEL).tolist()
            signals = [
                (row, self._signal(texted[row], texts[row], settled_by[row].name, column, score))
                for row, column in flagged
                for score in (float(scores[row, column]),)
            ]
        except Exception:
            # Whatever a model fails with must not stop the stream; policy knows what to do.
            log.exception("text model failed", model=self._model.name, texts=len(texts))
            for item in texted:
                item.degraded.append(self.STAGE)
            return items
        for item, row, model in zip(texted, scores.tolist(), settled_by, strict=True):
            item.text_scores = dict(zip(self._model.categories, row, strict=True))
            item.outputs.append(_output(model, item.text_scores))
        for row, signal in signals:
            texted[row].signals.append(signal)
        return items

    def _predict(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], Sequence[_Named]]:
        """Scores of `texts` and, for each, the model that they are of."""
        if not isinstance(self._model, Cascade):
            return self._model.predict(texts), [self._model] * len(texts)
        found = self._model.predict(texts)
        return found.scores, [self._model.models[number] for number in found.settled_by.tolist()]

    def _signal(self, item: Item, text: str, model: str, column: int, score: float) -> Signal:
        category = self._model.categories[column]
        spans = [
            (start, end)
            for start, end, added in self._model.attribute(text, category)[:_MAX_EVIDENCE]
            if added > 0
        ]
        if item.normalized is not None:
            spans = [item.normalized.original_span(start, end) for start, end in spans]
        evidence = tuple(Evidence("text", start, end) for start, end in spans)
        return Signal(model, model, category, score, evidence)


def _output(model: _Named, scores: dict[str, float]) -> ModelOutput:
    top = max(scores, key=scores.__getitem__)
    prediction = top if scores[top] >= _PREDICTED else ""
    return ModelOutput(model.name, model.version, prediction, scores[top], dict(scores))


def _text(item: Item) -> str:
    return item.content.text if item.normalized is None else item.normalized.text
