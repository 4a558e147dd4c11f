"""What budgets buy: F1, reading and functional accuracy of the cascade over pairs of budgets.

`python -m training.tradeoff --data DIR` prints a table. F1 is of the validation split,
cross-fitted: gates and blends of each fifth are learned from the other four, or the table would
tell how well they remember. The functional suite is its dev half. Nothing is of a test split.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.text.cascade import BUILT_IN, Blend, Cascade, CascadeResult
from models.text.gate import Gate
from models.text.model import TextModel
from operators.normalize import normalize
from training import gate
from training.cascade import Scored, blend, fit, score
from training.datasets import load
from training.evaluate import macro_f1
from training.functional import Case, read_suite
from training.metrics import by_category

_STUDENT: Final = (0.04, 0.05, 0.065)
_TRANSFORMER: Final = (0.011, 0.0135, 0.016)
_FOLDS: Final = 5


@dataclass(frozen=True)
class Tradeoff:
    """Models, the validation split, and of each row the group that it may not be parted from."""

    models: tuple[TextModel, ...]
    scored: Scored
    groups: NDArray[np.int64]

    def cross_fitted(self, budgets: Sequence[float]) -> CascadeResult:
        """What cascades say of the validation split that were fitted to other rows of it."""
        scores = self.scored.scores[0].copy()
        settled_by = np.zeros(len(scores), dtype=np.int64)
        folds = np.random.default_rng(0).permutation(self.groups.max() + 1)[self.groups] % _FOLDS
        for fold in range(_FOLDS):
            rows = folds == fold
            others = self.scored.part(~rows)
            blends = blend(others)
            found = self.settle(fit(others, blends, budgets), blends, self.scored.part(rows))
            scores[rows], settled_by[rows] = found.scores, found.settled_by
        return CascadeResult(scores, settled_by)

    def settle(self, gates: Sequence[Gate], blends: Sequence[Blend], one: Scored) -> CascadeResult:
        """What a cascade with these gates and blends says."""
        cascade = Cascade(self.models, gates, blends)
        return cascade.settle_scores(*one.scores, lengths=one.lengths, names=one.names)


def table(data: Path, directory: Path = BUILT_IN) -> str:
    """Markdown: a row a pair of budgets, and one of the transformer on every text."""
    cascade = Cascade.load(directory)
    corpus = load(data)
    whole = score(cascade.models, corpus, "validation")
    tradeoff = Tradeoff(cascade.models, whole, corpus.groups[corpus.where("validation")])
    cases = [case for case in read_suite() if case.split == "dev"]
    suite = _scored(cascade, cases)
    hateful = np.array([case.hateful for case in cases])
    reading = gate.reading(whole.lengths, whole.mix)
    blends = blend(whole)
    lines = [
        "| budgets | | student reads | transformer reads | macro F1 | functional suite, dev |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for budgets in product(_STUDENT, _TRANSFORMER):
        found = tradeoff.cross_fitted(budgets)
        read = [reading[found.settled_by >= number].sum() for number in (1, 2)]
        tested = tradeoff.settle(fit(whole, blends, budgets), blends, suite)
        shares = " | ".join(f"{share:.1%}" for share in (*budgets, *read))
        lines.append(f"| {shares} | {_figures(whole, found.scores, tested.scores, hateful)} |")
    alone = _figures(whole, whole.scores[-1], suite.scores[-1], hateful)
    return "\n".join([*lines, f"| transformer | 100% | | 100% | {alone} |"])


def _figures(
    held: Scored,
    scores: NDArray[np.float32],
    tested: NDArray[np.float32],
    hateful: NDArray[np.bool_],
) -> str:
    """Two cells: macro F1 of the validation split, accuracy on the functional suite."""
    right = ((tested[:, 0] >= 0.5) == hateful).mean()
    return f"{macro_f1(by_category(held.targets, scores)):.3f} | {right:.3f}"


def _scored(cascade: Cascade, cases: Sequence[Case]) -> Scored:
    """The functional suite as a split without labels."""
    texts = [found.text for found in normalize([case.text for case in cases])]
    scores = tuple(model.predict(texts) for model in cascade.models)
    return Scored(
        scores,
        targets=np.zeros((len(texts), len(cascade.categories)), dtype=np.float32),
        mix=np.full(len(texts), 1 / len(texts)),
        lengths=np.array([len(text) for text in texts]),
        names=cascade.names(texts, scores[0]),
    )


def main() -> None:
    """Command line of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--directory", type=Path, default=BUILT_IN)
    options = parser.parse_args()
    print(table(options.data, options.directory))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
