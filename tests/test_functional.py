"""The functional suite of hate detection: well formed, and passed by the built-in cascade."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.text.cascade import Cascade
from training.functional import accuracy_table, hate_scores, read_suite

CASES = read_suite()


@cache
def _scores() -> NDArray[np.float32]:
    cascade = Cascade.load()
    return hate_scores(cascade.predict, CASES)


def test_the_suite_has_cases_of_both_kinds_and_of_every_functionality() -> None:
    assert len(CASES) >= 300
    assert len({case.case_id for case in CASES}) == len({case.text for case in CASES}) == len(CASES)
    assert 0.4 < sum(case.hateful for case in CASES) / len(CASES) < 0.6
    assert min(Counter(case.functionality for case in CASES).values()) >= 6
    assert {case.split for case in CASES} == {"dev", "test"}


def test_the_cascade_tells_hate_from_what_looks_like_it() -> None:
    right = (_scores() >= 0.5) == np.array([case.hateful for case in CASES])
    assert right.mean() >= 0.80, accuracy_table(CASES, _scores())


def test_hate_against_the_same_people_scores_above_kindness_to_them() -> None:
    cascade = Cascade.load()
    for people in ("women", "Muslims", "gay people", "Black people", "disabled people"):
        scores = cascade.predict([f"{people} are vermin", f"{people} are welcome here"])
        assert scores[0, 0] > 0.5 > scores[1, 0], people
