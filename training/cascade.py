"""The cascade: which texts each model sends on, for stated budgets, and how opinions are weighed.

`python -m training.cascade --data DIR --student-budget 0.05 --budget 0.011` writes cascade.json
beside the models. On the validation split a gate before each model but the first learns where the
answers to come mend those so far, and what would have to be read of the real mix for them
(training/gate.py); it lets the worthiest through, as many as its budget allows, beside the texts
that the second model sees because of whom they name. Where more than one model has seen a text,
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

from models.text.cascade import BUILT_IN, Blend, load_models
from models.text.gate import Gate, log_odds
from models.text.groups import GroupNames, doubtful, still_open
from models.text.model import TextModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training import gate
from training.budgets import BUDGETS
from training.datasets import Corpus, load

REAL_MIX: Final = {"discord": 0.8, "sms_spam": 0.1}
"""Everyday chat and messages: nine tenths of what a platform sees; the other sets share a tenth."""
_MIN_POSITIVES: Final = 40


@dataclass(frozen=True)
class Scored:
    """n texts scored by every model; `mix` weighs rows to the real mix, sum 1."""

    scores: tuple[NDArray[np.float32], ...]
    """(n, C) by each model, from the cheapest to the most expensive."""
    targets: NDArray[np.float32]
    mix: NDArray[np.float64]
    lengths: NDArray[np.int64]
    """(n,), in characters."""
    names: NDArray[np.int8]
    """(n,): whom it names (models/text/groups.py)."""

    def part(self, rows: NDArray[np.bool_]) -> Scored:
        """Some rows, as a split of their own."""
        return Scored(
            tuple(scores[rows] for scores in self.scores),
            self.targets[rows],
            self.mix[rows] / self.mix[rows].sum(),
            self.lengths[rows],
            self.names[rows],
        )


def score(models: Sequence[TextModel], corpus: Corpus, split: str) -> Scored:
    """The scores by every model of all rows of a split."""
    rows, texts = corpus.where(split), normalized(corpus, split)
    scores = tuple(model.predict(texts) for model in models)
    return Scored(
        scores,
        corpus.targets[rows],
        mix_weights(corpus.sources[rows].tolist()),
        np.array([len(text) for text in texts]),
        GroupNames().find(texts, scores[0]),
    )


def normalized(corpus: Corpus, split: str) -> list[str]:
    """The texts of a split as the models read them."""
    rows = corpus.where(split).tolist()
    return [one.text for one in normalize([corpus.texts[row] for row in rows])]


def mix_weights(sources: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each row so that the sets have their shares of the real mix, (n,)."""
    kinds, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    rest = (1 - sum(REAL_MIX.values())) / max(1, len(set(kinds.tolist()) - set(REAL_MIX)))
    shares = np.array([REAL_MIX.get(kind, rest) for kind in kinds.tolist()])
    weights: NDArray[np.float64] = (shares / counts)[inverse]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def blend(scored: Scored) -> list[Blend]:
    """How each next model's log odds are weighed with those so far (stacking), from labelled rows.

    A category with few positives takes the mean of both.
    """
    found: list[Blend] = []
    so_far = scored.scores[0]
    for after in scored.scores[1:]:
        found.append(_stack(so_far, after, scored.targets))
        so_far = found[-1](so_far, after)
    return found


def _stack(
    before: NDArray[np.float32], after: NDArray[np.float32], targets: NDArray[np.float32]
) -> Blend:
    first, second = log_odds(before), log_odds(after)
    columns: list[list[float]] = []
    for column in range(len(TEXT_CATEGORIES)):
        known = ~np.isnan(targets[:, column])
        truth = targets[known, column] == 1
        if truth.sum() < _MIN_POSITIVES:
            columns.append([0.5, 0.5, 0.0])
            continue
        inputs = np.column_stack([first[known, column], second[known, column]])
        fitted = LogisticRegression().fit(inputs, truth)
        columns.append([*fitted.coef_[0].tolist(), float(fitted.intercept_[0])])
    return Blend(*np.array(columns, dtype=np.float32).round(4).T)


def opinions(scored: Scored, blends: Sequence[Blend]) -> list[NDArray[np.float32]]:
    """What the cascade would say after each model if all had seen every text, (n, C) each."""
    found = [scored.scores[0]]
    for weigh, after in zip(blends, scored.scores[1:], strict=True):
        found.append(weigh(found[-1], after))
    return found


def fit(held: Scored, blends: Sequence[Blend], budgets: Sequence[float]) -> list[Gate]:
    """The gate before each model but the first, which send on the worthiest of what gets there."""
    said = opinions(held, blends)
    read = gate.reading(held.lengths, held.mix)
    gates: list[Gate] = []
    arriving, forced = np.ones(len(read), dtype=np.bool_), doubtful(held.names, said[0])
    for before, middle, budget in zip(said[:-1], gate.MIDDLES, budgets, strict=True):
        open_to = arriving & ~forced
        gain = gate.gains(before, said[-1], held.targets) * open_to
        fitted = gate.fit(before, held.lengths, gain, read * open_to, middle)
        left = budget - float(held.mix[forced].sum())
        gates.append(gate.within(fitted, before, held.lengths, held.mix * open_to, left))
        arriving = (arriving & gates[-1].unsure(before, held.lengths)) | forced
        forced = arriving & still_open(held.names, said[len(gates)])
    return gates


def train(data: Path, directory: Path = BUILT_IN, *, budgets: tuple[float, ...] = BUDGETS) -> None:
    """Fits gates and blends to the models under `directory` and writes its cascade.json."""
    models = load_models(directory)
    held = score(models, load(data), "validation")
    blends = blend(held)
    steps = zip(fit(held, blends, budgets), blends, strict=True)
    table = {
        "models": [model.version for model in models],
        "budgets": budgets,
        "real_mix": REAL_MIX,
        "steps": [_step(opened, weights) for opened, weights in steps],
    }
    (directory / "cascade.json").write_text(json.dumps(table, indent=1) + "\n")


def _step(opened: Gate, weights: Blend) -> dict[str, Any]:
    return {
        "gate": {
            "odds": opened.odds.tolist(),
            "by_odds": _by_category(opened.by_odds),
            "lengths": opened.lengths.tolist(),
            "by_length": opened.by_length.round(4).tolist(),
            "middle": _by_category(opened.middle),
        },
        "blends": _by_category(np.array([weights.before, weights.after, weights.intercept]).T),
    }


def _by_category(rows: NDArray[np.floating[Any]]) -> dict[str, list[float]]:
    return {
        category: [round(float(value), 4) for value in row]
        for category, row in zip(TEXT_CATEGORIES, rows, strict=True)
    }


def main() -> None:
    """Command line of the cascade's training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--student-budget", type=float, default=BUDGETS[0])
    parser.add_argument("--budget", type=float, default=BUDGETS[1], help="of the transformer")
    parser.add_argument("--directory", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    budgets = (options.student_budget, options.budget)
    train(options.data, options.directory, budgets=budgets)


if __name__ == "__main__":
    main()
