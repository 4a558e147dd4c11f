"""The evasion table: what spelling tricks cost, by kind of trick.

`python -m training.evasion --data DIR`: recall at 0.5 of toxic texts of the test split, and ROC-AUC
against benign ones, as written and with a trick played on half of the words of four letters or
more, on both classes alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.text.cascade import PARTS, Cascade
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import load
from training.obfuscate import EVASIONS, obfuscate

_SHARE: Final = 0.5
_ROWS: Final = 400
"""Of either class."""
_MAX_CHARACTERS: Final = 300
_TOXIC: Final = [TEXT_CATEGORIES.index(name) for name in ("hate", "harassment", "threat")]

Predict = Callable[[Sequence[str]], NDArray[np.float32]]


def draw(data: Path, *, seed: int = 0) -> tuple[list[str], NDArray[np.bool_]]:
    """Texts of Jigsaw's test rows and whether they are toxic, as many of either kind."""
    corpus = load(data)
    rows = [r for r in corpus.where("test", "jigsaw") if len(corpus.texts[r]) <= _MAX_CHARACTERS]
    order = np.random.default_rng(seed).permutation(rows)
    toxic = [r for r in order if corpus.toxic[r] == 1][:_ROWS]
    benign = [r for r in order if corpus.toxic[r] == 0][:_ROWS]
    truth = np.array([True] * len(toxic) + [False] * len(benign))
    return [corpus.texts[row] for row in toxic + benign], truth


def toxicity(
    predict: Predict, texts: Sequence[str], *, normalized: bool = True
) -> NDArray[np.float32]:
    """The highest probability of hate, harassment and threat, (n,)."""
    plain = [n.text for n in normalize(texts)] if normalized else list(texts)
    highest: NDArray[np.float32] = predict(plain)[:, _TOXIC].max(axis=1)
    return highest


def table(predict: Predict, texts: list[str], truth: NDArray[np.bool_], *, seed: int = 1) -> str:
    """Markdown: recall and ROC-AUC by trick, with the normalizer and without."""
    lines = [
        "| spelling | recall | against clean | ROC-AUC | recall without normalizer |",
        "|---|---|---|---|---|",
    ]
    clean = 0.0
    for name in ("clean", *EVASIONS):
        random = Random(seed)
        played = texts
        if name != "clean":
            played = [obfuscate(text, random, EVASIONS[name], _SHARE) for text in texts]
        scores = toxicity(predict, played)
        raw = toxicity(predict, played, normalized=False)
        recall = float((scores[truth] >= 0.5).mean())
        clean = recall if name == "clean" else clean
        lines.append(
            f"| {name} | {recall:.3f} | {100 * (recall - clean):+.1f} | "
            f"{roc_auc_score(truth, scores):.3f} | {float((raw[truth] >= 0.5).mean()):.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line of the evasion table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=["cascade", *PARTS], default="cascade")
    options = parser.parse_args()
    cascade = Cascade.load()
    predict: dict[str, Predict] = {"cascade": cascade.predict}
    predict |= {name: model.predict for name, model in zip(PARTS, cascade.models, strict=True)}
    texts, truth = draw(options.data)
    print(table(predict[options.model], texts, truth))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
