"""The image stage: the worst image counts, nothing is scored twice, nothing stops the stream."""

from pathlib import Path

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from image_files import encoded
from image_items import in_batches, item
from msgspec import structs
from PIL import Image

from events.messages import Evidence, Signal
from models.image.classifier import ImageClassifier
from operators import image_score as module
from operators.image_cache import PictureCache
from operators.image_score import ImageScorer
from training.pictures import picture

COLOURS = Path(__file__).parent / "image_model" / "card.json"
"""Red says `sexual`, blue `violent_extremism`, green and white nothing of either."""


class Counted(ImageClassifier):
    """The model, counting what it is given."""

    seen = 0

    def outputs(self, pictures):
        self.seen += len(pictures)
        return super().outputs(pictures)


@pytest.fixture
def model():
    counted = Counted(COLOURS)
    counted.seen = 0
    return counted


@pytest.fixture
def scorer(model):
    return ImageScorer(PictureCache(), lambda: model)


def image(colour: str, kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", (60, 60), colour), kind)


RED, GREEN, BLUE = image("red"), image("lime"), image("blue")


def test_the_worst_image_of_each_category_counts(scorer):
    (done,) = scorer([item(GREEN, RED, BLUE)])
    assert done.image_scores == {"sexual": 1.0, "violent_extremism": 1.0}
    assert done.degraded == []


def test_a_signal_says_which_image(scorer):
    (done,) = scorer([item(GREEN, RED)])
    assert done.signals == [
        Signal("image", "colours", "sexual", 1.0, (Evidence("images.1", 0, 0),))
    ]


def test_one_row_for_the_store(scorer):
    (done,) = scorer([item(RED, RED)])
    (output,) = done.outputs
    assert (output.model, output.version) == ("colours", "7")
    assert (output.prediction, output.confidence) == ("sexual", 1.0)
    assert output.scores == done.image_scores


def test_nothing_found_is_no_prediction(scorer):
    (done,) = scorer([item(GREEN)])
    assert done.outputs[0].prediction == ""
    assert done.signals == []


def test_an_animation_scores_as_its_worst_frame(scorer):
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("lime", "red")]
    (done,) = scorer([item(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))])
    assert done.image_scores["sexual"] > 0.9


class TestUndecodable:
    def test_a_signal_that_says_why_and_degraded_once(self, scorer):
        (done,) = scorer([item(b"x", RED[:60])])
        assert [signal.rule for signal in done.signals] == [
            "image.undecodable:unknown_format",
            "image.undecodable:truncated",
        ]
        assert [signal.evidence[0].field for signal in done.signals] == ["images.0", "images.1"]
        assert {(s.stage, s.category, s.score) for s in done.signals} == {("image", "", 0.0)}
        assert done.degraded == ["image_score"]
        assert (done.image_scores, done.outputs) == ({}, [])

    def test_the_other_images_are_scored(self, scorer):
        (done,) = scorer([item(b"x", RED)])
        assert done.image_scores["sexual"] == 1.0
        assert done.degraded == ["image_score"]

    def test_reasons_are_counted(self):
        reasons = []
        scorer = ImageScorer(PictureCache(), count_undecodable=reasons.append)
        scorer([item(b"x", RED[:60]), item(b"x"), item("file:///a")])
        assert reasons == ["unknown_format", "truncated", "unknown_format", "not_fetched"]


class TestNotTwice:
    @pytest.mark.parametrize("batches", [1, 2])
    def test_the_same_bytes(self, scorer, model, batches):
        model.seen = 0
        in_batches(scorer, [item(RED), item(RED)], 2 // batches)
        assert model.seen == 1

    def test_the_same_bytes_are_not_even_decoded(self, model, monkeypatch):
        cache = PictureCache()
        scorer = ImageScorer(cache, lambda: model)
        (first,) = scorer([item(RED)])
        monkeypatch.setattr(cache, "open", None)
        (second,) = scorer([item(RED)])
        assert second.image_scores == first.image_scores

    def test_the_same_picture_in_other_bytes(self, scorer, model):
        drawn = picture(8)
        scorer([item(encoded(drawn, "PNG"))])
        model.seen = 0
        (done,) = scorer([item(encoded(drawn, "BMP"))])
        assert model.seen == 0
        assert done.image_scores

    def test_a_small_copy_does_not_speak_for_the_large_one(self, scorer, model):
        """Both have the same hashes; the small one's scores are scaled down."""
        model.card = structs.replace(model.card, trusted_side=128)
        small = picture(8).resize((64, 64), Image.Resampling.BOX)
        large = small.resize((128, 128), Image.Resampling.NEAREST)
        scorer([item(encoded(small, "PNG"))])
        (done,) = scorer([item(encoded(large, "PNG"))])
        (alone,) = ImageScorer(PictureCache(), lambda: model)([item(encoded(large, "PNG"))])
        assert done.image_scores == alone.image_scores

    def test_even_pictures_go_by_their_bytes_alone(self, scorer):
        """Red and blue have the same PDQ hash: that of a picture with nothing in it."""
        red, blue = scorer([item(RED), item(BLUE)])
        assert red.image_scores["sexual"] > 0.9 > blue.image_scores["sexual"]

    def test_what_is_remembered_is_bounded(self, scorer, monkeypatch):
        monkeypatch.setattr(module, "_REMEMBERED", 2)
        scorer([item(RED), item(GREEN), item(BLUE)])
        assert len(scorer._remembered) == 2


class TestTheModel:
    def test_text_alone_does_not_load_it(self):
        def load():
            raise AssertionError("loaded")

        items = [item(), item()]
        assert ImageScorer(PictureCache(), load)(items) == items
        assert all(one.degraded == [] for one in items)

    def test_it_is_loaded_once(self, model):
        loads = []
        scorer = ImageScorer(PictureCache(), lambda: loads.append(1) or model)
        in_batches(scorer, [item(RED), item(GREEN)], 1)
        assert loads == [1]

    def test_what_it_fails_with_is_raised(self):
        def load():
            raise OSError("missing")

        with pytest.raises(OSError, match="missing"):
            ImageScorer(PictureCache(), load)([item(RED, GREEN), item()])


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_batches(scorer, size):
    items = [item(*((RED,), (), (b"bad",), (GREEN, BLUE))[i % 4]) for i in range(40)]
    done = in_batches(scorer, items, size)
    assert done == items
    for i, one in enumerate(done):
        assert round(one.image_scores.get("sexual", -1)) == (1, -1, -1, 0)[i % 4]
        assert bool(one.degraded) == (i % 4 == 2)


def test_the_shell(scorer):
    out = []
    flow = Dataflow("test")
    items = op.input("in", flow, TestingSource([item(RED), item()]))
    op.output("out", op.flat_map_batch("image_score", items, scorer), TestingSink(out))
    run_main(flow)
    assert [bool(one.image_scores) for one in out] == [True, False]
