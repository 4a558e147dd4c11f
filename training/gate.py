"""A gate of the cascade: learned from where more expensive models correct the answers so far.

Cost-sensitive learning to defer (Jitkrittum et al., When Does Confidence-Based Cascade Deferral
Suffice?, 2023). Every text of the validation split is an example for asking, weighted by what the
last answer adds to macro F1, and one against, weighted by what has to be read for it in the real
mix: the log odds of a logistic regression on them are the log of gain over cost. What an answer
adds is told from the weighed probability of all models and not from the label, so texts without one
count too, and one odd label does not open the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from models.text.gate import Gate, log_odds
from policy.taxonomy import TEXT_CATEGORIES
from training.metrics import by_category

_ODDS: Final = np.array(
    [-6, -4, -3, -2.2, -1.6, -1.1, -0.7, -0.35, 0, 0.35, 0.7, 1.1, 1.6, 2.2, 3, 5]
)
_LENGTHS: Final = np.array([8.0, 16, 30, 60, 120, 240, 480, 1200])
_UNLABELLED: Final = 0.5
"""Weight of an answer that no label can prove right or wrong."""
_START: Final = 20
"""What a text costs beside its characters, in characters."""
MIDDLES: Final[tuple[Mapping[str, tuple[float, float]], ...]] = (
    MappingProxyType({"threat": (0.2, 0.6), "sexual": (0.2, 0.6), "spam": (0.12, 0.65)}),
    MappingProxyType({"spam": (0.25, 0.5)}),
)
"""Scores that go on whatever the curves of each gate say, of categories of which the labelled sets
know few kinds: a scam that no set has gets such a score, and no row could teach the gate to ask
about it.
"""
_NO_MIDDLE: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({})
_READ: Final = 2500
"""Characters of a text that a transformer reads at most."""
_RIDGE: Final = 0.3
_SMOOTH: Final = 10.0
"""Penalty on the difference of neighbouring knots (Eilers and Marx, P-splines, 1996)."""


def gains(
    first: NDArray[np.float32], second: NDArray[np.float32], targets: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What asking adds to macro F1 by each text, (n,), by the second probabilities, (n, C).

    A positive answer at probability p adds (2p - F1) / (2 * positives), dropping one the opposite;
    what would take away counts as nothing.
    """
    known = ~np.isnan(targets)
    changed = (second >= 0.5).astype(float) - (first >= 0.5)
    reached = np.array([one.f1 for one in by_category(targets, second).values()])
    positives = np.maximum((targets == 1).sum(axis=0), 1)
    added = changed * (2 * second - reached) / (2 * positives)
    return np.asarray((added.clip(min=0) * np.where(known, 1.0, _UNLABELLED)).sum(axis=1))


def reading(lengths: NDArray[np.int64], mix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of all that the transformer would read in the real mix, (n,)."""
    cost = mix * (lengths.clip(max=_READ) + _START)
    return np.asarray(cost / cost.sum())


def fit(
    scores: NDArray[np.float32],
    lengths: NDArray[np.int64],
    gain: NDArray[np.float64],
    cost: NDArray[np.float64],
    middle: Mapping[str, tuple[float, float]] = _NO_MIDDLE,
) -> Gate:
    """A gate from the `scores` so far, (n, C), and `gain` and `cost` of asking, (n,)."""
    curves = [*(_hats(odds, _ODDS) for odds in log_odds(scores).T), _hats(lengths, _LENGTHS)]
    ends = np.cumsum([curve.shape[1] for curve in curves])
    weights = _regress(np.hstack(curves), ends, gain, cost)
    by_odds = weights[: ends[-2]].reshape(-1, len(_ODDS))
    bounds = np.array([middle.get(name, (1.0, 1.0)) for name in TEXT_CATEGORIES], dtype=np.float32)
    return Gate(_ODDS, by_odds, _LENGTHS, weights[ends[-2] :], bounds)


def within(
    gate: Gate,
    scores: NDArray[np.float32],
    lengths: NDArray[np.int64],
    mix: NDArray[np.float64],
    budget: float,
) -> Gate:
    """`gate`, raised or lowered so that it sends on the worthiest `budget` of the real mix.

    Its middles are part of the budget, and stay when they alone are more.
    """
    worth = gate.worth(scores, lengths)
    shut = replace(gate, by_length=gate.by_length - worth.max(initial=0.0))
    between = shut.unsure(scores, lengths)
    budget -= float(mix[between].sum())
    mix = np.where(between, 0.0, mix)
    order = np.argsort(-worth, kind="stable")
    last = np.searchsorted(np.cumsum(mix[order]), budget, side="right")
    level = worth[order[min(int(last), len(order) - 1)]]
    return replace(gate, by_length=gate.by_length - level)


def _hats(
    values: NDArray[np.float32] | NDArray[np.int64], knots: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, k): how near each value is to each knot; a curve is a weighted sum of these."""
    return np.column_stack([np.interp(values, knots, hat) for hat in np.eye(len(knots))])


def _regress(
    inputs: NDArray[np.float64],
    ends: NDArray[np.int64],
    gain: NDArray[np.float64],
    cost: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights, (d,), of a logistic regression; a curve ends at each of `ends`.

    The hats of a curve sum to 1, so there is no bias.
    """
    rows = len(inputs)
    gain, cost = rows / 2 * gain / gain.sum(), rows / 2 * cost / cost.sum()
    smooth = np.full(inputs.shape[1] - 1, _SMOOTH)
    smooth[ends[:-1] - 1] = 0

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = inputs @ at
        bent = smooth * np.diff(at)
        value = gain @ np.logaddexp(0, -margin) + cost @ np.logaddexp(0, margin)
        slope = inputs.T @ (cost * expit(margin) - gain * expit(-margin)) + _RIDGE * at
        slope[1:] += bent
        slope[:-1] -= bent
        return float(value + _RIDGE / 2 * at @ at + bent @ np.diff(at) / 2), slope

    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)
