"""The text models beside each other: the cascade against the transformer on every text.

Texts a second of the processor time of one thread, normalizing included, on the real mix; F1 at 0.5
on the labelled sets. Both are of the test split of the labelled sets, which are not in the project:
`make bench DATA=DIR`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.text.cascade import Cascade
from models.text.model import TextModel
from operators.normalize import normalize
from training.cascade import mix_weights
from training.datasets import Corpus, load
from training.evaluate import MODELS, evaluate, f1_table, macro_f1, sent_on

_TEXTS = 5_000
_BATCH = 1_000
_ROUNDS = 4

Predict: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Speed:
    """Seconds of processor time that a model takes for all texts."""

    model: str
    texts: int
    seconds: float


def real_mix(corpus: Corpus, number: int = _TEXTS) -> list[str]:
    """Texts of the test split, drawn with the shares of the real mix."""
    rows = corpus.where("test")
    shares = mix_weights(corpus.sources[rows].tolist())
    drawn = np.random.default_rng(0).choice(rows, size=number, p=shares)
    return [corpus.texts[row] for row in drawn.tolist()]


def measure(cascade: Cascade, texts: Sequence[str]) -> list[Speed]:
    """Each model on every text, then the cascade; in turns, since a machine's speed varies."""
    models: tuple[TextModel | Cascade, ...] = (*cascade.models, cascade)
    spent = dict.fromkeys(MODELS, 0.0)
    for _ in range(_ROUNDS):
        for name, model in zip(MODELS, models, strict=True):
            spent[name] += seconds(model.predict, texts)
    return [Speed(name, _ROUNDS * len(texts), taken) for name, taken in spent.items()]


def seconds(predict: Predict, texts: Sequence[str]) -> float:
    """What a model takes for `texts`, normalizing included."""
    predict(["warm"])
    start = time.thread_time()
    for at in range(0, len(texts), _BATCH):
        predict([found.text for found in normalize(texts[at : at + _BATCH])])
    return time.thread_time() - start


def report(data: Path) -> str:
    """Markdown: speeds, F1 by category, and what the cascade gives for what it saves."""
    cascade = Cascade.load()
    texts = real_mix(load(data))
    speeds = measure(cascade, texts)
    slowest = speeds[-2].seconds
    found = evaluate(cascade, data)
    gained = macro_f1(found.figures("cascade")) - macro_f1(found.figures("transformer"))
    length = np.mean([len(text) for text in texts])
    rows = "\n".join(
        f"| {one.model} | {one.texts / one.seconds:,.0f} | {slowest / one.seconds:.1f} x |"
        for one in speeds
    )
    return f"""## Text models

{len(texts):,} texts of {length:.0f} characters in the real mix; F1 on the whole test split.

| model | texts/s | against the transformer |
| --- | ---: | ---: |
{rows}

{f1_table(found)}

{sent_on(found)} Macro F1 of the cascade against the transformer on every text: {100 * gained:+.1f}.
"""
