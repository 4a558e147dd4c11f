"""Which texts are worth a more expensive model: a generalized additive model of what is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def log_odds(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log odds of probabilities, kept finite."""
    kept = np.minimum(np.maximum(scores, 1e-5), 1 - 1e-5)
    return np.asarray(np.log(kept / (1 - kept)), dtype=np.float32)


@dataclass(frozen=True)
class Gate:
    """Curves over a text's scores and its length whose sum says whether to ask the next model.

    The sum is the log of what asking mends over what it costs (training/gate.py); each curve is
    linear between its knots and level beyond (Hastie and Tibshirani, Generalized Additive Models,
    1990).
    """

    odds: NDArray[np.float64]
    """(k,): knots along log odds, rising, the same for every category."""
    by_odds: NDArray[np.float64]
    """(C, k): the curve of each category at `odds`."""
    lengths: NDArray[np.float64]
    """(l,): knots along the length in characters, rising."""
    by_length: NDArray[np.float64]
    """(l,): the curve of the length."""
    middle: NDArray[np.float32]
    """(C, 2): a score between these goes on whatever the curves say, which know only what the
    texts that they were fitted to were like."""

    def worth(self, scores: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sums of the curves, (n,), for scores (n, C) of texts of `lengths` (n,) in characters."""
        worth = np.asarray(np.interp(lengths, self.lengths, self.by_length), dtype=np.float64)
        for odds, curve in zip(log_odds(scores).T, self.by_odds, strict=True):
            worth += np.interp(odds, self.odds, curve)
        return worth

    def unsure(self, scores: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which texts are to go on, (n,)."""
        low, high = self.middle.T
        between = ((scores > low) & (scores < high)).any(axis=1)
        return np.asarray((self.worth(scores, lengths) > 0) | between)
