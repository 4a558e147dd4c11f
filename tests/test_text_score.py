"""The text scorer: scores, outputs and evidence of a batch, and what a model fails with."""

from collections.abc import Sequence

import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import flat_map_batch
from bytewax.operators import input as take
from bytewax.operators import output as give
from bytewax.testing import TestingSink, TestingSource, run_main
from numpy.typing import NDArray

from models.text.cascade import Cascade
from models.text.fast import FastTextModel
from models.text.model import Contribution
from operators.breaker import Breaker
from operators.item import Item
from operators.normalize import Normalizer
from operators.text_score import SIGNAL_LEVEL, TextScorer
from policy.taxonomy import TEXT_CATEGORIES
from tests.builders import item
from tests.gates import gate

MODEL = FastTextModel()
INSULT = "you are a stupid worthless idiot"


class Broken:
    """A model that fails at one of its two tasks."""

    name, version, categories = "broken", "1", TEXT_CATEGORIES

    def __init__(self, *, predicts: bool) -> None:
        self._predicts = predicts

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self._predicts:
            raise RuntimeError("out of order")
        return np.full((len(texts), len(self.categories)), 0.9, dtype=np.float32)

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[Contribution]]:
        raise RuntimeError("out of order")


class Numberless(FastTextModel):
    """Gives no number for texts with a certain word."""

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        scores = super().predict(texts)
        scores[["overflow" in text for text in texts]] = np.nan
        return scores


def scored(*texts: str) -> list[Item]:
    return TextScorer(MODEL)(Normalizer()([item(text=text) for text in texts]))


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_item_with_text_is_scored(count: int) -> None:
    items = scored(*[f"{INSULT} {number}" for number in range(count)])
    assert len(items) == count
    for one in items:
        assert set(one.text_scores) == set(TEXT_CATEGORIES)
        assert one.outputs[0].scores == one.text_scores
        assert not one.degraded


def test_a_flagged_text_has_a_prediction_and_evidence_in_its_own_characters() -> None:
    (one,) = scored("well, you are a stupid worthless \uff29diot")
    (output,) = one.outputs
    assert (output.model, output.version) == (MODEL.name, MODEL.version)
    assert output.prediction == "harassment"
    assert output.confidence == one.text_scores["harassment"] > 0.5
    signal = next(signal for signal in one.signals if signal.category == "harassment")
    assert (signal.stage, signal.rule) == (MODEL.name, MODEL.name)
    assert signal.score == one.text_scores["harassment"]
    words = {one.content.text[span.start : span.end] for span in signal.evidence}
    assert words & {"stupid", "worthless", "\uff29diot"}
    assert 1 <= len(signal.evidence) <= 3
    assert {span.field for span in signal.evidence} == {"text"}


def test_a_quiet_text_has_an_output_and_no_signal() -> None:
    (one,) = scored("see you at the station tomorrow")
    assert max(one.text_scores.values()) < SIGNAL_LEVEL
    assert one.outputs[0].prediction == ""
    assert one.signals == []


def test_an_item_without_text_is_left_alone() -> None:
    from events.messages import Image

    picture = item(images=[Image("i1", data=b"x")])
    assert TextScorer(MODEL)([picture])[0].outputs == []
    assert picture.text_scores == {}


@pytest.mark.parametrize("predicts", [False, True], ids=["predict fails", "attribute fails"])
def test_what_the_model_fails_with_is_raised(predicts: bool) -> None:
    with pytest.raises(RuntimeError, match="out of order"):
        TextScorer(Broken(predicts=predicts))([item("c1"), item("c2")])


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_batch_edges_change_nothing(batch: int) -> None:
    texts = [INSULT, "see you at the station", "", INSULT.upper()]
    out: list[Item] = []
    flow = Dataflow("scores")
    source = TestingSource([item(text=text or " ") for text in texts], batch_size=batch)
    give(
        "out",
        flat_map_batch("score", take("in", flow, source), TextScorer(MODEL)),
        TestingSink(out),
    )
    run_main(flow)  # type: ignore[no-untyped-call]  # bytewax.testing is not typed
    assert [one.text_scores for one in out] == [
        one.text_scores for one in scored(*texts[:2], " ", texts[3])
    ]


class Certain:
    """Is as sure of hate as it is told to be."""

    categories = TEXT_CATEGORIES

    def __init__(self, name: str, hate: float) -> None:
        self.name, self.version, self._hate = name, f"{name}-1", hate
        self.start = len(name)

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        scores = np.zeros((len(texts), len(self.categories)), dtype=np.float32)
        scores[:, 0] = self._hate
        return scores

    def attribute(
        self, texts: Sequence[str], categories: Sequence[str]
    ) -> list[list[Contribution]]:
        return [[(self.start, len(text), 1.0)] for text in texts]


@pytest.mark.parametrize(("first", "settles"), [(0.5, "second"), (0.9, "first")])
def test_of_a_cascade_the_model_that_settled_is_named(first: float, settles: str) -> None:
    doubt = gate(0.3, 0.7, opens=(True,) + (False,) * (len(TEXT_CATEGORIES) - 1))
    cascade = Cascade([Certain("first", first), Certain("second", 0.8)], [doubt])
    (one,) = TextScorer(cascade)([item(text="some text")])
    assert [output.model for output in one.outputs] == [settles]
    assert [(signal.stage, signal.category) for signal in one.signals] == [(settles, "hate")]
    assert one.text_scores["hate"] == (0.8 if settles == "second" else 0.9)


@pytest.mark.parametrize(("thorough", "asked"), [(False, "first"), (True, "second")])
def test_evidence_is_of_the_first_model_or_if_thorough_of_the_one_that_settled(
    thorough: bool, asked: str
) -> None:
    doubt = gate(0.3, 0.7, opens=(True,) + (False,) * (len(TEXT_CATEGORIES) - 1))
    cascade = Cascade([Certain("first", 0.5), Certain("second", 0.8)], [doubt])
    (one,) = TextScorer(cascade, thorough=thorough)([item(text="some more text")])
    assert [span.start for span in one.signals[0].evidence] == [len(asked)]


def test_a_score_that_is_no_number_is_a_failure_of_that_text_alone() -> None:
    """Fusion would take it for a content without text, and allow it."""
    stage = Breaker(TextScorer.STAGE, TextScorer(Numberless()), None)
    good, bad = stage([item(text=INSULT), item(text=f"{INSULT} overflow")])
    assert good.text_scores["harassment"] > 0.5
    assert not good.degraded
    assert not bad.text_scores
    assert list(bad.degraded) == [TextScorer.STAGE]


def test_of_a_long_text_the_worst_passage_is_explained() -> None:
    text = "we had a coffee near the bridge. " * 5 + "all muslims are vermin, exterminate them"
    (one,) = TextScorer(Cascade.load(), thorough=True)([item(text=text)])
    (hate,) = [signal for signal in one.signals if signal.category == "hate"]
    words = {text[part.start : part.end] for part in hate.evidence}
    assert words & {"muslims", "vermin,", "exterminate"}
    assert all(part.start >= len(text) - 100 for part in hate.evidence)
