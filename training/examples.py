"""What the transformer is trained on: labelled texts, templates, varied spellings, with weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.text.transformer import readable
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.augment import Templates
from training.datasets import Corpus, load
from training.obfuscate import vary

_HATE: Final = TEXT_CATEGORIES.index("hate")
_VARIED: Final = 0.15
"""Share of texts whose spelling is varied."""
_PRESUMED_WEIGHT: Final = 0.3
_HATE_WEIGHT: Final = 1.5
"""Hate that is missed costs more than hate that is suspected: the review queue takes the doubt."""
_RARE_REPEATS: Final = {"threat": 3, "sexual": 4}
"""How often positives of a rare category are shown, each time in another spelling."""
_CLEAN_KEPT: Final = {"jigsaw": 0.55, "discord": 0.5, "stormfront": 0.8}
"""Of the texts of these sets without any positive label, the share that is shown."""


@dataclass(frozen=True)
class Examples:
    """n texts as the model reads them; (n, C) targets with 0 for unknown, (n, C) weights."""

    texts: list[str]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


def build(data: Path, *, seed: int) -> Examples:
    """Examples from the train split of `data` and the templates; the same for the same seed.

    A text that is labelled for hate and names a group is shown about another group too.
    """
    random = Random(seed)
    templates = Templates(random)
    corpus = load(data)
    texts: list[str] = []
    targets: list[NDArray[np.float32]] = []
    weights: list[NDArray[np.float32]] = []
    for row in corpus.where("train").tolist():
        shown = [corpus.texts[row]] * _repeats(corpus, row, random)
        if not np.isnan(corpus.targets[row, _HATE]):
            shown += filter(None, [templates.swapped(corpus.texts[row])])
        for text in shown:
            texts.append(text)
            targets.append(corpus.targets[row])
            weights.append(np.where(corpus.presumed[row], _PRESUMED_WEIGHT, 1.0).astype(np.float32))
    for text, labels in templates.generate():
        texts.append(text)
        targets.append(_target(labels))
        weights.append(np.ones(len(TEXT_CATEGORIES), dtype=np.float32))
    texts = [vary(text, random) if random.random() < _VARIED else text for text in texts]
    target = np.array(targets)
    weight = np.array(weights)
    weight[np.isnan(target) & (weight == 1)] = 0
    weight[target[:, _HATE] == 1, _HATE] *= _HATE_WEIGHT
    return Examples(
        [readable(n.text) for n in normalize([text[:4000] for text in texts])],
        np.nan_to_num(target),
        weight,
    )


def _repeats(corpus: Corpus, row: int, random: Random) -> int:
    positive = corpus.targets[row] == 1
    if not positive.any():
        return int(random.random() < _CLEAN_KEPT.get(str(corpus.sources[row]), 1.0))
    found = [
        _RARE_REPEATS.get(c, 1) for c, hit in zip(TEXT_CATEGORIES, positive, strict=True) if hit
    ]
    return max(found)


def _target(labels: dict[str, int]) -> NDArray[np.float32]:
    return np.array([labels.get(c, np.nan) for c in TEXT_CATEGORIES], dtype=np.float32)
