"""Scoring of text: one prediction for all texts of a batch, evidence for those that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from events.messages import Evidence, Signal
from events.records import ModelOutput
from models.text.cascade import Cascade
from models.text.model import Contribution, TextModel
from operators.item import Item

SIGNAL_LEVEL: Final = 0.4
"""Categories that score above this get a signal with evidence: uncertain ones are told of too."""
_PREDICTED: Final = 0.5


class TextScorer:
    """Fills `text_scores` of every item with text, and adds a `ModelOutput` and signals.

    Of a cascade, the output and the signals name the model that settled the text; where a rule has
    given a hint, that is the last one. Whatever the model raises is passed on: a `Breaker` around
    the stage knows what to do.
    """

    STAGE = "text_score"

    def __init__(self, model: TextModel | Cascade, *, thorough: bool = False) -> None:
        """`thorough`: evidence by the model that settled a text, for one text and not a stream."""
        self._model = model
        self._thorough = thorough

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        texted = [item for item in items if item.content.text]
        if not texted:
            return items
        texts = [_text(item) for item in texted]
        doubted = np.array([item.hints != () for item in texted])
        probabilities, settled_by = self._predict(texts, doubted)
        if not np.isfinite(probabilities).all():
            # Fusion would take it for a text that nobody has scored, and allow it.
            raise ValueError("a score is no number")
        scores = probabilities.astype(np.float64).round(4)
        flagged = np.argwhere(scores > SIGNAL_LEVEL).tolist()
        contributions = self._attribute(
            [texts[row] for row, _ in flagged],
            [self._model.categories[column] for _, column in flagged],
            [settled_by[row] for row, _ in flagged],
        )
        tops = scores.argmax(axis=1).tolist()
        for item, row, top, model in zip(texted, scores.tolist(), tops, settled_by, strict=True):
            found = dict(zip(self._model.categories, row, strict=True))
            prediction = self._model.categories[top] if row[top] >= _PREDICTED else ""
            output = ModelOutput(model.name, model.version, prediction, row[top], found)
            item.outputs.append(output)
            item.text_scores = found.copy()
        for (row, column), parts in zip(flagged, contributions, strict=True):
            category, name = self._model.categories[column], settled_by[row].name
            evidence = _evidence(texted[row], parts)
            score = float(scores[row, column])
            texted[row].signals.append(Signal(name, name, category, score, evidence))
        return items

    def _attribute(
        self, texts: Sequence[str], categories: Sequence[str], models: Sequence[TextModel]
    ) -> list[list[Contribution]]:
        if not self._thorough:
            return self._model.attribute(texts, categories)
        asked = zip(texts, categories, models, strict=True)
        return [self._explain(*each) for each in asked]

    def _explain(self, text: str, category: str, model: TextModel) -> list[Contribution]:
        start, passage = 0, text
        if isinstance(self._model, Cascade):
            # What speaks for the category is lost in all of a long text.
            start, passage = self._model.worst_passage(text)
        (parts,) = model.attribute([passage], [category])
        return [(begin + start, end + start, weight) for begin, end, weight in parts]

    def _predict(
        self, texts: Sequence[str], doubted: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], Sequence[TextModel]]:
        """Scores of `texts` and, for each, the model that they are of."""
        if not isinstance(self._model, Cascade):
            return self._model.predict(texts), [self._model] * len(texts)
        found = self._model.settle(texts, doubted)
        return found.scores, [self._model.models[number] for number in found.settled_by.tolist()]


def _evidence(item: Item, contributions: Sequence[Contribution]) -> tuple[Evidence, ...]:
    """Where in the text as it was posted."""
    spans = [(start, end) for start, end, _ in contributions]
    if item.normalized is not None:
        spans = [item.normalized.original_span(start, end) for start, end in spans]
    return tuple(Evidence("text", start, end) for start, end in spans)


def _text(item: Item) -> str:
    return item.content.text if item.normalized is None else item.normalized.text
