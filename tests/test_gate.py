"""Which texts are worth the more expensive model, and how that is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.gate import log_odds
from policy.taxonomy import TEXT_CATEGORIES
from tests.gates import gate
from training.gate import fit, gains, reading, within

_C = len(TEXT_CATEGORIES)


@pytest.mark.parametrize(
    ("score", "asks"),
    [
        (0.0, False),  # surely not
        (0.3, False),  # on the lower bound: sure
        (0.31, True),
        (0.69, True),
        (0.7, False),  # on the upper bound: sure
        (1.0, False),  # surely so
    ],
)
def test_a_gate_opens_between_its_bounds(score: float, asks: bool) -> None:
    scores = np.array([[score, 0.0]], dtype=np.float64).astype(np.float32)
    bounds = log_odds(np.array([0.3, 0.7], dtype=np.float32)).astype(np.float64)
    exact = replace(gate(0.3, 0.7), odds=np.array([bounds[0], bounds.mean(), bounds[1]]))
    assert exact.unsure(scores, np.array([10])).tolist() == [asks]


def test_doubts_of_several_categories_add_up_and_length_takes_away() -> None:
    doubtful = replace(gate(0.3, 0.7, opens=(True, True)), by_length=np.array([-1.5, -2.5]))
    doubtful = replace(doubtful, lengths=np.array([10.0, 100.0]))
    scores = np.array([[0.5, 0.1], [0.5, 0.5], [0.5, 0.5]], dtype=np.float32)
    assert doubtful.unsure(scores, np.array([5, 5, 1000])).tolist() == [False, True, False]


@pytest.mark.parametrize(("score", "asks"), [(0.4, False), (0.41, True), (0.6, False)])
def test_a_score_in_its_middle_goes_on_whatever_the_curves_say(score: float, asks: bool) -> None:
    middle = np.array([[1.0, 1.0], [0.4, 0.6]], dtype=np.float32)
    shut = replace(gate(0.3, 0.7, opens=(False, False)), middle=middle)
    scores = np.array([[0.5, score]], dtype=np.float32)
    assert shut.unsure(scores, np.array([10])).tolist() == [asks]


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 1 << 20)), max_size=20))
def test_every_score_and_length_has_a_finite_worth(rows: list[tuple[float, int]]) -> None:
    scores = np.array([[score, 1 - score] for score, _ in rows], dtype=np.float32).reshape(-1, 2)
    lengths = np.array([length for _, length in rows], dtype=np.int64)
    assert np.isfinite(gate(0.2, 0.8, opens=(True, True)).worth(scores, lengths)).all()


def test_only_changed_answers_gain_and_unlabelled_ones_half() -> None:
    targets = np.tile(np.array([[1.0], [0.0]], dtype=np.float32), (3, _C))
    targets[4, 0] = np.nan
    first = np.full((6, _C), 0.4, dtype=np.float32)
    second = np.where(np.nan_to_num(targets) == 1, 0.9, 0.1).astype(np.float32)
    first[1:] = second[1:]  # the others are answered alike
    first[4, 0], second[4, 0] = 0.4, 0.9
    found = gains(first, second, targets)
    assert found[0] > 0
    assert found[[1, 2, 3, 5]].tolist() == [0, 0, 0, 0]
    # One of five categories was mended, without a label; its F1 and positives are the others' own.
    assert 0 < found[4] < found[0]


def test_reading_is_paid_by_length_up_to_what_is_read() -> None:
    paid = reading(np.array([30, 80, 2500, 60_000]), np.full(4, 0.25))
    assert paid.sum() == pytest.approx(1)
    assert paid[0] == pytest.approx(paid[1] / 2)
    assert paid[2] == paid[3]


def _mended_between(low: float, high: float, rows: int = 4000) -> tuple[np.ndarray, ...]:
    """Scores of which only those between two bounds are ever mended, every third of them."""
    random = np.random.default_rng(0)
    scores = np.full((rows, _C), 0.01, dtype=np.float32)
    scores[:, 0] = random.random(rows)
    gain = ((scores[:, 0] > low) & (scores[:, 0] < high) & (random.random(rows) < 0.3)) * 1.0
    return scores, random.integers(10, 200, rows), gain, np.full(rows, 1 / rows)


def test_the_gate_learns_where_answers_are_mended() -> None:
    scores, lengths, gain, mix = _mended_between(0.3, 0.6)
    learned = fit(scores, lengths, gain, reading(lengths, mix))
    opened = within(learned, scores, lengths, mix, 0.2).unsure(scores, lengths)
    assert ((scores[opened, 0] > 0.27) & (scores[opened, 0] < 0.63)).all()


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.3])
def test_a_budget_is_used_up_and_kept(budget: float) -> None:
    scores, lengths, gain, mix = _mended_between(0.2, 0.8)
    learned = fit(scores, lengths, gain, reading(lengths, mix))
    sent = mix[within(learned, scores, lengths, mix, budget).unsure(scores, lengths)].sum()
    assert budget - 0.01 <= sent <= budget + 1e-9


def test_of_two_alike_the_shorter_is_asked_about() -> None:
    scores, lengths, gain, mix = _mended_between(0.0, 1.0)
    learned = fit(scores, lengths, gain, reading(lengths, mix))
    alike = np.full((2, _C), 0.4, dtype=np.float32)
    short, long = learned.worth(alike, np.array([20, 190]))
    assert short > long
