"""Plots of the cards: what people would rather look at than read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from policy.taxonomy import TEXT_CATEGORIES

_BINS: Final = 10
_LEAST: Final = 5
"""Fewer texts in a bin say nothing."""


def reliability(targets: NDArray[np.float32], scores: NDArray[np.float32], out: Path) -> None:
    """Reliability diagram: share of positives by score, a line a category; both (n, C)."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="score", ylabel="share of positives", aspect="equal")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="perfect")
    for column, category in enumerate(TEXT_CATEGORIES):
        known = ~np.isnan(targets[:, column])
        score, positive = scores[known, column], targets[known, column]
        bins = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
        counts = np.bincount(bins, minlength=_BINS)
        shown = counts >= _LEAST
        means = np.bincount(bins, score, minlength=_BINS)[shown] / counts[shown]
        shares = np.bincount(bins, positive, minlength=_BINS)[shown] / counts[shown]
        axes.plot(means, shares, marker="o", markersize=4, label=category)
    axes.legend()
    figure.savefig(out, dpi=110)


def rates_by_identity(rates: pd.DataFrame, out: Path) -> None:
    """Rates of false positives and false negatives of every identity term, a bar each."""
    ranked = rates.sort_values("fpr")
    figure = Figure(figsize=(8, 10), layout="constrained")
    for number, (column, title) in enumerate(
        (("fpr", "false positive rate"), ("fnr", "false negative rate")), 1
    ):
        axes = figure.add_subplot(1, 2, number, title=title, xlim=(0, 1))
        axes.barh(np.arange(len(ranked)), ranked[column], color=f"C{number - 1}")
        axes.set_yticks(
            np.arange(len(ranked)), list(ranked.index) if number == 1 else [], fontsize=7
        )
        axes.axvline(float(ranked[column].mean()), color="grey", linewidth=1, linestyle="--")
    figure.savefig(out, dpi=90)
