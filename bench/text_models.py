"""The text models beside each other; writes bench/RESULTS-text.md.

python -m bench.text_models --data DIR (also part of `make bench DATA=DIR`)

The cascade against the transformer on every text: texts a second of the processor time of one
thread, normalizing included, on the real mix; F1 at 0.5 on the labelled sets. Both are of the test
split of the labelled sets, which are not in the project.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.machine import machine
from models.text.cascade import Cascade
from models.text.model import TextModel
from operators.normalize import normalize
from training.cascade import mix_weights
from training.datasets import Corpus, load
from training.evaluate import MODELS, evaluate, f1_table, macro_f1, sent_on

RESULTS = Path(__file__).parent / "RESULTS-text.md"
_TEXTS = 8_000
_BATCHES = (1_000, 8_000)
"""What a steady stream brings at a time, and what the job reads of a backlog."""
_ROUNDS = 4

Predict: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]


def real_mix(corpus: Corpus, number: int = _TEXTS) -> list[str]:
    """Texts of the test split, drawn with the shares of the real mix."""
    rows = corpus.where("test")
    shares = mix_weights(corpus.sources[rows].tolist())
    drawn = np.random.default_rng(0).choice(rows, size=number, p=shares)
    return [corpus.texts[row] for row in drawn.tolist()]


def measure(cascade: Cascade, texts: Sequence[str], batch: int) -> dict[str, float]:
    """Texts a second by each model on every text and by the cascade, in batches of `batch`.

    In turns, since a machine's speed varies.
    """
    models: tuple[TextModel | Cascade, ...] = (*cascade.models, cascade)
    spent = dict.fromkeys(MODELS, 0.0)
    for _ in range(_ROUNDS):
        for name, model in zip(MODELS, models, strict=True):
            spent[name] += seconds(model.predict, texts, batch)
    return {name: _ROUNDS * len(texts) / taken for name, taken in spent.items()}


def seconds(predict: Predict, texts: Sequence[str], batch: int = _BATCHES[0]) -> float:
    """What a model takes for `texts`, normalizing included."""
    predict(["warm"])
    start = time.thread_time()
    for at in range(0, len(texts), batch):
        predict([found.text for found in normalize(texts[at : at + batch])])
    return time.thread_time() - start


def write_report(data: Path) -> str:
    """Markdown: speeds, F1 by category, and what the cascade gives for what it saves."""
    page = _report(data)
    RESULTS.write_text(page)
    return page


def _report(data: Path) -> str:
    cascade = Cascade.load()
    texts = real_mix(load(data))
    speeds = [measure(cascade, texts, batch) for batch in _BATCHES]
    found = evaluate(cascade, data)
    gained = macro_f1(found.figures("cascade")) - macro_f1(found.figures("transformer"))
    length = np.mean([len(text) for text in texts])
    rows = "\n".join(
        f"| {name} | "
        + " | ".join(f"{one[name]:,.0f} | {one[name] / one['transformer']:.1f} x" for one in speeds)
        + " |"
        for name in MODELS
    )
    batches = " | ".join(
        f"texts/s in batches of {batch:,} | against the transformer" for batch in _BATCHES
    )
    return f"""# The text models beside each other

`python -m bench.text_models --data DIR`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.
{len(texts):,} texts of {length:.0f} characters in the real mix; F1 on the whole test split.

| model | {batches} |
| --- | ---: | ---: | ---: | ---: |
{rows}

{f1_table(found)}

{sent_on(found)} Macro F1 of the cascade against the transformer on every text: {100 * gained:+.1f}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.text_models", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled sets")
    print(write_report(parser.parse_args().data))


if __name__ == "__main__":
    main()
