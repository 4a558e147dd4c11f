"""The functional suite of hate detection: well formed, and passed by the models and the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from models.text.cascade import Cascade
from training.functional import Case, accuracy_table, chain_scores, hate_scores, read_suite

CASES = read_suite()


def _scores(cases: Sequence[Case]) -> NDArray[np.float32]:
    return hate_scores(Cascade.load().predict, cases)


def test_the_suite_has_cases_of_both_kinds_and_of_every_functionality() -> None:
    assert len(CASES) >= 300
    assert len({case.case_id for case in CASES}) == len({case.text for case in CASES}) == len(CASES)
    assert 0.4 < sum(case.hateful for case in CASES) / len(CASES) < 0.6
    assert min(Counter(case.functionality for case in CASES).values()) >= 6
    assert {case.split for case in CASES} == {"dev", "test"}


@pytest.mark.parametrize("scored_by", [_scores, chain_scores], ids=["cascade", "with_rules"])
def test_hate_is_told_from_what_looks_like_it(
    scored_by: Callable[[Sequence[Case]], NDArray[np.float32]],
) -> None:
    scores = scored_by(CASES)
    right = (scores >= 0.5) == np.array([case.hateful for case in CASES])
    assert right.mean() >= 0.85, accuracy_table(CASES, scores)


def test_hate_against_the_same_people_scores_above_kindness_to_them() -> None:
    cascade = Cascade.load()
    for people in ("women", "Muslims", "gay people", "Black people", "disabled people"):
        scores = cascade.predict([f"{people} are vermin", f"{people} are welcome here"])
        assert scores[0, 0] > 0.5 > scores[1, 0], people
