"""Trains the fusion model: boosted corrections to the text model's logits.

`breakwater models train fusion --data DIR` runs `train`. The rows are those of the validation
split, which the text model was not fitted on. The signals of the built-in rules are real; authors
and hash hits are simulated (training/authors.py), and the card says so.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from events.messages import Content, Position
from models.fusion.fusion import FEATURES, FusionModel, text_logits
from models.text.cascade import Cascade
from models.text.model import TextModel
from operators.fusion import feature_matrix
from operators.item import Item
from operators.normalize import Normalizer
from operators.regex_match import RuleMatcher
from operators.text_score import TextScorer
from policy.rules import load_rules
from policy.taxonomy import TEXT_CATEGORIES
from training.authors import simulate_authors
from training.cards import write_card, write_draft
from training.datasets import Corpus, load
from training.metrics import Figures, by_category

_COMMAND: Final = "breakwater models train fusion --data DIR"
_ROUNDS: Final = 20
"""Few and bold: cross-fitted on the validation split they give a log loss of 0.0992, and 60 of 15
leaves at a third of the rate 0.0993 in three times as long (2026-11-22)."""
_LEAVES: Final = 8
_COPIES: Final = 4
"""Each row is seen with this many simulated authors."""
_HASH_HITS: Final = 0.02
"""Share of the violating contents of a category whose hash is simulated to be listed for it."""
_OWN: Final = ("rule", "hash", "image")
_RISING: Final = ("violations",)
_FALLING: Final = ("account_age", "decisions")
_PARAMETERS: Final = {
    "objective": "binary",
    "num_leaves": _LEAVES,
    "learning_rate": 0.18,
    "min_data_in_leaf": 150,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_ABOUT: Final = f"""
A LightGBM booster for each of {", ".join(TEXT_CATEGORIES)}, at most {_ROUNDS} trees
of {_LEAVES} leaves, adds its correction to the logit of the text model's probability. It sees
the category's own rule, hash and image scores, and what belongs to no category: history and
obfuscation. It is monotone: the own scores and the author's violations can only raise the
probability, an older account and more decisions only lower it. The text's score itself only sets
the start, so where nothing is known beside the text, the probability stays near the text model's:
the distance is given below.

Trained on the validation split of the text model: labels, text scores and rule signals are real;
**authors and hash hits are simulated** (training/authors.py) until decisions of our own can take
their place, and 60 % of the contents have an author of whom nothing is known. How much history
weighs is therefore an assumption.
"""


def train(data: Path, out: Path, *, seed: int = 0, model: TextModel | None = None) -> None:
    """Trains on the sets of `data`; writes a booster a category, card.json and card.md into `out`.

    `model` gives the text scores, the built-in cascade by default. Deterministic for a seed and
    versions of the libraries. Raises training.datasets.DatasetError.
    """
    out.mkdir(parents=True, exist_ok=True)
    text_model = model or Cascade.load()
    with Progress() as progress:
        task = progress.add_task("fusion: reading", total=2 + len(TEXT_CATEGORIES))
        corpus = load(data)
        random = np.random.default_rng(seed)
        progress.update(task, advance=1, description="fusion: text scores and rules")
        rows = corpus.where("validation")
        plain = _features(corpus, rows, text_model)
        features = np.vstack(
            [_simulated(plain, corpus.targets[rows], random) for _ in range(_COPIES)]
        )
        starts = text_logits(features)
        progress.advance(task)
        for column, category in enumerate(TEXT_CATEGORIES):
            progress.update(task, description=f"fusion: {category}")
            labels = np.tile(corpus.targets[rows, column], _COPIES)
            known = ~np.isnan(labels)
            booster = _boost(category, features[known], labels[known], starts[known, column])
            booster.save_model(out / f"{category}.txt")
            progress.advance(task)
    _publish(corpus, text_model, out, random, seed)


def _features(corpus: Corpus, rows: NDArray[np.int64], model: TextModel) -> NDArray[np.float32]:
    """The feature matrix of real texts by unknown authors, through the stages of the job."""
    items = [_item(corpus.texts[row], int(row)) for row in rows]
    for stage in (Normalizer(), RuleMatcher(load_rules()), TextScorer(model)):
        items = stage(items)
    return feature_matrix(items)


def _item(text: str, row: int) -> Item:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    content = Content(content_id=str(row), created_at=at, author_id="a", text=text[:16_000])
    return Item(content, Position(line=row + 1), at.timestamp())


def _simulated(
    plain: NDArray[np.float32], targets: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """The rows again, written by simulated authors."""
    features = plain.copy()
    for name, values in simulate_authors((targets == 1).any(axis=1), random).items():
        features[:, FEATURES.index(name)] = values
    for column, category in enumerate(TEXT_CATEGORIES):
        listed = (targets[:, column] == 1) & (random.random(len(targets)) < _HASH_HITS)
        features[listed, FEATURES.index(f"hash_{category}")] = 1
        features[listed, FEATURES.index("signals")] += 1
    return features


def _boost(
    category: str,
    features: NDArray[np.float32],
    labels: NDArray[np.float32],
    starts: NDArray[np.float64],
) -> lightgbm.Booster:
    own = {f"{kind}_{category}" for kind in _OWN}
    constraints = [
        1 if name in own or name in _RISING else -1 if name in _FALLING else 0 for name in FEATURES
    ]
    rows = lightgbm.Dataset(features, labels, init_score=starts, feature_name=list(FEATURES))
    # The text's own word is in the start already, where trees cannot bend it; what the scores of
    # other categories say would be learned from too few positives.
    other = tuple(f"{kind}_" for kind in ("text", *_OWN))
    used = [float(name in own or not name.startswith(other)) for name in FEATURES]
    parameters: dict[str, Any] = {
        **_PARAMETERS,
        "monotone_constraints": constraints,
        "feature_contri": used,
    }
    return lightgbm.train(parameters, rows, num_boost_round=_ROUNDS)


def _publish(
    corpus: Corpus, text_model: TextModel, out: Path, random: np.random.Generator, seed: int
) -> None:
    """Writes the card, with figures of the test split with and without simulated authors."""
    artefacts = tuple(f"{category}.txt" for category in TEXT_CATEGORIES)
    write_draft(out, artefacts, TEXT_CATEGORIES)
    rows = corpus.where("test")
    targets = corpus.targets[rows]
    plain = _features(corpus, rows, text_model)
    text_only = plain[:, : len(TEXT_CATEGORIES)]
    fusion = FusionModel(out)
    fused = fusion.predict(plain)
    with_authors = fusion.predict(_simulated(plain, targets, random))
    write_card(
        out,
        name=FusionModel.name,
        artefacts=artefacts,
        categories=TEXT_CATEGORIES,
        command=_COMMAND,
        about=_ABOUT,
        files=corpus.files,
        figures=by_category(targets, fused),
        facts={
            "text_model": f"{text_model.name} {text_model.version}",
            "figures_above": "authors unknown",
            "pr_auc_with_simulated_authors": _pr_auc(by_category(targets, with_authors)),
            "pr_auc_of_text_alone": _pr_auc(by_category(targets, text_only)),
            "mean_distance_from_text_alone": round(float(np.abs(fused - text_only).mean()), 4),
            "distance_that_99_percent_stay_under": round(
                float(np.quantile(np.abs(fused - text_only), 0.99)), 4
            ),
            "seed": seed,
        },
    )


def _pr_auc(by_category: dict[str, Figures]) -> dict[str, float]:
    return {category: round(asdict(one)["pr_auc"], 4) for category, one in by_category.items()}
