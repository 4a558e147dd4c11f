"""What a text model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Contribution: TypeAlias = tuple[int, int, float]
"""[start, end) in code points of a normalized text, and how much it speaks for a category."""

MAX_CONTRIBUTIONS: Final = 3
"""Of one text."""


class TextModel(Protocol):
    """Anything that gives probabilities of categories to normalized texts."""

    @property
    def name(self) -> str:
        """What the model is called in logs, tables and signals."""

    @property
    def version(self) -> str:
        """Which artefact it is; changes with every training."""

    @property
    def categories(self) -> tuple[str, ...]:
        """What the columns of `predict` are."""

    def predict(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Probabilities, (n, C), of `texts`."""

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str], /
    ) -> list[list[Contribution]]:
        """What of each text speaks for its category, the strongest first, all positive."""
