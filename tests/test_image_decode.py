"""Decoding: every kind of picture becomes RGB views, every trick a reason, nothing a crash."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from image_files import FORMATS, PHOTO, animation, encoded, png
from PIL import Image

from models.image.decode import DecodedImage, ImageError, Limits, decode, decode_full

DEFAULT = Limits()


def brightness(image: Image.Image) -> float:
    return float(np.asarray(image.convert("L")).mean())


def reason(data: bytes, limits: Limits = DEFAULT) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if "animated" not in kind])
def test_a_still_picture_is_one_view_that_looks_the_same(kind):
    decoded = decode(FORMATS[kind])
    assert decoded.complete
    assert decoded.size == PHOTO.size
    assert [view.mode for view in decoded.views] == ["RGB"]
    apart = np.asarray(decoded.views[0].convert("L"), float) - np.asarray(PHOTO.convert("L"))
    assert np.abs(apart).mean() < 6


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown_format"),
        (b"MZ" + bytes(300), "unknown_format"),
        (encoded(PHOTO, "TIFF"), "unknown_format"),
        (FORMATS["PNG"][:5000], "truncated"),
        (FORMATS["JPEG"][:100], "corrupt"),
        (png(8, 8, claimed=(60_000, 60_000)), "too_many_pixels"),
        (png(8, 8, claimed=(11_000, 11_000)), "too_much_memory"),
        (png(8, 8, claimed=(4000, 4000)), "truncated"),
        (FORMATS["progressive JPEG"][:-2] + b"\xff\xda" * 300, "too_many_scans"),
    ],
    ids=[
        "nothing", "svg", "an executable", "tiff, which browsers do not show", "cut png",
        "a jpeg's header alone", "a bomb over the pixels", "a bomb over the memory",
        "more claimed than there is", "a jpeg of endless scans",
    ],
)  # fmt: skip
def test_what_cannot_be_used_gives_its_reason(data, expected):
    assert reason(data) == expected


class TestBounds:
    def test_bytes(self):
        data = FORMATS["PNG"]
        assert decode(data, Limits(max_bytes=len(data)))
        assert reason(data, Limits(max_bytes=len(data) - 1)) == "too_large"

    def test_pixels(self):
        assert decode(FORMATS["PNG"], Limits(max_pixels=640 * 400))
        assert reason(FORMATS["PNG"], Limits(max_pixels=640 * 400 - 1)) == "too_many_pixels"

    def test_time(self):
        assert reason(FORMATS["JPEG"], Limits(max_seconds=-1.0)) == "timeout"

    @pytest.mark.parametrize("frames", [1, 2, 4])
    def test_frames(self, frames):
        assert len(decode(animation("GIF", 20), Limits(max_frames=frames)).views) == frames

    @pytest.mark.parametrize(
        "claimed", ["(7000, 7000)", "(60000, 60000)"], ids=["allowed", "a bomb"]
    )
    def test_memory_stays_far_under_a_gigabyte(self, claimed):
        """In a process of its own that may take 1 GiB of addresses beyond what it has."""
        script = f"""
            import resource
            from models.image.decode import ImageError, decode
            from tests.image_files import png
            taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, taken + 2**30))
            try:
                print(decode(png(*{claimed})).views[0].size)
            except ImageError as error:
                print(error.reason)
        """
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            check=True,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
        )
        assert ran.stdout.strip() == ("(1000, 1000)" if "7000" in claimed else "too_many_pixels")


class TestSizes:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG"])
    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((1, 1), (1, 1)),
            ((960, 400), (960, 400)),
            ((1919, 100), (1919, 100)),
            ((1920, 100), (960, 50)),
            ((20_000, 1), (1000, 1)),
            ((1, 20_000), (1, 1000)),
        ],
        ids=["a pixel", "the side", "under twice the side", "twice the side", "a line", "a column"],
    )
    def test_reduced_by_whole_factors(self, kind, size, expected):
        decoded = decode(encoded(PHOTO.resize(size), kind))
        assert decoded.views[0].size == expected
        assert decoded.size == size


class TestColours:
    def test_sixteen_bit_greys_are_not_clipped(self):
        greys = np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257
        decoded = decode(encoded(Image.fromarray(greys), "PNG"))
        assert np.array_equal(
            np.asarray(decoded.views[0].convert("L")), np.asarray(PHOTO.convert("L"))
        )

    def test_an_opaque_alpha_channel_changes_nothing(self):
        opaque = PHOTO.copy()
        opaque.putalpha(255)
        assert len(decode(encoded(opaque, "PNG")).views) == 1

    def test_transparent_parts_are_seen_on_white_and_as_stored(self):
        hidden = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
        shown, stored = decode(encoded(hidden, "PNG")).views
        assert brightness(shown) == 255
        assert brightness(stored) == 0

    def test_a_transparent_palette_too(self):
        palette = Image.new("P", (50, 50), 3)
        palette.putpalette([0, 0, 0] * 256)
        assert len(decode(encoded(palette, "PNG", transparency=3)).views) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation):
    stored = Image.new("RGB", (40, 20), "white")
    exif = Image.Exif()
    exif[0x0112] = orientation
    view = decode(encoded(stored, "JPEG", exif=exif)).views[0]
    assert view.size == ((40, 20) if orientation < 5 else (20, 40))


@pytest.mark.parametrize("orientation", [0, 9, 65_535], ids=["zero", "nine", "huge"])
def test_an_orientation_that_does_not_exist_is_left_alone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(PHOTO, "JPEG", exif=exif)).views[0].size == PHOTO.size


class TestAnimations:
    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
    @pytest.mark.parametrize(
        ("frames", "seen", "complete"),
        [(1, [0], True), (2, [0, 1], True), (3, [0, 1], False), (6, [0, 1, 4], False)],
        ids=["a still", "both", "one unseen", "more"],
    )
    def test_the_first_frame_and_a_few_more(self, kind, frames, seen, complete):
        decoded = decode(animation(kind, frames))
        greys = [brightness(view) for view in decoded.views]
        assert greys == pytest.approx([10 * i for i in seen], abs=3)
        assert decoded.complete == complete

    def test_a_broken_later_frame_leaves_the_first(self):
        data = animation("GIF", 6)
        decoded = decode(data[: len(data) * 2 // 3])
        assert brightness(decoded.views[0]) == 0
        assert not decoded.complete


def test_a_cut_jpeg_is_taken_as_far_as_it_goes():
    data = FORMATS["JPEG"]
    decoded = decode(data[: len(data) // 2])
    assert not decoded.complete
    top = (0, 0, 640, 100)
    apart = brightness(decoded.views[0].crop(top)) - brightness(PHOTO.crop(top))
    assert abs(apart) < 4


def test_the_extension_does_not_matter_only_the_bytes():
    assert decode(FORMATS["WebP"]).format == "WEBP"


def test_memory_of_the_views_is_known():
    decoded = decode(FORMATS["PNG"])
    assert isinstance(decoded, DecodedImage)
    assert decoded.nbytes == 640 * 400 * 4


class TestFull:
    """What the `hash` command uses."""

    def test_neither_reduced_nor_turned(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        big = PHOTO.resize((3000, 2000))
        assert decode_full(encoded(big, "JPEG", exif=exif)).size == (3000, 2000)

    def test_any_format_of_pillow(self):
        assert decode_full(encoded(PHOTO, "TIFF")).format == "TIFF"

    @pytest.mark.parametrize("data", [b"", b"text", FORMATS["PNG"][:3000], FORMATS["JPEG"][:3000]])
    def test_never_another_exception(self, data):
        with pytest.raises(ImageError):
            decode_full(data)
