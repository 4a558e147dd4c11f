"""Models in a row: a text goes on to the next, dearer one only where the one before is unsure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.text.fast import FastTextModel
from models.text.transformer import TransformerModel

BUILT_IN: Final = Path(__file__).parent / "cascade.json"


class TextModel(Protocol):
    """Anything that gives probabilities of categories to normalized texts."""

    @property
    def name(self) -> str:
        """What the model is called in logs and tables."""

    @property
    def version(self) -> str:
        """Which artefact it is."""

    @property
    def categories(self) -> tuple[str, ...]:
        """What the columns of `predict` are."""

    def predict(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Probabilities, (n, C), of `texts`."""

    def attribute(self, text: str, category: str, /) -> list[tuple[int, int, float]]:
        """(start, end, weight) of what in `text` speaks for `category`, the strongest first."""


@dataclass(frozen=True)
class Band:
    """Where a model is unsure: low < score < high in any category, both (C,) in its own columns."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def unsure(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which rows of `scores`, (n, C), are to go on; (n,)."""
        inside = (scores > self.low) & (scores < self.high)
        return np.asarray(inside.any(axis=1), dtype=np.bool_)


@dataclass(frozen=True)
class CascadeResult:
    """What a cascade found in n texts."""

    scores: NDArray[np.float32]
    """(n, C): of the last model that saw the text."""
    settled_by: NDArray[np.int64]
    """(n,): number of that model."""


class Cascade:
    """Models from the cheapest to the dearest, and after each but the last the band that goes on.

    Args:
        models: two or more of the same categories.
        bands: one fewer than models.
    """

    name: Final = "text"

    def __init__(self, models: Sequence[TextModel], bands: Sequence[Band]) -> None:
        if len(bands) != len(models) - 1 or len({model.categories for model in models}) != 1:
            raise ValueError(
                "models of the same categories with a band between each two are needed"
            )
        self.models = tuple(models)
        self.categories = models[0].categories
        self.version = "+".join(model.version for model in models)
        self._bands = tuple(bands)

    @classmethod
    def load(cls, path: Path = BUILT_IN) -> Cascade:
        """The built-in models with the bands of `path` (training/cascade.py)."""
        fast, transformer = FastTextModel(), TransformerModel()
        table = json.loads(path.read_text("utf-8"))["bands"]
        low, high = (
            np.array([table[category][i] for category in fast.categories], dtype=np.float32)
            for i in (0, 1)
        )
        return cls([fast, transformer], [Band(low, high)])

    def predict(self, texts: Sequence[str]) -> CascadeResult:
        """Scores of normalized texts; each model sees in one batch all that the one before left."""
        scores = self.models[0].predict(texts)
        settled_by = np.zeros(len(texts), dtype=np.int64)
        rows = np.arange(len(texts))
        for number, (band, model) in enumerate(zip(self._bands, self.models[1:], strict=True), 1):
            rows = rows[band.unsure(scores[rows])]
            if not rows.size:
                break
            scores[rows] = model.predict([texts[row] for row in rows.tolist()])
            settled_by[rows] = number
        return CascadeResult(scores, settled_by)

    def attribute(self, text: str, category: str, model: int = 0) -> list[tuple[int, int, float]]:
        """(start, end, weight) of what in `text` speaks for `category`, the strongest first.

        The first model is asked unless another is named: the dearer ones take many runs to explain
        one text, which is for `breakwater check` and not for the stream.
        """
        return self.models[model].attribute(text, category)
