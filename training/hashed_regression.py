"""Logistic regression over hashed features, on rows as the graph of text-fast sees them."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from models.text.features import BUCKETS, KINDS, WORD_KINDS, featurise
from training.text_fast_graph import LEAST

Matrix: TypeAlias = Any
"""A scipy.sparse.csr_matrix of float32: scipy is not typed."""

_ITERATIONS: Final = 60
_MIN_DOCUMENTS: Final = 2
_BATCH: Final = 4096


def count_features(texts: list[str]) -> tuple[Matrix, Matrix]:
    """How often each bucket is a feature of each text: of its words, and of its characters."""
    words: list[Matrix] = []
    characters: list[Matrix] = []
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        found = featurise(batch)
        segments = len(KINDS) * len(batch)
        ones = np.ones(len(found.buckets) - 1, dtype=np.float32)
        by_segment = sparse.csr_matrix(
            (ones, found.buckets[1:], found.bounds), shape=(segments, BUCKETS)
        )
        kinds = [by_segment[k * len(batch) : (k + 1) * len(batch)] for k in range(len(KINDS))]
        words.append(sum(kinds[1:WORD_KINDS], kinds[0]))
        characters.append(sum(kinds[WORD_KINDS + 1 :], kinds[WORD_KINDS]))
    return sparse.vstack(words, format="csr"), sparse.vstack(characters, format="csr")


def inverse_frequencies(counts: tuple[Matrix, Matrix]) -> NDArray[np.float32]:
    """Smoothed inverse document frequency of each bucket; 0 for those of a single document."""
    words, characters = (np.bincount(one.indices, minlength=BUCKETS) for one in counts)
    documents = words + characters
    rows = counts[0].shape[0]
    idf = np.where(
        documents >= _MIN_DOCUMENTS, np.log((rows + 1) / (documents + 1)).clip(0) + 1, 0.0
    )
    idf[0] = 0
    return idf.astype(np.float32)


def design(counts: tuple[Matrix, Matrix], idf: NDArray[np.float32]) -> Matrix:
    """The rows as the graph sees them: each family weighted by idf and divided by its norm."""
    families: list[Matrix] = []
    for one in counts:
        norms = np.sqrt(one @ idf**2 + LEAST)
        weighted = one.multiply(idf).multiply(1 / norms[:, None])
        families.append(sparse.csr_matrix(weighted, dtype=np.float32))
    rows = families[0] + families[1]
    rows.eliminate_zeros()
    return rows


def fit(
    rows: Matrix,
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    strength: float,
    *,
    scaled: bool,
) -> tuple[NDArray[np.float32], float]:
    """Weights and bias of a logistic regression with L2 regularisation, by L-BFGS.

    `scaled`: what tells the classes apart by its counts alone may weigh more. Features are scaled
    by their log-count ratio (Wang and Manning, Baselines and Bigrams, ACL 2012), and the weights
    with them.
    """
    columns = np.unique(rows.indices)
    dense = rows[:, columns]
    ratios = _log_count_ratios(dense, targets, weights) if scaled else np.ones(len(columns))
    dense = sparse.csr_matrix(dense.multiply(ratios), dtype=np.float32)
    transposed = sparse.csr_matrix(dense.T)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        inner = at[:-1].astype(np.float32)
        margin = dense @ inner + np.float32(at[-1])
        value = (weights * (np.logaddexp(0, margin) - targets * margin)).sum(dtype=np.float64)
        error = weights * (expit(margin) - targets)
        slope = np.append(transposed @ error + strength * inner, error.sum())
        return float(value + strength / 2 * (at[:-1] @ at[:-1])), slope.astype(np.float64)

    start = np.zeros(len(columns) + 1)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "maxcor": 6}
    ).x
    fitted = np.zeros(BUCKETS, dtype=np.float32)
    fitted[columns] = found[:-1] * ratios
    return fitted, float(found[-1])


def _log_count_ratios(
    rows: Matrix, targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far each column's share of the positives is from that of the others, mean square 1."""
    present = sparse.csr_matrix((np.ones_like(rows.data), rows.indices, rows.indptr), rows.shape)
    positive, other = weights * targets, weights * (1 - targets)
    shares = ((present.T @ one + 1) / one.sum() for one in (positive, other))
    ratios = np.abs(np.subtract(*map(np.log, shares)))
    return np.asarray(ratios / np.sqrt(np.mean(ratios**2)), dtype=np.float32)
