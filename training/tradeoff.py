"""What a budget buys: F1, reading and functional accuracy of the cascade over budgets.

`python -m training.tradeoff --data DIR` prints a table. F1 is of the validation split,
cross-fitted: gate and blends of each fifth are learned from the other four, or the table would tell
how well they remember. The functional suite is its dev half. Nothing is of a test split.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.text.cascade import BUILT_IN, Blend, Cascade
from models.text.gate import Gate
from models.text.groups import GroupNames
from operators.normalize import normalize
from training import gate
from training.cascade import Scored, blend, fit, score
from training.datasets import load
from training.evaluate import macro_f1
from training.functional import read_suite
from training.metrics import by_category

_BUDGETS: Final = (0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.07)
_FOLDS: Final = 5


@dataclass(frozen=True)
class _Held:
    """The validation split, and of each row the group that it may not be parted from."""

    scored: Scored
    groups: NDArray[np.int64]

    def part(self, rows: NDArray[np.bool_]) -> Scored:
        """Some rows, as a split of their own."""
        one = self.scored
        return Scored(
            one.fast[rows],
            one.transformer[rows],
            one.targets[rows],
            one.mix[rows] / one.mix[rows].sum(),
            one.lengths[rows],
            one.doubted[rows],
        )

    def cross_fitted(self, budget: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The cascade's scores, (n, C), and which texts it sent on, (n,)."""
        scores = self.scored.fast.copy()
        sent = np.zeros(len(scores), dtype=np.bool_)
        folds = np.random.default_rng(0).permutation(self.groups.max() + 1)[self.groups] % _FOLDS
        for fold in range(_FOLDS):
            rows = folds == fold
            others = self.part(~rows)
            weights = blend(others)
            one = self.part(rows)
            opened = fit(others, weights, budget)
            scores[rows], sent[rows] = _settled(opened, weights, one)
        return scores, sent


def _settled(
    opened: Gate, weights: Blend, one: Scored
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    sent = opened.unsure(one.fast, one.lengths) | one.doubted
    both = weights(one.fast, one.transformer)
    return np.where(sent[:, None], both, one.fast), sent


def table(data: Path, directory: Path = BUILT_IN) -> str:
    """Markdown: a row a budget, and one of the transformer on every text."""
    models = Cascade.load(directory).models
    corpus = load(data)
    held = _Held(score(models, corpus, "validation"), corpus.groups[corpus.where("validation")])
    cases = [case for case in read_suite() if case.split == "dev"]
    texts = [found.text for found in normalize([case.text for case in cases])]
    quick = models[0].predict(texts)
    suite = Scored(
        quick,
        models[1].predict(texts),
        targets=np.zeros((len(texts), len(models[0].categories)), dtype=np.float32),
        mix=np.full(len(texts), 1 / len(texts)),
        lengths=np.array([len(text) for text in texts]),
        doubted=GroupNames().doubtful(texts, quick),
    )
    hateful = np.array([case.hateful for case in cases])
    whole = held.scored
    reading = gate.reading(whole.lengths, whole.mix)
    weights = blend(whole)
    lines = [
        "| budget | sent on | of all reading | macro F1 | functional suite, dev |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for budget in _BUDGETS:
        scores, sent = held.cross_fitted(budget)
        tested, _ = _settled(fit(whole, weights, budget), weights, suite)
        lines.append(
            f"| {budget:.1%} | {whole.mix[sent].sum():.1%} | {reading[sent].sum():.1%}"
            f" | {macro_f1(by_category(whole.targets, scores)):.3f}"
            f" | {((tested[:, 0] >= 0.5) == hateful).mean():.3f} |"
        )
    alone = macro_f1(by_category(whole.targets, whole.transformer))
    right = ((suite.transformer[:, 0] >= 0.5) == hateful).mean()
    return "\n".join([*lines, f"| transformer | 100% | 100% | {alone:.3f} | {right:.3f} |"])


def main() -> None:
    """Command line of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--directory", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    print(table(options.data, options.directory))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
