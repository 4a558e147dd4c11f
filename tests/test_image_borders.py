"""Pictures inside frames: what is a bar, what is not, and that a framed copy is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import encoded
from PIL import Image

from models.image.borders import insides
from models.image.decode import decode
from models.image.hashes import pdq, pdq_variants
from training.pictures import caption, picture

PHOTO = picture(7 + 8 * 21).resize((400, 300))
GREY = "#303030"


def framed(left: int, top: int, right: int, bottom: int, colour: str = GREY) -> Image.Image:
    page = Image.new("RGB", (400 + left + right, 300 + top + bottom), colour)
    page.paste(PHOTO, (left, top))
    return page


def shows(views: list[Image.Image]) -> bool:
    """Whether one of the views is the photograph, to the pixel."""
    return any(view.tobytes() == PHOTO.tobytes() for view in views)


@pytest.mark.parametrize(
    ("what", "page"),
    [
        ("a bar above", framed(0, 40, 0, 0)),
        ("a bar below", framed(0, 0, 0, 40)),
        ("a letterbox", framed(0, 40, 0, 60)),
        ("a pillar box", framed(70, 0, 70, 0)),
        ("a frame", framed(20, 40, 20, 60)),
        ("a white frame", framed(20, 40, 20, 60, "white")),
        ("a caption", caption(PHOTO, "good morning to all", height=50)),
        ("a bar of 2 %", framed(0, 6, 0, 0)),
        ("a bar as high as two thirds of the picture", framed(0, 190, 0, 0)),
    ],
)
def test_what_a_frame_encloses(what: str, page: Image.Image) -> None:
    assert shows(insides(page)), what


@pytest.mark.parametrize(
    ("what", "page"),
    [
        ("a photograph", PHOTO),
        ("a line of a pixel", framed(0, 1, 0, 0)),
        ("nothing but a colour", Image.new("RGB", (300, 200), GREY)),
        ("something small in a frame", framed(0, 40, 0, 0).resize((40, 30))),
        ("a pixel", Image.new("RGB", (1, 1))),
        ("a line", Image.new("RGB", (20_000, 1))),
    ],
)
def test_what_has_no_inside(what: str, page: Image.Image) -> None:
    assert insides(page) == [], what


@given(st.integers(1, 200), st.integers(1, 200), st.randoms(use_true_random=False))
def test_views_are_few_smaller_and_never_tiny(width, height, random) -> None:
    columns = np.frombuffer(random.randbytes(width), np.uint8) // 32 * 32
    page = Image.fromarray(np.broadcast_to(columns, (height, width)).copy()).convert("RGB")
    views = insides(page)
    assert len(views) <= 5
    assert all(min(view.size) >= 64 and view.size != page.size for view in views)


class TestFound:
    """By PDQ, within its distance of 31."""

    @staticmethod
    def distance(changed: Image.Image) -> int:
        hashes = np.concatenate([pdq(changed)[0], pdq_variants(changed)])
        return int(np.bitwise_count(hashes ^ pdq(PHOTO)[0][0]).sum(axis=1).min())

    @pytest.mark.parametrize(
        ("what", "changed"),
        [
            ("framed and saved as JPEG", decode(encoded(framed(9, 30, 9, 30), "JPEG")).views[0]),
            ("framed and mirrored", framed(9, 30, 9, 30).transpose(Image.Transpose(0))),
            ("captioned", caption(PHOTO, "good morning to all", height=50)),
            ("cropped to 95 % around its middle", PHOTO.crop((10, 8, 390, 292))),
            ("cropped to 95 % from the left", PHOTO.crop((20, 0, 400, 300))),
            ("cropped to 96 % from below", PHOTO.crop((0, 0, 400, 288))),
        ],
    )
    def test_what_the_picture_as_a_whole_does_not_give_away(self, what, changed) -> None:
        own = int(np.bitwise_count(pdq(changed)[0] ^ pdq(PHOTO)[0][0]).sum(axis=1).min())
        assert own > 31, what
        assert self.distance(changed) <= 31, what

    def test_another_picture_in_the_same_frame_is_not(self) -> None:
        page = framed(9, 30, 9, 30)
        page.paste(picture(7 + 8 * 26).resize((400, 300)), (9, 30))
        assert self.distance(page) > 60


@pytest.mark.parametrize(
    ("place", "above", "below", "left", "right"),
    [(0, 8, 8, 11, 11), (1, 0, 0, 21, 0), (2, 0, 0, 0, 21), (3, 16, 0, 0, 0), (4, 0, 16, 0, 0)],
    ids=["around the middle", "left", "right", "above", "below"],
)
def test_an_undone_crop_is_the_picture_with_its_edges_drawn_out(
    place: int, above: int, below: int, left: int, right: int
) -> None:
    wide = np.pad(np.asarray(PHOTO), ((above, below), (left, right), (0, 0)), "edge")
    drawn, _ = pdq(Image.fromarray(wide))
    undone = pdq_variants(PHOTO)[8 * place : 8 * place + 8]
    assert int(np.bitwise_count(drawn ^ undone).sum(axis=1).max()) <= 4
