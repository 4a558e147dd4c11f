"""Probabilities out of logits: Platt, Probabilistic Outputs for Support Vector Machines (1999)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit


def platt(logits: NDArray[np.float32], labels: NDArray[np.float32]) -> tuple[float, float]:
    """Slope and offset for which sigmoid(slope * logit + offset) is calibrated; NaN is left out.

    Platt's smoothed targets keep the fit finite with few positives.
    """
    known = ~np.isnan(labels)
    positive = labels[known] == 1
    z = logits[known].astype(np.float64)
    many, few = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = at[0] * z + at[1]
        error = expit(margin) - targets
        value = np.logaddexp(0, margin) - targets * margin
        return float(value.sum()), np.array([error @ z, error.sum()])

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return float(slope), float(offset)
