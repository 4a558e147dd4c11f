"""A candidate is tried before it is put in use: does it work, and is it no worse?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.fusion.fusion import FEATURES, FusionModel
from models.image.classifier import ImageClassifier
from models.text.cascade import Cascade
from policy.taxonomy import TEXT_CATEGORIES

_TEXTS: Final = ("", "see you at six", "you are a stupid worthless idiot", "win a prize " * 300)
_MIN_POSITIVES: Final = 50
"""In a test split; with fewer of a category one text moves its figures by points."""
_LOSS: Final = 0.02
"""Of the mean PR-AUC; other draws of a test split move it by about one point."""


class TrialError(ValueError):
    """A candidate does not work, or is worse; the text says how."""


def try_out(name: str, directory: Path) -> None:
    """Raises TrialError when the model `name` in `directory` does not load or gives no scores."""
    try:
        scores = _scores(name, directory)
    except Exception as error:  # each library raises types of its own here
        raise TrialError(f"it does not work: {error}") from error
    for found in scores:
        if not ((found >= 0) & (found <= 1)).all():
            raise TrialError("its scores are no probabilities")


def _scores(name: str, directory: Path) -> list[NDArray[np.float32]]:
    if name == "image":
        ImageClassifier(directory / "card.json")  # which tries itself
        return []
    if name == "fusion":
        nothing_known = np.full((1, len(FEATURES)), np.nan, dtype=np.float32)
        return [FusionModel(directory).predict(nothing_known)]
    cascade = Cascade.load(directory)
    if cascade.categories != TEXT_CATEGORIES:
        raise ValueError(f"its categories are {', '.join(cascade.categories)}")
    return [each.predict(_TEXTS) for each in (*cascade.models, cascade)]


def compare(candidate: Path, in_use: Path, parts: tuple[str, ...]) -> None:
    """Raises TrialError when a part of `candidate` has a lower mean PR-AUC than that in use."""
    for part in parts:
        new, old = (_figures(directory / part) for directory in (candidate, in_use))
        known = [
            category
            for category in new.keys() & old.keys()
            if min(each[category]["positives"] for each in (new, old)) >= _MIN_POSITIVES
        ]
        if not known:
            continue
        after, before = (np.mean([each[c]["pr_auc"] for c in known]) for each in (new, old))
        if after < before - _LOSS:
            raise TrialError(
                f"its mean PR-AUC is {after:.3f}, that of the model in use {before:.3f}"
                f" ({candidate / part / 'card.json'}); --even-if-worse promotes it"
            )


def _figures(directory: Path) -> dict[str, Any]:
    """What the card says of each category on the test split; nothing for a card without."""
    try:
        found: dict[str, Any] = json.loads((directory / "card.json").read_text("utf-8"))["figures"]
    except (OSError, ValueError, KeyError):
        return {}
    return found
