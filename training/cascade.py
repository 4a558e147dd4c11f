"""The cascade: which texts the fast model sends on, for a stated budget, and how both are weighed.

`python -m training.cascade --data DIR --budget 0.05` writes cascade.json beside the models. On the
validation split, along the fast model's score of each category: where does the second model mend
wrong answers, and what would it have to read of the real mix there? The bands are where it mends
most for what it reads, as wide as the budget allows beside the texts that go on because of whom
they name. Where both models have seen a text, their log odds are weighed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.text.cascade import BUILT_IN, Band, Blend, Cascade, log_odds
from models.text.fast import FastTextModel
from models.text.groups import GroupNames
from models.text.transformer import TransformerModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import Corpus, load

REAL_MIX: Final = {"discord": 0.8, "sms_spam": 0.1}
"""Everyday chat and messages: nine tenths of what a platform sees; the other sets share a tenth."""
BUDGET: Final = 0.05
"""Share of the real mix."""
_MIN_POSITIVES: Final = 40
_BINS: Final = 60
_HALVINGS: Final = 40
_START: Final = 20
"""What a text costs beside its characters, in characters."""
_READ: Final = 2500
"""Characters of a text that the transformer reads at most."""


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
    """(n,): sent on whatever the bands."""


def score(cascade: Cascade, corpus: Corpus, split: str) -> Scored:
    """Both models' scores of all rows of a split."""
    rows = corpus.where(split)
    texts = [n.text for n in normalize([corpus.texts[row] for row in rows.tolist()])]
    fast, transformer = cascade.models
    quick = fast.predict(texts)
    return Scored(
        quick,
        transformer.predict(texts),
        corpus.targets[rows],
        mix_weights(corpus.sources[rows].tolist()),
        np.array([len(text) for text in texts]),
        cascade.doubtful(texts, quick),
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


def fit(scored: Scored, second: NDArray[np.float32], budget: float) -> Band:
    """The band that sends on at most `budget` of the real mix; `second` are both models' scores."""
    cost = scored.mix * (scored.lengths.clip(max=_READ) + _START)
    curves = [
        _worth(scored.fast[:, column], second[:, column], scored.targets[:, column], cost)
        for column in range(len(TEXT_CATEGORIES))
    ]
    low, high = 0.0, max(float(worth.max()) for _, worth in curves)
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        sent_on = _band(curves, level).unsure(scored.fast) | scored.doubted
        if float(scored.mix[sent_on].sum()) > budget:
            low = level
        else:
            high = level
    return _band(curves, high)


def _worth(
    fast: NDArray[np.float32],
    second: NDArray[np.float32],
    targets: NDArray[np.float32],
    cost: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of bins of the fast score, (b + 1,), and answers mended for what each costs, (b,).

    Answers count among the labelled rows and relative to the category's positives, as in F1; the
    cost, (n,), is what the transformer reads in the real mix.
    """
    inner = np.quantile(fast, np.linspace(0, 1, _BINS + 1)[1:-1])
    edges = np.unique(np.concatenate([[0.0], inner, np.linspace(0.05, 1, 20)]))
    numbers = np.clip(np.searchsorted(edges, fast, side="right") - 1, 0, len(edges) - 2)
    right = [(scores >= 0.5) == (targets == 1) for scores in (fast, second)]
    mended = np.where(np.isnan(targets), 0.0, right[1].astype(float) - right[0])
    gain = np.bincount(numbers, mended / max(1, (targets == 1).sum()), minlength=len(edges) - 1)
    paid = np.bincount(numbers, cost / cost.sum(), minlength=len(edges) - 1)
    return edges, gain.clip(min=0) / (paid + 1e-4)


def _band(curves: list[tuple[NDArray[np.float64], NDArray[np.float64]]], level: float) -> Band:
    low, high = [], []
    for edges, worth in curves:
        over = np.flatnonzero(worth >= level)
        low.append(edges[over[0]] if over.size else 0.5)
        high.append(edges[over[-1] + 1] if over.size else 0.5)
    return Band(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))


def train(data: Path, directory: Path = BUILT_IN, *, budget: float = BUDGET) -> None:
    """Fits bands and blends to the models under `directory` and writes its cascade.json."""
    models = (FastTextModel(directory / "fast"), TransformerModel(directory / "minilm"))
    everything = Band(*np.array([[-1.0], [2.0]], dtype=np.float32))
    held = score(Cascade(models, [everything], groups=GroupNames()), load(data), "validation")
    weights = blend(held)
    band = fit(held, weights(held.fast, held.transformer), budget)
    table = {
        "models": [model.version for model in models],
        "budget": budget,
        "real_mix": REAL_MIX,
        "bands": _by_category(band.low, band.high),
        "blends": _by_category(weights.before, weights.after, weights.intercept),
    }
    (directory / "cascade.json").write_text(json.dumps(table, indent=1) + "\n")


def _by_category(*columns: NDArray[np.float32]) -> dict[str, list[float]]:
    return {
        category: [round(float(column[i]), 5) for column in columns]
        for i, category in enumerate(TEXT_CATEGORIES)
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
