"""Functional tests of hate detection: accuracy by functionality on the hand-written suite.

`python -m training.functional` scores tests/functional/hate.csv by all the text stages, or by the
cascade or the transformer alone. Rows of the split `dev` may guide the making of the models; rows
of `test` are looked at for figures alone.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from events.messages import Content, Position
from models.fusion.fusion import FusionModel
from models.text.cascade import Cascade
from models.text.transformer import BUILT_IN, TransformerModel
from operators.fusion import Fuser
from operators.item import Item
from operators.language import LanguageDetector
from operators.normalize import Normalizer, normalize
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.rules import load_rules

SUITE: Final = Path("tests/functional/hate.csv")


@dataclass(frozen=True)
class Case:
    """A sentence and whether it is hateful."""

    case_id: str
    functionality: str
    split: str
    hateful: bool
    text: str


def read_suite(path: Path = SUITE) -> list[Case]:
    """The cases of a suite, in the order of the file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            Case(
                row["id"],
                row["functionality"],
                row["split"],
                row["hateful"] == "1",
                row["text"],
            )
            for row in csv.DictReader(lines)
        ]


def hate_scores(
    predict: Callable[[Sequence[str]], NDArray[np.float32]], cases: Sequence[Case]
) -> NDArray[np.float32]:
    """Probability of hate, (n,), of every case by a text model's `predict`."""
    return predict([n.text for n in normalize([case.text for case in cases])])[:, 0]


def chain_scores(cases: Sequence[Case]) -> NDArray[np.float32]:
    """Probability of hate, (n,), of every case by all the text stages, rules and fusion too."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    items = [
        Item(Content(case.case_id, at, "author", text=case.text), Position(), at.timestamp())
        for case in cases
    ]
    for stage in (
        Normalizer(),
        RuleMatcher(load_rules()),
        TextScorer(Cascade.load()),
        LanguageDetector(),
        Fuser(FusionModel()),
    ):
        items = stage(items)
    return np.array([item.scores["hate"] for item in items], dtype=np.float32)


def accuracy_table(cases: Sequence[Case], scores: NDArray[np.float32]) -> str:
    """Markdown: share of cases on the right side of 0.5, by functionality and in all."""
    right = (scores >= 0.5) == np.array([case.hateful for case in cases])
    kinds = dict.fromkeys(case.functionality for case in cases)
    lines = ["| functionality | hateful | cases | accuracy |", "|---|---|---|---|"]
    for kind in kinds:
        rows = [i for i, case in enumerate(cases) if case.functionality == kind]
        hateful = "yes" if cases[rows[0]].hateful else "no"
        lines.append(f"| {kind} | {hateful} | {len(rows)} | {right[rows].mean():.3f} |")
    lines.append(f"| all | | {len(cases)} | {right.mean():.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Command line of the functional tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, default=SUITE)
    parser.add_argument("--split", choices=["dev", "test", "all"], default="all")
    parser.add_argument("--transformer", type=Path, default=BUILT_IN)
    parser.add_argument("--by", choices=["transformer", "cascade", "chain"], default="chain")
    parser.add_argument("--errors", action="store_true", help="list wrong cases of the dev split")
    options = parser.parse_args()
    cases = [c for c in read_suite(options.suite) if options.split in (c.split, "all")]
    if options.by == "chain":
        scores = chain_scores(cases)
    elif options.by == "cascade":
        scores = hate_scores(Cascade.load().predict, cases)
    else:
        scores = hate_scores(TransformerModel(options.transformer).predict, cases)
    lines = [accuracy_table(cases, scores)]
    if options.errors:
        for case, score in zip(cases, scores, strict=True):
            if case.split == "dev" and (score >= 0.5) != case.hateful:
                lines.append(f"{score:.2f} {case.functionality}: {case.text}")
    print("\n".join(lines))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
