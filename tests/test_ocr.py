"""OCR: what a picture says is judged as if it were typed, and the finding points at the picture."""

import io

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from image_files import encoded
from image_items import in_batches, item
from msgspec import structs
from PIL import Image, ImageOps

from events.messages import Evidence, Signal
from events.records import AuthorFeatures, ModelOutput
from flows.settings import load_settings
from flows.stages import load_stages
from models.image.ocr import Reading, TextReader, may_hold_text
from operators.image_cache import PictureCache
from operators.normalize import Normalizer
from operators.ocr import ImageTextJudge, ImageTextReader
from operators.regex_match import RuleMatcher
from policy.policy import BUILT_IN
from policy.rules import parse_rules
from training.pictures import KINDS, caption, picture

PLAIN = picture(6)
"""A portrait: nothing written in it."""
PHOTO = encoded(PLAIN.resize((90, 90)), "PNG")

RULES = """
rules:
  - {id: giveaway, category: spam, score: 0.9, keywords: [claim your prize]}
"""


def written(text: str) -> bytes:
    return encoded(caption(PLAIN.resize((480, 400)), text, height=70), "PNG")


SAYS = {(255, 0, 0): "claim your prize", (0, 0, 255): "good morning", (0, 255, 0): "  ",
        (255, 255, 0): "the beginning"}  # fmt: skip
"""What the reader of most tests sees, by the colour of a picture's corner."""


class Says:
    def __init__(self):
        self.count = 0

    def read(self, view):
        self.count += 1
        return Reading(SAYS[view.getpixel((0, 0))], whole=view.getpixel((0, 0)) != (255, 255, 0))


def sign(colour: str) -> bytes:
    """A picture that looks as if it carried text and has a corner of this colour."""
    drawn = caption(PLAIN.resize((320, 240)), "a b c d e f g h i j k l m n")
    drawn.paste(colour, (0, 0, 8, 8))
    return encoded(drawn, "PNG")


RED, BLUE, GREEN, FULL = sign("red"), sign("blue"), sign("lime"), sign("yellow")


@pytest.fixture
def says():
    return Says()


@pytest.fixture
def rules():
    return RuleMatcher(parse_rules({"a.yaml": RULES}))


def read_and_judged(reader: ImageTextReader, *text_way):
    """Both stages as one."""
    judge = ImageTextJudge(text_way)
    return lambda items: judge(reader(items))


@pytest.fixture
def reader(says, rules):
    return read_and_judged(
        ImageTextReader(PictureCache(), lambda _: "on", lambda: says), Normalizer(), rules
    )


class TestTheCheapTest:
    @pytest.mark.parametrize("kind", ["chart", "page", "meme"])
    def test_text_is_never_passed_over(self, kind):
        assert all(may_hold_text(picture(KINDS.index(kind) + 8 * i)) for i in range(4))

    @pytest.mark.parametrize("kind", ["landscape", "shapes", "portrait"])
    def test_what_is_smooth_is(self, kind):
        assert sum(may_hold_text(picture(KINDS.index(kind) + 8 * i)) for i in range(4)) <= 1

    @pytest.mark.parametrize("height", [30, 70, 140], ids=["small", "middling", "large"])
    def test_letters_of_any_size(self, height):
        assert may_hold_text(caption(PLAIN.resize((480, 400)), "good day", height=height))

    @pytest.mark.parametrize("size", [(1, 1), (7, 7), (20_000, 1), (1, 20_000), (33, 8), (40, 8)])
    def test_any_size_has_an_answer(self, size):
        assert may_hold_text(Image.new("RGB", size)) is False


class TestFindings:
    def test_a_rule_points_at_the_image(self, reader):
        (done,) = reader([item(BLUE, RED)])
        assert done.image_texts == {"0": ["good morning"], "1": ["claim your prize"]}
        assert done.signals == [
            Signal("rules", "giveaway", "spam", 0.9, (Evidence("images.1", 0, 16),))
        ]

    def test_images_of_one_id_are_judged_one_by_one(self, reader):
        """What one says hides nothing of another; evidence counts from its own text."""
        given = item(BLUE, RED, BLUE)
        same = [structs.replace(image, image_id="i") for image in given.content.images]
        given.content = structs.replace(given.content, images=same)
        (done,) = reader([given])
        assert done.image_texts == {"i": ["good morning", "claim your prize", "good morning"]}
        assert done.signals == [
            Signal("rules", "giveaway", "spam", 0.9, (Evidence("images.i", 0, 16),))
        ]

    def test_a_rule_that_wants_a_human_gets_one(self, says):
        rules = RULES.replace("0.9,", "0.1, action: review,")
        matcher = RuleMatcher(parse_rules({"a.yaml": rules}))
        reader = ImageTextReader(PictureCache(), lambda _: "on", lambda: says)
        judged = read_and_judged(reader, Normalizer(), matcher)([item(RED), item(BLUE)])
        assert [one.asked_review for one in judged] == ["spam", ""]

    def test_the_contents_own_text_and_images_stay(self, reader):
        (done,) = reader([item(RED, text="hello")])
        assert done.content.text == "hello"
        assert len(done.content.images) == 1
        assert done.normalized is None

    def test_an_image_without_text_of_its_own(self, reader):
        (done,) = reader([item(RED, text="")])
        assert done.signals

    @pytest.mark.parametrize(("own", "expected"), [(0.2, 0.7), (0.9, 0.9)])
    def test_the_higher_score_counts_and_one_row_a_model_is_kept(self, says, own, expected):
        def scores(items):
            for one in items:
                one.text_scores = {"spam": 0.7}
                one.outputs.append(ModelOutput("m", "1", "spam", 0.7, {"spam": 0.7}))
            return items

        given = item(RED)
        given.text_scores = {"spam": own, "hate": 0.1}
        given.outputs.append(ModelOutput("m", "1", "", own, {"spam": own, "hate": 0.1}))
        (done,) = read_and_judged(
            ImageTextReader(PictureCache(), lambda _: "on", lambda: says), scores
        )([given])
        assert done.text_scores == {"spam": expected, "hate": 0.1}
        assert [output.confidence for output in done.outputs] == [expected]

    def test_what_the_text_way_could_not_do_is_told(self, says):
        def broken(items):
            for one in items:
                one.degraded.append("text_score")
            return items

        (done,) = read_and_judged(
            ImageTextReader(PictureCache(), lambda _: "on", lambda: says), broken
        )([item(RED, BLUE)])
        assert done.degraded == ["text_score"]


class TestViews:
    """What an attacker writes where the first glance finds nothing."""

    def test_letters_on_nothing(self, reader):
        sign = Image.open(io.BytesIO(RED))
        drawn = Image.new("RGBA", sign.size)
        drawn.paste("white", mask=ImageOps.invert(sign.convert("L")))
        drawn.paste((255, 0, 0, 0), (0, 0, 8, 8))
        assert reader([item(encoded(drawn, "PNG"))])[0].image_texts == {"0": ["claim your prize"]}

    def test_a_later_frame(self, reader):
        blank, sign = Image.new("RGB", (320, 276), "white"), Image.open(io.BytesIO(RED))
        animated = encoded(blank, "WEBP", save_all=True, append_images=[sign], lossless=True)
        assert reader([item(animated)])[0].image_texts == {"0": ["claim your prize"]}


class TestModes:
    @pytest.mark.parametrize(
        ("mode", "author", "signal", "read"),
        [
            ("off", AuthorFeatures(), True, False),
            ("on", AuthorFeatures(decisions=50), False, True),
            ("suspicion", AuthorFeatures(decisions=50), False, False),
            ("suspicion", AuthorFeatures(decisions=50), True, True),
            ("suspicion", AuthorFeatures(decisions=50, violations=1), False, True),
            ("suspicion", AuthorFeatures(), False, True),
        ],
        ids=["off", "on", "known author", "a signal", "a violation before", "new author"],
    )
    def test_what_is_read(self, says, mode, author, signal, read):
        given = item(RED)
        given.author = author
        if signal:
            given.signals.append(Signal("hash", "x", "spam", 1.0))
        (done,) = ImageTextReader(PictureCache(), lambda _: mode, lambda: says)([given])
        assert bool(done.image_texts) == read

    def test_the_policy_says_which_unless_the_setting_does(self, tmp_path):
        text = (BUILT_IN / "policy.yaml").read_text()
        assert "\nocr: suspicion\n" in text
        for folder in ("rules", "hashes"):
            (tmp_path / folder).symlink_to(BUILT_IN / folder)
        (tmp_path / "policy.yaml").write_text(text.replace("\nocr: suspicion\n", "\nocr: off\n"))
        for setting, degraded in ((None, False), ("on", True)):
            stages = load_stages(load_settings(policy=tmp_path, output=tmp_path, ocr=setting))
            # More images than are read: where reading is on, it says so.
            [made] = stages.judge([item(*[BLUE] * 5)])
            assert ("ocr_partial" in made.decision.degraded) == degraded


class TestBounds:
    def test_the_same_bytes_are_read_once(self, reader, says):
        in_batches(reader, [item(RED), item(RED), item(RED, RED)], 1)
        assert says.count == 1

    def test_pictures_that_do_not_look_like_text_are_not_read(self, reader, says):
        reader([item(encoded(PLAIN, "PNG"))])
        assert says.count == 0

    @pytest.mark.parametrize(
        ("plain", "signs", "degraded"), [(6, 4, []), (0, 5, ["ocr_partial"])], ids=["all", "more"]
    )
    def test_images_of_one_content_that_look_like_text(self, reader, plain, signs, degraded):
        (done,) = reader([item(*[PHOTO] * plain, *[BLUE] * signs)])
        assert (len(done.image_texts), done.degraded) == (4, degraded)

    def test_an_image_with_more_text_than_is_read(self, reader):
        (done,) = reader([item(FULL, BLUE)])
        assert done.image_texts == {"0": ["the beginning"], "1": ["good morning"]}
        assert done.degraded == ["ocr_partial"]

    @pytest.mark.parametrize("images", [PHOTO, BLUE], ids=["photos", "screenshots"])
    def test_a_new_authors_album_is_not_held_as_csam(self, tmp_path, images):
        stages = load_stages(load_settings(output=tmp_path))
        [made] = stages.judge([item(*[images] * 10)])
        assert (made.decision.action, made.decision.hold) == ("allow", False)

    def test_time_of_a_batch(self, says):
        reader = ImageTextReader(PictureCache(), lambda _: "on", lambda: says, batch_seconds=-1.0)
        done = reader([item(RED), item()])
        assert [one.degraded for one in done] == [["ocr"], []]

    def test_an_image_that_cannot_be_decoded_has_no_text(self, reader):
        (done,) = reader([item(b"broken", RED)])
        assert (list(done.image_texts), done.degraded) == (["1"], [])

    def test_blanks_are_no_text(self, reader):
        (done,) = reader([item(GREEN)])
        assert done.image_texts == {}

    def test_what_the_reader_fails_with_is_raised(self):
        def load():
            raise OSError("no model")

        with pytest.raises(OSError, match="no model"):
            ImageTextReader(PictureCache(), lambda _: "on", load)([item(RED), item()])


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_batches(reader, size):
    items = [item(*((RED,), (), (BLUE, RED))[i % 3]) for i in range(12)]
    done = in_batches(reader, items, size)
    assert done == items
    assert [len(one.signals) for one in done] == [1, 0, 1] * 4


def test_the_shell(reader):
    out = []
    flow = Dataflow("test")
    items = op.input("in", flow, TestingSource([item(RED), item()]))
    op.output("out", op.flat_map_batch("ocr", items, reader), TestingSink(out))
    run_main(flow)
    assert [bool(one.signals) for one in out] == [True, False]


class TestRealReading:
    @pytest.fixture(scope="class")
    @classmethod
    def read(cls):
        return TextReader().read

    def test_a_caption(self, read):
        drawn = caption(PLAIN.resize((480, 400)), "the village market is open", height=70)
        assert read(drawn) == Reading("the village market is open")

    def test_nothing_written(self, read):
        assert read(PLAIN.resize((200, 200))) == Reading("")

    def test_a_pixel(self, read):
        assert read(Image.new("RGB", (1, 1))) == Reading("")

    def test_memes_are_told_apart_by_what_they_say(self, rules):
        reader = read_and_judged(
            ImageTextReader(PictureCache(), lambda _: "on"), Normalizer(), rules
        )
        bad, good = reader([item(written("claim your prize")), item(written("good morning"))])
        assert [signal.category for signal in bad.signals] == ["spam"]
        assert good.signals == []
        assert good.image_texts == {"0": ["good morning"]}
