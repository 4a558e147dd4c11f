"""Figures of a multi-label model: precision, recall, F1, PR-AUC, ROC-AUC, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from policy.taxonomy import TEXT_CATEGORIES

_BINS: Final = 15


@dataclass(frozen=True)
class Figures:
    """What a category's probabilities are worth on labelled rows, at a threshold of 0.5."""

    rows: int
    positives: int
    precision: float
    recall: float
    f1: float
    false_discovery: float
    pr_auc: float
    roc_auc: float
    ece: float
    """Expected calibration error over 15 bins of equal width."""


def figures(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> Figures:
    """Figures of one category; rows whose label is NaN are left out.

    Raises ValueError when the labelled rows are all of one class.
    """
    known = ~np.isnan(labels)
    truth, score = labels[known] == 1, scores[known]
    flagged = score >= 0.5
    hits = int((truth & flagged).sum())
    precision = hits / max(int(flagged.sum()), 1)
    recall = hits / max(int(truth.sum()), 1)
    return Figures(
        rows=len(truth),
        positives=int(truth.sum()),
        precision=precision,
        recall=recall,
        f1=2 * hits / max(int(flagged.sum() + truth.sum()), 1),
        false_discovery=1 - precision if flagged.any() else 0.0,
        pr_auc=float(average_precision_score(truth, score)),
        roc_auc=float(roc_auc_score(truth, score)),
        ece=calibration_error(truth, score),
    )


def by_category(targets: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, Figures]:
    """Figures of every category of the text models; targets and scores are aligned, (n, C)."""
    return {
        category: figures(targets[:, column], scores[:, column])
        for column, category in enumerate(TEXT_CATEGORIES)
    }


def calibration_error(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Expected calibration error (Naeini et al., 2015): mean gap of score and share, by bin."""
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, scores - truth, minlength=_BINS)
    return float(np.abs(gaps).sum() / max(len(scores), 1))
