"""The fast text model: logistic regression over hashed n-grams, in onnxruntime on one thread.

The graph takes hashed features (models/text/features.py), sums their 8-bit weights exactly, divides
the sums of words and of characters each by its norm and gives calibrated probabilities. Texts over
a chunk long are read in chunks, and the highest probability of each category counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.text.features import (
    KINDS,
    MAX_CHARACTERS,
    WORD_KINDS,
    Features,
    featurise,
    locate,
)

BUILT_IN: Final = Path(__file__).parent / "fast"
_OVERLAP: Final = 128
"""Chunks share this many characters, so that no phrase is cut in all of them."""
_STRIDE: Final = MAX_CHARACTERS - _OVERLAP
_MAX_BATCH: Final = 1024
"""Chunks that are featurised at once: memory stays bounded whatever the batch."""


class FastTextModel:
    """Calibrated probabilities of each category for normalized texts.

    Args:
        directory: holds model.onnx and card.json. One that cannot be read raises OSError, a graph
            that onnxruntime refuses its own exceptions.
    """

    name: Final = "text-fast"

    def __init__(self, directory: Path = BUILT_IN) -> None:
        card = json.loads((directory / "card.json").read_text())
        self.version: str = card["version"]
        self.categories: tuple[str, ...] = tuple(card["categories"])
        options = onnxruntime.SessionOptions()
        # The job scales by processes: threads of the model's own would take its cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            (directory / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (len(texts), len(categories)), of normalized texts; any string has one."""
        if not texts:
            return np.zeros((0, len(self.categories)), dtype=np.float32)
        chunks, firsts = _chunks(texts)
        batches = range(0, len(chunks), _MAX_BATCH)
        scores = np.concatenate([self._score(chunks[at : at + _MAX_BATCH]) for at in batches])
        if len(chunks) == len(texts):
            return scores
        highest: NDArray[np.float32] = np.maximum.reduceat(scores, firsts, axis=0)
        return highest

    def attribute(self, text: str, category: str) -> list[tuple[int, int, float]]:
        """Words of a normalized text as (start, end, contribution), largest contribution first.

        Start and end are code points of `text`; a contribution is what the word, the pair it begins
        and the n-grams that begin in it add to the logit of `category`. Of a long text the chunk
        that scores highest is explained; a word that the text repeats is named where it first
        stands. Raises ValueError for a category that the model does not know.
        """
        column = self.categories.index(category)
        chunks, _ = _chunks([text])
        best = int(np.argmax(self._score(chunks)[:, column])) if len(chunks) > 1 else 0
        features, words, spans = locate(chunks[best])
        added = np.bincount(words, self._contributions(features, column), minlength=len(spans))
        order = np.argsort(-added, kind="stable")
        found = np.column_stack([spans[order] + best * _STRIDE, added[order]]).tolist()
        return [(int(start), int(end), contribution) for start, end, contribution in found]

    def _score(self, chunks: Sequence[str]) -> NDArray[np.float32]:
        features = featurise(chunks)
        (scores,) = self._session.run(["probabilities"], _inputs(features))
        return np.asarray(scores, dtype=np.float32)

    def _contributions(self, features: Features, column: int) -> NDArray[np.float32]:
        """What each feature of one text adds to a category's logit, (m,)."""
        rows, scales, norms = self._session.run(["rows", "scales", "norms"], _inputs(features))
        counts = np.diff(features.bounds)
        by_kind = np.repeat(np.ravel(norms), (WORD_KINDS, len(KINDS) - WORD_KINDS))
        added = rows[1:, column] * scales[column] / np.repeat(by_kind, counts)
        return np.asarray(added, dtype=np.float32)


def _inputs(features: Features) -> dict[str, NDArray[np.int32] | NDArray[np.int64]]:
    return {"buckets": features.buckets, "bounds": features.bounds}


def _chunks(texts: Sequence[str]) -> tuple[Sequence[str], list[int]]:
    """Pieces of at most MAX_CHARACTERS of all texts, and the number of each text's first piece."""
    if max(map(len, texts)) <= MAX_CHARACTERS:
        return texts, []
    chunks: list[str] = []
    firsts: list[int] = []
    for text in texts:
        firsts.append(len(chunks))
        last = max(len(text) - _OVERLAP, 1)
        chunks.extend(text[at : at + MAX_CHARACTERS] for at in range(0, last, _STRIDE))
    return chunks, firsts
