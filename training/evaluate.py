"""How good a cascade is: figures of the test split, spelling tricks, functional tests.

Nothing here is seen by a training, a calibration or a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.text.cascade import Cascade
from policy.taxonomy import TEXT_CATEGORIES
from training import evasion, functional
from training.cards import figures_table
from training.cascade import Scored, normalized, score
from training.datasets import load
from training.metrics import Figures, by_category


@dataclass(frozen=True)
class Evaluation:
    """What a cascade and its models, each on every text, are worth on the test split."""

    scored: Scored
    cascade: NDArray[np.float32]
    """(n, C)."""
    settled_by: NDArray[np.int64]
    """(n,): number of the last model that saw the text."""

    def figures(self, model: str) -> dict[str, Figures]:
        """By category, of one of MODELS."""
        each = (*self.scored.scores, self.cascade)
        return by_category(self.scored.targets, each[MODELS.index(model)])


MODELS: Final = ("fast", "student", "transformer", "cascade")


def evaluate(cascade: Cascade, data: Path) -> Evaluation:
    """Scores all rows of the test split with every model. Raises DatasetError."""
    corpus = load(data)
    scored = score(cascade.models, corpus, "test")
    settled = cascade.settle(normalized(corpus, "test"))
    return Evaluation(scored, settled.scores, settled.settled_by)


def f1_table(found: Evaluation) -> str:
    """Markdown: F1 at 0.5 by category, of the cascade and of each model on every text."""
    by_model = {model: found.figures(model) for model in MODELS}
    lines = [f"| category | positives | {' | '.join(MODELS)} |", "|---|---|" + "---|" * len(MODELS)]
    for category in TEXT_CATEGORIES:
        cells = " | ".join(f"{by_model[model][category].f1:.3f}" for model in MODELS)
        lines.append(f"| {category} | {by_model['fast'][category].positives} | {cells} |")
    macro = " | ".join(f"{macro_f1(by_model[model]):.3f}" for model in MODELS)
    return "\n".join([*lines, f"| **macro** | | {macro} |"])


def macro_f1(by_category: dict[str, Figures]) -> float:
    """Mean F1 of the categories."""
    return float(np.mean([one.f1 for one in by_category.values()]))


def sent_on(found: Evaluation) -> str:
    """Which shares of texts the more expensive models see."""
    shares = [
        f"to the {model} {found.scored.mix[sent].sum():.1%} of the real mix"
        f" and {sent.mean():.1%} of the labelled sets"
        for number, model in enumerate(MODELS[1:-1], 1)
        for sent in (found.settled_by >= number,)
    ]
    return f"Sent on: {', '.join(shares)}."


def report(cascade: Cascade, data: Path, found: Evaluation) -> str:
    """Markdown: the figures of a cascade, `found` of its test split among them, without plots."""
    texts, truth = evasion.draw(data)
    toxic = evasion.toxicity(cascade.predict, texts)
    cases = functional.read_suite()
    return "\n\n".join([
        "### F1 at 0.5, test split",
        f1_table(found),
        sent_on(found),
        "### The cascade",
        figures_table(found.figures("cascade")),
        f"Toxic against benign comments: ROC-AUC {roc_auc_score(truth, toxic):.3f}.",
        "### Functional tests of hate detection",
        functional.accuracy_table(cases, functional.hate_scores(cascade.predict, cases)),
        "### Evasion",
        evasion.table(cascade.predict, texts, truth),
    ])  # fmt: skip
