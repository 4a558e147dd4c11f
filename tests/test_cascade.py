"""Who sees which text, and whose scores count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from models.text.cascade import Blend, Cascade
from models.text.fast import FastTextModel
from models.text.groups import COMMON, NAMED, NOBODY, GroupNames, doubtful
from tests.gates import gate


class Ruler:
    """Scores a text by its length in tenths, and by a second column that is always `other`."""

    categories = ("hate", "spam")

    def __init__(self, name: str, shift: float = 0.0, other: float = 0.0) -> None:
        self.name, self.version = name, f"{name}-1"
        self._shift, self._other = shift, other
        self.batches: list[list[str]] = []

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(list(texts))
        column = [min(1.0, len(text) / 10 + self._shift) for text in texts]
        return np.array([[score, self._other] for score in column], dtype=np.float32).reshape(-1, 2)

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[tuple[int, int, float]]]:
        asked = zip(texts, categories, strict=True)
        return [[(0, len(text), float(self.categories.index(name)))] for text, name in asked]


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("", 0),  # surely not
        ("a" * 2, 0),  # under the lower bound: sure
        ("a" * 4, 1),  # inside
        ("a" * 6, 1),
        ("a" * 8, 0),  # over the upper bound: sure
        ("a" * 10, 0),  # surely so
    ],
)
def test_a_text_goes_on_only_through_the_gate(text: str, by: int) -> None:
    cascade = Cascade([Ruler("fast"), Ruler("slow", shift=0.1)], [gate(0.3, 0.7)])
    assert cascade.settle([text]).settled_by.tolist() == [by]


def test_any_unsure_category_sends_a_text_on() -> None:
    cascade = Cascade(
        [Ruler("fast", other=0.4), Ruler("slow")], [gate(0.3, 0.5, opens=(False, True))]
    )
    assert cascade.settle(["", "aaa"]).settled_by.tolist() == [1, 1]


def test_scores_are_those_of_the_last_model_that_saw_the_text() -> None:
    cascade = Cascade([Ruler("fast"), Ruler("slow", shift=0.25)], [gate(0.3, 0.7)])
    result = cascade.settle(["a", "aaaaa", "aaaaaaaaa"])
    np.testing.assert_allclose(result.scores[:, 0], [0.1, 0.75, 0.9])


def test_a_second_opinion_is_weighed_with_the_first() -> None:
    halves = np.full(2, 0.5, np.float32)
    models = [Ruler("fast", other=0.5), Ruler("slow", shift=0.4, other=0.5)]
    cascade = Cascade(models, [gate(0.1, 0.9)], [Blend(halves, halves, np.zeros(2, np.float32))])
    np.testing.assert_allclose(cascade.predict(["aaa"]), [[0.5, 0.5]], atol=1e-6)


def test_certainty_stays_finite_when_weighed() -> None:
    blend = Blend(*np.ones((3, 2), np.float32))
    zeros, ones = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    for before, after in ((zeros, ones), (ones, ones), (zeros, zeros)):
        assert np.isfinite(blend(before, after)).all()


def test_each_model_sees_what_is_left_in_one_batch_and_in_order() -> None:
    models = [Ruler("a"), Ruler("b", shift=0.1), Ruler("c")]
    cascade = Cascade(models, [gate(0.2, 0.8), gate(0.45, 0.55)])
    texts = ["a" * n for n in (1, 4, 6, 9)]
    assert cascade.settle(texts).settled_by.tolist() == [0, 2, 1, 0]
    assert [model.batches for model in models] == [[texts], [texts[1:3]], [texts[1:2]]]


@pytest.mark.parametrize(("score", "batches"), [(0.0, 2), (0.8, 2), (0.9, 1), (1.0, 1)])
def test_a_long_text_that_is_surely_bad_is_not_read_in_passages(score: float, batches: int) -> None:
    fast = Ruler("fast", shift=score - 15)
    Cascade([fast, Ruler("slow")], [gate(0.3, 0.7)]).predict(["a" * 150])
    assert len(fast.batches) == batches


def test_nothing_unsure_never_wakes_the_next_model() -> None:
    slow = Ruler("slow")
    Cascade([Ruler("fast"), slow], [gate(0.3, 0.7)]).predict(["a", ""])
    assert slow.batches == []


def test_no_texts_have_no_scores() -> None:
    result = Cascade([Ruler("fast"), Ruler("slow")], [gate(0.3, 0.7)]).settle([])
    assert result.scores.shape == (0, 2)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_text_scores_the_same_in_every_batch(size: int) -> None:
    cascade = Cascade([Ruler("fast"), Ruler("slow", shift=0.1)], [gate(0.3, 0.7)])
    texts = ["a" * (n % 11) for n in range(1000)]
    parts = [cascade.predict(texts[at : at + size]) for at in range(0, 1000, size)]
    np.testing.assert_array_equal(np.concatenate(parts), cascade.predict(texts))


def test_evidence_comes_from_the_first_model() -> None:
    cascade = Cascade([Ruler("fast"), Ruler("slow")], [gate(0.3, 0.7)])
    assert cascade.attribute(["abc"], ["spam"]) == [[(0, 3, 1.0)]]


def test_gates_and_models_must_fit() -> None:
    with pytest.raises(ValueError, match="a gate between"):
        Cascade([Ruler("fast"), Ruler("slow")], [])


def test_what_others_doubt_goes_to_the_last_model_however_sure_the_others_are() -> None:
    models = [Ruler("fast"), Ruler("middle"), Ruler("slow", shift=0.1)]
    cascade = Cascade(models, [gate(0.3, 0.7)] * 2)
    found = cascade.settle(["", "a" * 9, "a" * 9], np.array([True, True, False]))
    assert found.settled_by.tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    ("first", "second", "names", "by"),
    [
        (0.1, 0.1, NOBODY, 0),
        (0.1, 0.1, NAMED, 1),  # a name, and then a clear answer
        (0.9, 0.9, NAMED, 1),
        (0.1, 0.3, NAMED, 2),  # a name, and the second model leaves it open
        (0.1, 0.2, NAMED, 1),  # on the bound: clear
        (0.1, 0.3, COMMON, 0),  # a common name, and clean so far
        (0.5, 0.3, COMMON, 2),
        (0.5, 0.3, NOBODY, 1),  # open, but nobody is named: the gates decide
    ],
)
def test_a_name_takes_a_text_on_until_a_model_is_clear(
    first: float, second: float, names: int, by: int
) -> None:
    only_hate = (True, False, False, False, False)
    cascade = Cascade([FastTextModel()] * 3, [gate(0.45, 0.55, opens=only_hate)] * 2)
    scores = [np.array([[score, 0, 0, 0, 0]], np.float32) for score in (first, second, 0.5)]
    found = cascade.settle_scores(*scores, lengths=np.array([9]), names=np.array([names], np.int8))
    assert found.settled_by.tolist() == [by]


@pytest.mark.parametrize(
    ("text", "score", "goes_on"),
    [
        ("muslims are at it again", 0.2, True),
        ("MIDDLE AGED drivers", 0.2, True),  # blind to case, of several words
        ("muslims are at it again", 0.03, False),  # nothing speaks of abuse
        ("these people are at it again", 0.2, False),  # nobody is named
        ("an old indian man", 0.4, False),  # common names, and clean so far
        ("an old indian man", 0.5, True),  # about to be flagged
        ("the muslin cloth", 0.2, False),  # a word of its own
        ("\ud800 \u202e gays", 0.2, True),
        ("", 0.9, False),
        ("x " * 48 + "gays", 0.2, True),  # as long as may be
        ("x " * 48 + "gays!", 0.9, False),  # long: the gate decides
    ],
)
def test_abuse_where_a_group_is_named_is_read_in_context(
    text: str, score: float, goes_on: bool
) -> None:
    scores = np.array([[0.0, score, 0.0, 0.0, 0.0]], np.float32)
    assert doubtful(GroupNames().find([text], scores), scores).tolist() == [goes_on]


def test_spam_about_a_group_is_no_abuse_of_it() -> None:
    scores = np.array([[0.0, 0.0, 0.0, 0.9, 0.9]] * 2, np.float32)
    assert not GroupNames().find(["muslims", "gays"], scores).any()
    nothing = np.zeros((0, 5), np.float32)
    assert doubtful(GroupNames().find([], nothing), nothing).shape == (0,)
