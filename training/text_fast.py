"""Trains the fast text model: masked logistic regression over hashed n-grams, then calibration.

`breakwater models train text-fast --data DIR` runs `train`. The weights of a feature are scaled by
its inverse document frequency and, where the sets know a category well, by its log-count ratio; a
category is fitted on the rows that label it, and with lower weights on presumed negatives and
template sentences; strength of regularisation and calibration are taken from the validation split,
the figures of the card from the test split.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from models.text.fast import FastTextModel
from models.text.features import BUCKETS
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.augment import Templates
from training.cards import write_card, write_draft
from training.datasets import Corpus, load
from training.hashed_regression import count_features, design, fit, inverse_frequencies
from training.metrics import by_category
from training.platt import platt
from training.text_fast_graph import Linear, export

_PRESUMED_WEIGHT: Final = 0.2
_TEMPLATE_WEIGHT: Final = 0.5
_ABUSIVE_TEMPLATE_WEIGHT: Final = 0.1
"""There are more of these than of labelled ones: at a half they taught their own frames."""
_WELL_KNOWN: Final = frozenset(("hate", "harassment", "threat"))
"""Categories of which the sets hold many kinds. What is counted there may be relied upon; a scam of
a new kind is known by many features that each say little."""
_EVERYDAY_WEIGHT: Final = 3.0
"""Everyday chat is most of what a platform sees and little of the sets."""
_STRENGTH: Final = 0.5
"""Of the L2 regularisation; between 0.3 and 1 the validation split is ranked alike."""
_ARTEFACTS: Final = ("model.onnx",)
_COMMAND: Final = "breakwater models train text-fast --data DIR"
_ABOUT: Final = """
Logistic regression over hashed words, word pairs and character 3- to 5-grams of normalized English
text, 2^20 buckets, weights in 8 bits, in onnxruntime on one thread. It is the quick first look at
every text; where it is unsure, a transformer should look too.

Each category is fitted on the rows that label it. Unlabelled rows without a suspect word count as
weak negatives (weight 0.2); sentences written for this project (training/templates.yaml: neutral,
negated and hostile uses of identity terms) have weight 0.5, abuse among them 0.1, and everyday chat
has 3. For hate, harassment and threat features are scaled by their log-count ratio. Logits are
calibrated by Platt's method on the validation split: 0.5 means half on a mix like that of the sets,
in which violations are far more frequent than on most platforms.

Limits: English only. It reads words, not meaning: irony, quoting and hate without hateful words
escape it, and hate is its weakest category. Names of groups raise hate and harassment even in
neutral sentences, some near 0.5. `sexual` has about 110 positive rows, all from talk to
chat bots, and `threat` about 700: policy should send both to people. `spam` knows old SMS and
YouTube spam. There is no self-harm in the sets; rules alone find it. Jigsaw's `toxic` counts as
harassment, so profanity may score as harassment.
"""


def train(data: Path, out: Path, *, seed: int = 0) -> None:
    """Trains on the sets of `data`; writes model.onnx, card.json and card.md into `out`.

    Deterministic for a seed and versions of the libraries. Raises training.datasets.DatasetError.
    """
    out.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        task = progress.add_task("text-fast", total=3 + len(TEXT_CATEGORIES))

        def step(name: str) -> None:
            progress.update(task, advance=1, description=f"text-fast: {name}")

        corpus = load(data)
        texts = [normalized.text for normalized in normalize(corpus.texts)]
        step("features")
        training = _training_rows(corpus, texts, seed)
        held = corpus.where("validation")
        model = _fit_all(training, step)
        step("calibration")
        _calibrate(model, [texts[row] for row in held], corpus.targets[held], out)
        _publish(model, corpus, texts, out, seed)


@dataclass(frozen=True)
class _Training:
    texts: list[str]
    targets: NDArray[np.float32]
    """(n, c); where the weight is 0 the target means nothing."""
    weights: NDArray[np.float32]


def _training_rows(corpus: Corpus, texts: list[str], seed: int) -> _Training:
    rows = corpus.where("train")
    generated = list(Templates(Random(seed)).generate())
    labels = np.array(
        [[known.get(name, np.nan) for name in TEXT_CATEGORIES] for _, known in generated],
        dtype=np.float32,
    )
    targets = np.vstack([corpus.targets[rows], labels])
    weights = np.where(np.isnan(targets), 0.0, 1.0).astype(np.float32)
    weights[: len(rows)][corpus.presumed[rows]] = _PRESUMED_WEIGHT
    weights[: len(rows)][corpus.sources[rows] == "discord"] *= _EVERYDAY_WEIGHT
    well_known = [name in _WELL_KNOWN for name in TEXT_CATEGORIES]
    abusive = (labels[:, well_known] == 1).any(axis=1, keepdims=True)
    weights[len(rows) :] *= np.where(abusive, _ABUSIVE_TEMPLATE_WEIGHT, _TEMPLATE_WEIGHT)
    sentences = [normalized.text for normalized in normalize([text for text, _ in generated])]
    return _Training([texts[row] for row in rows] + sentences, np.nan_to_num(targets), weights)


def _fit_all(training: _Training, step: Callable[[str], None]) -> Linear:
    counts = count_features(training.texts)
    idf = inverse_frequencies(counts)
    rows = design(counts, idf)
    categories = len(TEXT_CATEGORIES)
    weights = np.zeros((BUCKETS, categories), dtype=np.float32)
    bias = np.zeros(categories, dtype=np.float32)
    for column, category in enumerate(TEXT_CATEGORIES):
        step(category)
        used = training.weights[:, column] > 0
        fitted, bias[column] = fit(
            rows[used],
            training.targets[used, column],
            training.weights[used, column],
            _STRENGTH,
            scaled=category in _WELL_KNOWN,
        )
        weights[:, column] = fitted * idf
    return Linear(weights, idf**2, bias, slopes=np.ones(categories, dtype=np.float32))


def _calibrate(
    model: Linear, held_texts: list[str], held_targets: NDArray[np.float32], out: Path
) -> None:
    """Sets slopes and bias so that the model's probabilities fit the held rows."""
    predicted = _write(model, out).predict(held_texts).astype(np.float64)
    logits = logit(predicted.clip(1e-7, 1 - 1e-7))
    for column in range(len(TEXT_CATEGORIES)):
        slope, offset = platt(logits[:, column], held_targets[:, column])
        model.slopes[column] = slope
        model.bias[column] = slope * model.bias[column] + offset


def _write(model: Linear, out: Path) -> FastTextModel:
    (out / "model.onnx").write_bytes(export(model))
    write_draft(out, _ARTEFACTS, TEXT_CATEGORIES)
    return FastTextModel(out)


def _publish(
    model: Linear,
    corpus: Corpus,
    texts: list[str],
    out: Path,
    seed: int,
) -> None:
    """Writes the model and its card, with figures of the test split."""
    runtime = _write(model, out)
    rows = corpus.where("test")
    tested = [texts[row] for row in rows]
    scores = runtime.predict(tested)
    found = by_category(corpus.targets[rows], scores)
    toxic = corpus.toxic[rows]
    known = ~np.isnan(toxic)
    chat = scores[corpus.sources[rows] == "discord"].max(axis=1)
    write_card(
        out,
        name=FastTextModel.name,
        artefacts=_ARTEFACTS,
        categories=TEXT_CATEGORIES,
        command=_COMMAND,
        about=_ABOUT,
        files=corpus.files,
        figures=found,
        facts={
            "roc_auc_toxic_against_benign_jigsaw": round(
                float(roc_auc_score(toxic[known], scores[known].max(axis=1))), 4
            ),
            "share_of_everyday_chat_under_0.2": round(float((chat < 0.2).mean()), 4),
            "share_of_everyday_chat_under_0.5": round(float((chat < 0.5).mean()), 4),
            "texts_a_second_on_one_core": round(_speed(runtime, tested)),
            "mean_characters_of_these_texts": round(float(np.mean([len(t) for t in tested]))),
            "seed": seed,
        },
    )


def _speed(model: FastTextModel, texts: list[str]) -> float:
    """Texts scored in a second of processor time, featurisation included, in batches of 512."""
    model.predict(texts[:512])
    began = time.process_time()
    for start in range(0, len(texts), 512):
        model.predict(texts[start : start + 512])
    return len(texts) / (time.process_time() - began)
