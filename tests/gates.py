"""Gates that open where a score lies strictly between two bounds."""

import numpy as np

from models.text.gate import Gate


def gate(low: float, high: float, *, opens: tuple[bool, ...] = (True, False)) -> Gate:
    """`opens` says which categories open it; the others and the length say nothing."""
    bounds = np.log(np.array([low, high]) / (1 - np.array([low, high])))
    curve = np.array([0.0, 1.0, 0.0])
    return Gate(
        odds=np.array([bounds[0], bounds.mean(), bounds[1]]),
        by_odds=np.outer(opens, curve),
        lengths=np.array([0.0, 1.0]),
        by_length=np.zeros(2),
        middle=np.ones((len(opens), 2), dtype=np.float32),
    )
