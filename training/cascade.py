"""The cascade: which texts the fast model sends on, for a stated budget, and how both are weighed.

`python -m training.cascade --data DIR --budget 0.04` writes cascade.json beside the models. On the
validation split a gate learns where the second model mends answers and what it would have to read
of the real mix for them (training/gate.py); it lets the worthiest through, as many as the budget
allows beside the texts that go on because of whom they name. Where both models have seen a text,
their log odds are weighed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.text.cascade import BUILT_IN, Blend
from models.text.fast import FastTextModel
from models.text.gate import Gate, log_odds
from models.text.groups import GroupNames
from models.text.model import TextModel
from models.text.transformer import TransformerModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training import gate
from training.datasets import Corpus, load

REAL_MIX: Final = {"discord": 0.8, "sms_spam": 0.1}
"""Everyday chat and messages: nine tenths of what a platform sees; the other sets share a tenth."""
BUDGET: Final = 0.04
"""Share of the real mix."""
_MIN_POSITIVES: Final = 40


@dataclass(frozen=True)
class Scored:
    """n texts scored by both models, (n, C) each; `mix` weighs rows to the real mix, sum 1."""

    fast: NDArray[np.float32]
    transformer: NDArray[np.float32]
    targets: NDArray[np.float32]
    mix: NDArray[np.float64]
    lengths: NDArray[np.int64]
    """(n,), in characters."""
    doubted: NDArray[np.bool_]
    """(n,): sent on whatever the gate."""


def score(models: Sequence[TextModel], corpus: Corpus, split: str) -> Scored:
    """Both models' scores of all rows of a split."""
    rows = corpus.where(split)
    texts = [n.text for n in normalize([corpus.texts[row] for row in rows.tolist()])]
    fast, transformer = models
    quick = fast.predict(texts)
    return Scored(
        quick,
        transformer.predict(texts),
        corpus.targets[rows],
        mix_weights(corpus.sources[rows].tolist()),
        np.array([len(text) for text in texts]),
        GroupNames().doubtful(texts, quick),
    )


def mix_weights(sources: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each row so that the sets have their shares of the real mix, (n,)."""
    kinds, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    rest = (1 - sum(REAL_MIX.values())) / max(1, len(set(kinds.tolist()) - set(REAL_MIX)))
    shares = np.array([REAL_MIX.get(kind, rest) for kind in kinds.tolist()])
    weights: NDArray[np.float64] = (shares / counts)[inverse]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def blend(scored: Scored) -> Blend:
    """Weights of both models' log odds by logistic regression (stacking) on the labelled rows.

    A category with few positives takes the mean of both models.
    """
    first, second = log_odds(scored.fast), log_odds(scored.transformer)
    columns: list[list[float]] = []
    for column in range(len(TEXT_CATEGORIES)):
        known = ~np.isnan(scored.targets[:, column])
        truth = scored.targets[known, column] == 1
        if truth.sum() < _MIN_POSITIVES:
            columns.append([0.5, 0.5, 0.0])
            continue
        inputs = np.column_stack([first[known, column], second[known, column]])
        fitted = LogisticRegression().fit(inputs, truth)
        columns.append([*fitted.coef_[0].tolist(), float(fitted.intercept_[0])])
    return Blend(*np.array(columns, dtype=np.float32).round(4).T)


def fit(held: Scored, weights: Blend, budget: float) -> Gate:
    """The gate that sends on the worthiest `budget` of the real mix, the doubted among them."""
    open_to = ~held.doubted
    gain = gate.gains(held.fast, weights(held.fast, held.transformer), held.targets) * open_to
    cost = gate.reading(held.lengths, held.mix) * open_to
    fitted = gate.fit(held.fast, held.lengths, gain, cost)
    left = budget - float(held.mix[held.doubted].sum())
    return gate.within(fitted, held.fast, held.lengths, held.mix * open_to, left)


def train(data: Path, directory: Path = BUILT_IN, *, budget: float = BUDGET) -> None:
    """Fits gate and blends to the models under `directory` and writes its cascade.json."""
    models = (FastTextModel(directory / "fast"), TransformerModel(directory / "minilm"))
    held = score(models, load(data), "validation")
    weights = blend(held)
    opened = fit(held, weights, budget)
    table = {
        "models": [model.version for model in models],
        "budget": budget,
        "real_mix": REAL_MIX,
        "gate": {
            "odds": opened.odds.tolist(),
            "by_odds": _by_category(opened.by_odds),
            "lengths": opened.lengths.tolist(),
            "by_length": opened.by_length.round(4).tolist(),
            "middle": _by_category(opened.middle),
        },
        "blends": _by_category(np.array([weights.before, weights.after, weights.intercept]).T),
    }
    (directory / "cascade.json").write_text(json.dumps(table, indent=1) + "\n")


def _by_category(rows: NDArray[np.floating[Any]]) -> dict[str, list[float]]:
    return {
        category: [round(float(value), 4) for value in row]
        for category, row in zip(TEXT_CATEGORIES, rows, strict=True)
    }


def main() -> None:
    """Command line of the cascade's training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=BUDGET)
    parser.add_argument("--directory", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    train(options.data, options.directory, budget=options.budget)


if __name__ == "__main__":
    main()
