"""The fusion model: what text, rules, hashes, images and history say together, by LightGBM.

A booster a category adds its correction to the logit of the text model's probability, so that with
nothing else known the text model's word stands. What speaks for a category can only raise it: the
boosters are monotone in its rule, hash and image scores and in the author's violations.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from policy.taxonomy import TEXT_CATEGORIES

BUILT_IN: Final = Path(__file__).parent / "lightgbm"

FEATURES: Final = (
    *(f"text_{category}" for category in TEXT_CATEGORIES),
    *(f"rule_{category}" for category in TEXT_CATEGORIES),
    *(f"hash_{category}" for category in TEXT_CATEGORIES),
    *(f"image_{category}" for category in TEXT_CATEGORIES),
    "signals",
    "account_age",
    "decisions",
    "violations",
    "changed",
    "mixed_letters",
    "invisible",
)
"""The columns of the feature matrix.

text_* and image_*: probabilities, NaN where nothing was scored. rule_* and hash_*: the highest
score of a signal, 0 without one. signals: how many rules and hashes spoke. account_age: log(1 +
days), or NaN. decisions, violations: log(1 + count) of the author's history. changed,
mixed_letters, invisible: what normalizing undid, as in `operators.normalize.Obfuscation`. The
length of the text is none of them: in the labelled sets it tells which set a text is from, and with
that its category, but not on a platform.
"""

_NO_TEXT: Final = 0.01
"""What is assumed of a content without text before anything else is looked at."""
_LEAST: Final = 1e-4


def text_logits(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits of the text probabilities, (n, 5): where the boosters start from."""
    scores = features[:, : len(TEXT_CATEGORIES)].astype(np.float64)
    scores = np.where(np.isnan(scores), _NO_TEXT, scores).clip(_LEAST, 1 - _LEAST)
    logits: NDArray[np.float64] = np.log(scores / (1 - scores))
    return logits


class FusionModel:
    """Calibrated probabilities of each of TEXT_CATEGORIES from the columns of FEATURES.

    Args:
        directory: holds card.json and a booster a category. Raises OSError or LightGBMError for
            what cannot be read.
    """

    name: Final = "fusion"

    def __init__(self, directory: Path = BUILT_IN) -> None:
        card = json.loads((directory / "card.json").read_text())
        self.version: str = card["version"]
        self._boosters = [
            lightgbm.Booster(model_file=directory / f"{category}.txt")
            for category in TEXT_CATEGORIES
        ]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, 5) of `features` (n, len(FEATURES))."""
        logits = text_logits(features)
        if len(features):
            for column, booster in enumerate(self._boosters):
                logits[:, column] += booster.predict(features, raw_score=True, num_threads=1)
        scores: NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return scores
