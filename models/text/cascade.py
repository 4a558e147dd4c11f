"""Models in a row: a text goes on to the next, dearer one only where the one before is unsure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.text.fast import FastTextModel
from models.text.gate import Gate, log_odds
from models.text.groups import GroupNames
from models.text.model import Contribution, TextModel
from models.text.transformer import ModelError, TransformerModel
from policy.taxonomy import TEXT_CATEGORIES

_Opinion: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

BUILT_IN: Final = Path(__file__).parent
"""Both models and `cascade.json`, the gate and blends that were fitted to them."""


@dataclass(frozen=True)
class Blend:
    """A second opinion weighed with the first: stacking (Wolpert 1992) on log odds."""

    before: NDArray[np.float32]
    """(C,): weight of the log odds so far."""
    after: NDArray[np.float32]
    """(C,): weight of the next model's log odds."""
    intercept: NDArray[np.float32]
    """(C,)."""

    def __call__(
        self, before: NDArray[np.float32], after: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Probabilities, (n, C), of two models' probabilities of the same texts."""
        odds = self.before * log_odds(before) + self.after * log_odds(after) + self.intercept
        return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)


@dataclass(frozen=True)
class CascadeResult:
    """What a cascade found in n texts."""

    scores: NDArray[np.float32]
    """(n, C): of all the models that saw the text, weighed."""
    settled_by: NDArray[np.int64]
    """(n,): number of that model."""


class Cascade:
    """Models from the cheapest to the dearest, and before each but the first the gate to it.

    Args:
        models: of the same categories.
        gates: one fewer than models.
        blends: how each next model's scores are weighed with those before; none: they replace them.
        groups: finds texts that go on because of whom they name, whatever the gate.
    """

    name: Final = "text"

    def __init__(
        self,
        models: Sequence[TextModel],
        gates: Sequence[Gate],
        blends: Sequence[Blend] = (),
        groups: GroupNames | None = None,
    ) -> None:
        categories = {model.categories for model in models}
        if (
            len(gates) != len(models) - 1
            or len(categories) != 1
            or len(blends) not in (0, len(gates))
        ):
            raise ValueError(
                "models of the same categories with a gate between each two are needed"
            )
        self.models = tuple(models)
        self.categories = models[0].categories
        self.version = "+".join(model.version for model in models)
        opinions: Sequence[_Opinion] = blends or [_replace] * len(gates)
        self._groups = groups
        self._steps = tuple(zip(gates, opinions, strict=True))

    @classmethod
    def load(cls, directory: Path = BUILT_IN) -> Cascade:
        """The models under `directory` with the gate between them (training/cascade.py).

        Raises:
            ModelError: the gate was fitted to other models.
        """
        table = json.loads((directory / "cascade.json").read_text("utf-8"))
        models = (FastTextModel(directory / "fast"), TransformerModel(directory / "minilm"))
        if table["models"] != [model.version for model in models]:
            raise ModelError(
                f"{directory / 'cascade.json'} was fitted to other models:"
                " `breakwater models train text` fits it to these"
            )
        curves = table["gate"]
        gate = Gate(
            np.array(curves["odds"]),
            np.array([curves["by_odds"][category] for category in TEXT_CATEGORIES]),
            np.array(curves["lengths"]),
            np.array(curves["by_length"]),
            np.array(
                [curves["middle"][category] for category in TEXT_CATEGORIES], dtype=np.float32
            ),
        )
        blends = [table["blends"][category] for category in TEXT_CATEGORIES]
        return cls(models, [gate], [Blend(*np.array(blends, dtype=np.float32).T)], GroupNames())

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (n, C), of normalized texts."""
        return self.settle(texts).scores

    def settle(
        self, texts: Sequence[str], doubted: NDArray[np.bool_] | None = None
    ) -> CascadeResult:
        """Scores of normalized texts and who gave them.

        Each model sees in one batch all that the one before was unsure of, texts of abuse that
        name a group, and all that is `doubted` by others, (n,).
        """

        def ask(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return self.models[number].predict([texts[row] for row in rows.tolist()])

        scores = self.models[0].predict(texts)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        named = self.doubtful(texts, scores)
        doubted = named if doubted is None else named | doubted
        return self._settle(scores, lengths, doubted, ask)

    def settle_scores(
        self,
        *scores: NDArray[np.float32],
        lengths: NDArray[np.int64],
        doubted: NDArray[np.bool_],
    ) -> CascadeResult:
        """What `settle` would say of texts that every model has scored, (n, C) each.

        `lengths`, (n,), are in characters; `doubted`, (n,), go on in any case: what `doubtful` says
        of them.
        """

        def ask(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return scores[number][rows]

        return self._settle(scores[0].copy(), lengths, doubted, ask)

    def doubtful(self, texts: Sequence[str], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which texts, of the first model's `scores`, go on because of whom they name; (n,)."""
        if self._groups is None:
            return np.zeros(len(texts), dtype=np.bool_)
        return self._groups.doubtful(texts, scores)

    def _settle(
        self,
        scores: NDArray[np.float32],
        lengths: NDArray[np.int64],
        doubted: NDArray[np.bool_],
        ask: Callable[[int, NDArray[np.int64]], NDArray[np.float32]],
    ) -> CascadeResult:
        settled_by = np.zeros(len(scores), dtype=np.int64)
        rows = np.arange(len(scores))
        for number, (gate, blend) in enumerate(self._steps, 1):
            rows = rows[gate.unsure(scores[rows], lengths[rows]) | doubted[rows]]
            if not rows.size:
                break
            scores[rows] = blend(scores[rows], ask(number, rows))
            settled_by[rows] = number
        return CascadeResult(scores, settled_by)

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str], model: int = 0
    ) -> list[list[Contribution]]:
        """What of each text speaks for its category, the strongest first.

        The first model is asked unless another is named: the dearer ones take many runs to explain
        one text, which is for `breakwater check` and not for the stream.
        """
        return self.models[model].attribute(texts, categories)


def _replace(_: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    return after
