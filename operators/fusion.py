"""Fusion: one probability for every category, from all that the stages before have found."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import timedelta
from operator import itemgetter
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from events.records import ModelOutput
from models.fusion.fusion import FEATURES
from operators.item import Item
from operators.normalize import NO_OBFUSCATION
from policy.taxonomy import CATEGORIES, TEXT_CATEGORIES

DIRECT_STAGES: Final = frozenset({"rules", "hash", "image"})
"""Stages whose signals count by themselves: a rule pushed live acts at once, though the fusion
model never saw it. What the text model found reaches the decision through fusion only."""

_UNREAD: Final = frozenset({"text_score", "text_language"})
"""What `degraded` says where no text model has read the text, or none that knows its language."""

_COLUMN: Final = {name: column for column, name in enumerate(FEATURES)}
_BY_CATEGORY: Final = {"rules": "rule", "hash": "hash", "image": "image"}
_DAY: Final = timedelta(days=1)
_NO_SCORES: Final = dict.fromkeys(CATEGORIES, 0.0)
_NO_TEXT_SCORES: Final = dict.fromkeys(TEXT_CATEGORIES, math.nan)
_in_order: Final[Callable[[dict[str, float]], tuple[float, ...]]] = itemgetter(*TEXT_CATEGORIES)


class Fusion(Protocol):
    """What turns a feature matrix into probabilities."""

    @property
    def name(self) -> str:
        """What `model_outputs` calls it."""
        ...

    @property
    def version(self) -> str:
        """Changes with every training."""
        ...

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, 5) of TEXT_CATEGORIES from (n, len(FEATURES))."""
        ...


class Fuser:
    """Fills `scores` of every item with a probability for each of CATEGORIES.

    For a category that the model knows it is the model's probability or, if higher, the strongest
    signal of a rule, hash or image; for the others the strongest signal alone. A hint of a rule
    counts through the model only, where the text was read. Whatever the model raises is passed on.
    """

    STAGE = "fusion"

    def __init__(self, model: Fusion) -> None:
        self._model = model

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        if not items:
            return items
        fused = self._model.predict(feature_matrix(items))
        rows: list[list[float]] = fused.astype(np.float64).round(4).tolist()
        tops: list[int] = fused.argmax(axis=1).tolist()
        name, version = self._model.name, self._model.version
        for item, row, top in zip(items, rows, tops, strict=True):
            probabilities = dict(zip(TEXT_CATEGORIES, row, strict=True))
            prediction = TEXT_CATEGORIES[top] if row[top] >= 0.5 else ""
            item.outputs.append(ModelOutput(name, version, prediction, row[top], probabilities))
            read = item.text_scores and _UNREAD.isdisjoint(item.degraded)
            item.scores = _scores(item, probabilities, item.hints if read else ())
        return items


def without_fusion(items: list[Item]) -> list[Item]:
    """The same items; the text model's probabilities take the place of the fusion model's."""
    for item in items:
        item.scores = _scores(item, item.text_scores)
    return items


def feature_matrix(items: list[Item]) -> NDArray[np.float32]:
    """The columns of FEATURES for each item, (len(items), len(FEATURES))."""
    matrix = np.zeros((len(items), len(FEATURES)), dtype=np.float32)
    if not items:
        return matrix
    matrix[:, : len(TEXT_CATEGORIES)] = [
        _in_order(_NO_TEXT_SCORES | item.text_scores) for item in items
    ]
    image = _COLUMN[f"image_{TEXT_CATEGORIES[0]}"]
    matrix[:, image : image + len(TEXT_CATEGORIES)] = math.nan
    for row, item in enumerate(items):
        for category, score in item.image_scores.items():
            if category in TEXT_CATEGORIES:
                matrix[row, _COLUMN[f"image_{category}"]] = score
        if item.signals:
            _add_signals(matrix[row], item)
        undone = item.normalized.obfuscation if item.normalized else NO_OBFUSCATION
        if undone is not NO_OBFUSCATION:
            counts = undone.changed, undone.mixed_letters, undone.invisible
            matrix[row, _COLUMN["changed"] :] = counts
    history = [(_days(item), item.author.decisions, item.author.violations) for item in items]
    age = _COLUMN["account_age"]
    matrix[:, age : age + 3] = np.log1p(history)
    return matrix


def _add_signals(row: NDArray[np.float32], item: Item) -> None:
    for signal in item.signals:
        kind = _BY_CATEGORY.get(signal.stage)
        if kind is None:
            continue
        if kind != "image":
            row[_COLUMN["signals"]] += 1
        column = _COLUMN.get(f"{kind}_{signal.category}")
        if column is not None:
            row[column] = np.fmax(row[column], signal.score)


def _days(item: Item) -> float:
    """Since the author's account was made; a clock that is off makes no negative."""
    created = item.content.author_created_at
    if created is None:
        return math.nan
    return max((item.content.created_at - created) / _DAY, 0.0)


def _scores(
    item: Item, probabilities: dict[str, float], hints: Collection[str] = ()
) -> dict[str, float]:
    """`probabilities`, raised to the signals that count by themselves: not to `hints`."""
    scores = _NO_SCORES | probabilities
    for signal in item.signals:
        if (
            signal.stage in DIRECT_STAGES
            and signal.score > scores.get(signal.category, 1.0)
            and signal.rule not in hints
        ):
            scores[signal.category] = signal.score
    return scores
