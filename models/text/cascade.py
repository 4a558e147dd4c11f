"""Models in a row: a text goes on to a more expensive one only where the one before is unsure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.text.fast import FastTextModel
from models.text.gate import Gate, log_odds
from models.text.groups import GroupNames, doubtful, still_open
from models.text.model import Contribution, TextModel
from models.text.passages import Passages, cut
from models.text.transformer import ModelError, TransformerModel
from policy.taxonomy import TEXT_CATEGORIES

_Opinion: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

BUILT_IN: Final = Path(__file__).parent
"""The models, each in its part, and `cascade.json`: the gates and blends that were fitted to them.
"""
PARTS: Final = ("fast", "student", "minilm")
"""From the cheapest to the most expensive: a hashed linear model, a narrow layer of a transformer,
the transformer."""
_SURE: Final = 0.9
"""By the first model: a text that is so bad as a whole is not read in passages."""


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
    """(n,): number of the last of these models, or of those that read the worst passage of it."""


class Cascade:
    """Models from the cheapest to the most expensive, and before each but the first the gate to it.

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
        """The models under `directory` with the gates between them (training/cascade.py).

        Raises:
            ModelError: the gates were fitted to other models.
        """
        table = json.loads((directory / "cascade.json").read_text("utf-8"))
        models = load_models(directory)
        if table["models"] != [model.version for model in models]:
            raise ModelError(
                f"{directory / 'cascade.json'} was fitted to other models:"
                " `breakwater models train text` fits it to these"
            )
        gates = [_gate(step["gate"]) for step in table["steps"]]
        blends = [
            Blend(*np.array([step["blends"][c] for c in TEXT_CATEGORIES], dtype=np.float32).T)
            for step in table["steps"]
        ]
        return cls(models, gates, blends, GroupNames())

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (n, C), of normalized texts."""
        return self.settle(texts).scores

    def settle(
        self, texts: Sequence[str], doubted: NDArray[np.bool_] | None = None
    ) -> CascadeResult:
        """Scores of normalized texts and who gave them.

        Each model sees in one batch all that the one before was unsure of. The second sees texts of
        abuse that name a group as well, the others those of them that are still open, and all see
        what is `doubted` by others, (n,). Of long texts the worst passage counts, see `passages`.
        """
        if doubted is None:
            doubted = np.zeros(len(texts), dtype=np.bool_)
        first = self.models[0].predict(texts)
        surely_bad = np.flatnonzero(first.max(axis=1, initial=0.0) >= _SURE)
        passages = cut(texts, set(surely_bad.tolist()))
        if not passages.texts:
            return self._read(texts, first, doubted, len(texts))
        of_passages = self.models[0].predict(passages.texts)
        worst = passages.worst(of_passages)
        rows = passages.owners[worst]
        # In one batch with the texts: a run of a model has a price of its own.
        read = self._read(
            [*texts, *(passages.texts[number] for number in worst.tolist())],
            np.concatenate([first, of_passages[worst]]),
            np.concatenate([doubted, doubted[rows]]),
            len(texts),
        )
        return _raised(read, rows, passages)

    def _read(
        self,
        texts: Sequence[str],
        first: NDArray[np.float32],
        doubted: NDArray[np.bool_],
        whole: int,
    ) -> CascadeResult:
        """What the models make of `texts`, whose scores by the first one are known.

        Those from number `whole` on are passages, which the second model reads at most.
        """

        def ask(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return self.models[number].predict([texts[row] for row in rows.tolist()])

        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        last = np.where(np.arange(len(texts)) < whole, len(self._steps), 1)
        return self._settle(first, lengths, self.names(texts, first), doubted, last, ask)

    def settle_scores(
        self,
        *scores: NDArray[np.float32],
        lengths: NDArray[np.int64],
        names: NDArray[np.int8],
    ) -> CascadeResult:
        """What `settle` would say of texts that every model has scored, (n, C) each.

        `lengths`, (n,), are in characters; `names`, (n,), is what `names` says of them.
        """

        def ask(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return scores[number][rows]

        doubted = np.zeros(len(names), dtype=np.bool_)
        last = np.full(len(names), len(self._steps))
        return self._settle(scores[0].copy(), lengths, names, doubted, last, ask)

    def names(self, texts: Sequence[str], scores: NDArray[np.float32]) -> NDArray[np.int8]:
        """Whom normalized texts name, (n,), as `GroupNames.find`; `scores` of the first model."""
        if self._groups is None:
            return np.zeros(len(texts), dtype=np.int8)
        return self._groups.find(texts, scores)

    def _settle(
        self,
        scores: NDArray[np.float32],
        lengths: NDArray[np.int64],
        names: NDArray[np.int8],
        doubted: NDArray[np.bool_],
        last: NDArray[np.int64],
        ask: Callable[[int, NDArray[np.int64]], NDArray[np.float32]],
    ) -> CascadeResult:
        """`last`, (n,): number of the last model that may read each."""
        settled_by = np.zeros(len(scores), dtype=np.int64)
        rows = np.arange(len(scores))
        going_on = doubted | doubtful(names, scores)
        for number, (gate, blend) in enumerate(self._steps, 1):
            unsure = gate.unsure(scores[rows], lengths[rows]) | going_on[rows]
            rows = rows[unsure & (last[rows] >= number)]
            if not rows.size:
                break
            scores[rows] = blend(scores[rows], ask(number, rows))
            settled_by[rows] = number
            going_on = doubted | still_open(names, scores)
        return CascadeResult(scores, settled_by)

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[Contribution]]:
        """What of each text speaks for its category by the first model, the strongest first.

        The more expensive ones take many runs to explain one text: too many for the stream.
        """
        return self.models[0].attribute(texts, categories)

    def worst_passage(self, text: str) -> tuple[int, str]:
        """Where the worst passage of a text begins, and the passage; of a short one, all of it."""
        passages = cut([text])
        if not passages.texts:
            return 0, text
        (worst,) = passages.worst(self.models[0].predict(passages.texts)).tolist()
        return passages.starts[worst], passages.texts[worst]


def _raised(read: CascadeResult, rows: NDArray[np.int64], passages: Passages) -> CascadeResult:
    """What was `read` of texts, raised by what follows it of the worst passages of `rows`."""
    count = len(passages.counts)
    scores, settled_by = read.scores[:count], read.settled_by[:count]
    said = passages.weighed(read.scores[count:])
    raising = np.any(said > scores[rows], axis=1)
    settled_by[rows] = np.maximum(settled_by[rows], raising * read.settled_by[count:])
    scores[rows] = np.maximum(scores[rows], said)
    return CascadeResult(scores, settled_by)


def load_models(directory: Path) -> tuple[TextModel, ...]:
    """The models of PARTS under `directory`. Raises ModelError, or OSError of the first one."""
    first, *others = (directory / part for part in PARTS)
    return FastTextModel(first), *(TransformerModel(part) for part in others)


def _gate(table: dict[str, Any]) -> Gate:
    """What training/cascade.py wrote of a gate."""
    by_odds = [table["by_odds"][category] for category in TEXT_CATEGORIES]
    middle = [table["middle"][category] for category in TEXT_CATEGORIES]
    return Gate(
        np.array(table["odds"]),
        np.array(by_odds),
        np.array(table["lengths"]),
        np.array(table["by_length"]),
        np.array(middle, dtype=np.float32),
    )


def _replace(_: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    return after
