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
from models.text.model import MAX_CONTRIBUTIONS, Contribution

BUILT_IN: Final = Path(__file__).parent / "fast"
_OVERLAP: Final = 128
"""Chunks share this many characters, so that no phrase is cut in all of them."""
_STRIDE: Final = MAX_CHARACTERS - _OVERLAP
_NORM_OF_KIND: Final = (np.arange(len(KINDS)) >= WORD_KINDS).astype(np.int64)
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

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[Contribution]]:
        """What of each normalized text speaks for its category, the largest contribution first.

        A contribution is what the word, the pair it begins and the n-grams that begin in it add to
        the logit. Of a long text the chunk that scores highest is explained; a word that the text
        repeats is named where it first stands. Raises ValueError for an unknown category.
        """
        columns = np.array([self.categories.index(category) for category in categories])
        chosen = [self._highest_chunk(*pair) for pair in zip(texts, columns.tolist(), strict=True)]
        if not chosen:
            return []
        located = locate([text[at : at + MAX_CHARACTERS] for text, at in chosen])
        contributions = self._contributions(located.features, columns)
        added = np.bincount(located.words, contributions, minlength=len(located.spans))
        found: list[list[Contribution]] = [[] for _ in texts]
        (order,) = (added > 0).nonzero()
        order = order[np.lexsort((-added[order], located.owners[order]))]
        ranked = zip(
            located.owners[order].tolist(),
            located.spans[order].tolist(),
            added[order].tolist(),
            strict=True,
        )
        for owner, (start, end), contribution in ranked:
            if len(found[owner]) < MAX_CONTRIBUTIONS:
                at = chosen[owner][1]
                found[owner].append((start + at, end + at, contribution))
        return found

    def _highest_chunk(self, text: str, column: int) -> tuple[str, int]:
        """`text`, and where the piece of it begins that scores highest."""
        if len(text) <= MAX_CHARACTERS:
            return text, 0
        chunks, _ = _chunks([text])
        return text, int(np.argmax(self._score(chunks)[:, column])) * _STRIDE

    def _score(self, chunks: Sequence[str]) -> NDArray[np.float32]:
        features = featurise(chunks)
        (scores,) = self._session.run(["probabilities"], _inputs(features))
        return np.asarray(scores, dtype=np.float32)

    def _contributions(self, features: Features, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """What each feature adds to the logit of its text's category, (m,); `columns` are (n,)."""
        rows, scales, norms = self._session.run(["rows", "scales", "norms"], _inputs(features))
        counts = features.bounds[1:] - features.bounds[:-1]
        column = np.tile(columns, len(KINDS)).repeat(counts)
        weights = (scales[columns] / norms[_NORM_OF_KIND, :, 0]).ravel().repeat(counts)
        added: NDArray[np.float32] = rows[np.arange(1, len(rows)), column] * weights
        return added


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
        if len(text) <= MAX_CHARACTERS:
            chunks.append(text)
        else:
            starts = range(0, len(text) - _OVERLAP, _STRIDE)
            chunks.extend(text[at : at + MAX_CHARACTERS] for at in starts)
    return chunks, firsts
