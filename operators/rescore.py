"""Logged contents scored again, by other text models or by those of today."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.text.cascade import Cascade
from models.text.model import TextModel
from operators.fusion import DIRECT_STAGES, Fuser, Fusion
from operators.item import Item
from operators.normalize import Normalizer
from operators.text_score import TextScorer
from policy.taxonomy import CATEGORIES


class Rescorer:
    """Scores items by their text and what rules, lists and images had found in them.

    Whatever a model raises is passed on.

    Args:
        model: the text models.
        fusion: the fusion model.
    """

    STAGES = (TextScorer.STAGE, Fuser.STAGE)
    """Nothing that `degraded` says of these is true of the new scores."""

    def __init__(self, model: TextModel | Cascade, fusion: Fusion) -> None:
        self._stages = (Normalizer(), TextScorer(model), Fuser(fusion))
        self.version = f"{model.name} {model.version}, {fusion.name} {fusion.version}"

    def __call__(self, items: list[Item]) -> NDArray[np.float32]:
        """(n, 8): the probability of each of CATEGORIES; whatever the items were scored."""
        for item in items:
            item.signals = [each for each in item.signals if each.stage in DIRECT_STAGES]
        for stage in self._stages:
            items = stage(items)
        rows = [[item.scores[category] for category in CATEGORIES] for item in items]
        return np.array(rows, np.float32).reshape(-1, len(CATEGORIES))
