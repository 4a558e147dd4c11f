"""Simulated authors, until decisions of our own can train the fusion model.

These are assumptions, not data: that many who violate have violated before, and are newer. They are
weak: history tips a doubtful text and never condemns alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_UNKNOWN: Final = 0.6
"""Share of contents whose author has no history here and no account age."""
_OFFENDERS: Final = (0.05, 0.3)
"""Share of repeat offenders among the authors of innocent contents, and of violating ones."""
_VIOLATING: Final = ((1.0, 60.0), (2.0, 6.0))
"""Beta parameters of the share of violations in an author's history: others, repeat offenders."""
_DECISIONS: Final = 20.0
"""Mean length of a history."""
_AGE_DAYS: Final = (400.0, 150.0)
"""Median account age of others and of repeat offenders; the spread is a factor of e."""


def simulate_authors(
    violating: NDArray[np.bool_], random: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Columns account_age, decisions and violations for n contents, (n,) each.

    They are as models.fusion.fusion.FEATURES has them; NaN and 0 where nothing is known.
    """
    count = len(violating)
    kind = violating.astype(np.int64)
    known = random.random(count) >= _UNKNOWN
    offender = (random.random(count) < np.array(_OFFENDERS)[kind]).astype(np.int64)
    decisions = np.where(known, random.geometric(1 / _DECISIONS, count), 0)
    first, second = np.array(_VIOLATING)[offender].T
    violations = random.binomial(decisions, random.beta(first, second))
    age = np.array(_AGE_DAYS)[offender] * np.exp(random.normal(0, 1, count))
    columns = {
        "account_age": np.where(known, np.log1p(age), np.nan),
        "decisions": np.log1p(decisions),
        "violations": np.log1p(violations),
    }
    return {name: column.astype(np.float32) for name, column in columns.items()}
