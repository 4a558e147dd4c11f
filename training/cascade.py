"""The cascade: which texts the fast model sends on, for a stated budget, and how both are weighed.

`python -m training.cascade --data DIR --budget 0.04` writes models/text/cascade.json. In each
category the chance that the second model changes the answer is estimated along the fast model's
score on the validation split; the band is where that chance is highest, as wide as the budget
allows on the real mix. Where both models have seen a text, their log odds are weighed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from models.text.cascade import BUILT_IN, Band, Blend, log_odds
from models.text.fast import FastTextModel
from models.text.transformer import TransformerModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import Corpus, load

REAL_MIX: Final = {"discord": 0.8, "sms_spam": 0.1}
"""Everyday chat and messages: nine tenths of what a platform sees; the other sets share a tenth."""
_MAX_CHARACTERS: Final = 400
_MAX_ROWS: Final = 3000
_MIN_POSITIVES: Final = 40
_CUTS: Final = (-1.5, 0.5)
"""Log odds between which the cut of the best F1 is sought."""
_BINS: Final = 60
_HALVINGS: Final = 30


@dataclass(frozen=True)
class Scored:
    """n texts scored by both models, (n, C) each; `mix` weighs rows to the real mix, sum 1."""

    fast: NDArray[np.float32]
    transformer: NDArray[np.float32]
    targets: NDArray[np.float32]
    mix: NDArray[np.float64]


def score(corpus: Corpus, split: str, *, seed: int = 0) -> Scored:
    """Both models' scores on up to _MAX_ROWS rows of a split."""
    rows = [r for r in corpus.where(split).tolist() if len(corpus.texts[r]) <= _MAX_CHARACTERS]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:_MAX_ROWS]
    chosen = np.array(rows)[np.sort(drawn)]
    texts = [n.text for n in normalize([corpus.texts[row] for row in chosen])]
    return Scored(
        FastTextModel().predict(texts),
        TransformerModel().predict(texts),
        corpus.targets[chosen],
        mix_weights(corpus.sources[chosen].tolist()),
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

    The intercept then moves the cut of the best F1 to 0.5: a calibrated rare category would hardly
    ever reach it. A category with few positives takes the mean of both models.
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
        odds = fitted.decision_function(inputs)
        cuts = np.linspace(*_CUTS, 41)
        best = max(cuts, key=lambda cut: f1_score(truth, odds >= cut))
        columns.append([*fitted.coef_[0].tolist(), float(fitted.intercept_[0] - best)])
    return Blend(*np.array(columns, dtype=np.float32).round(4).T)


def fit(scored: Scored, budget: float) -> Band:
    """The band that sends on at most `budget` of the real mix."""
    curves = [
        _disagreement(scored.fast[:, column], scored.transformer[:, column], scored.mix)
        for column in range(len(TEXT_CATEGORIES))
    ]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        if float(scored.mix[_band(curves, level).unsure(scored.fast)].sum()) > budget:
            low = level
        else:
            high = level
    return _band(curves, high)


def _disagreement(
    fast: NDArray[np.float32], transformer: NDArray[np.float32], mix: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of bins of the fast score, (b + 1,), and the chance of disagreement in each, (b,)."""
    differ = (fast >= 0.5) != (transformer >= 0.5)
    inner = np.unique(np.quantile(fast, np.linspace(0, 1, _BINS + 1)[1:-1]))
    edges = np.concatenate([[0.0], inner, [0.5], np.linspace(0.5, 1, 11)])
    edges = np.unique(edges)
    numbers = np.clip(np.searchsorted(edges, fast, side="right") - 1, 0, len(edges) - 2)
    rows = np.bincount(numbers, mix, minlength=len(edges) - 1)
    odd = np.bincount(numbers, mix * differ, minlength=len(edges) - 1)
    return edges, (odd + 1e-6) / (rows + 1e-4)


def _band(curves: list[tuple[NDArray[np.float64], NDArray[np.float64]]], level: float) -> Band:
    low, high = [], []
    for edges, chances in curves:
        over = np.flatnonzero(chances >= level)
        low.append(edges[over[0]] if over.size else 0.5)
        high.append(edges[over[-1] + 1] if over.size else 0.5)
    return Band(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))


def outcome(scored: Scored, band: Band) -> dict[str, Any]:
    """Share sent on and F1 at 0.5 by category, of the cascade and of each model on every text."""
    sent = band.unsure(scored.fast)
    cascade = np.where(sent[:, None], scored.transformer, scored.fast)
    found: dict[str, Any] = {
        "sent_on_real_mix": round(float(scored.mix[sent].sum()), 4),
        "sent_on_labelled_sets": round(float(sent.mean()), 4),
    }
    by_model = {"fast": scored.fast, "transformer": scored.transformer, "cascade": cascade}
    for name, scores in by_model.items():
        f1 = {c: _f1(scored, scores, i) for i, c in enumerate(TEXT_CATEGORIES)}
        found[name] = f1 | {"macro": round(float(np.mean(list(f1.values()))), 4)}
    return found


def _f1(scored: Scored, scores: NDArray[np.float32], column: int) -> float:
    """F1 at 0.5 on the real mix."""
    known = ~np.isnan(scored.targets[:, column])
    truth = scored.targets[known, column] == 1
    flagged = scores[known, column] >= 0.5
    mix = scored.mix[known]
    hits = float(mix[truth & flagged].sum())
    return round(2 * hits / max(1e-12, float(mix[flagged].sum() + mix[truth].sum())), 4)


def train(data: Path, *, budget: float = 0.04, out: Path = BUILT_IN) -> dict[str, Any]:
    """Fits the bands on the validation split, measures on the test split, writes `out`."""
    corpus = load(data)
    held = score(corpus, "validation")
    weights = blend(held)
    held = replace(held, transformer=weights(held.fast, held.transformer))
    band = fit(held, budget)
    test = score(corpus, "test")
    test = replace(test, transformer=weights(test.fast, test.transformer))
    card = {
        "models": [FastTextModel().version, TransformerModel().version],
        "budget": budget,
        "real_mix": REAL_MIX,
        "bands": {
            category: [round(float(band.low[i]), 5), round(float(band.high[i]), 5)]
            for i, category in enumerate(TEXT_CATEGORIES)
        },
        "blends": {
            category: [
                round(float(column[i]), 4)
                for column in (weights.before, weights.after, weights.intercept)
            ]
            for i, category in enumerate(TEXT_CATEGORIES)
        },
        "test_split": outcome(test, band),
    }
    out.write_text(json.dumps(card, indent=1) + "\n")
    return card


def main() -> None:
    """Command line of the cascade's training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=0.04)
    parser.add_argument("--out", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    card = train(options.data, budget=options.budget, out=options.out)
    print(json.dumps(card, indent=1))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
