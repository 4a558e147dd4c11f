"""What people do to pictures: the changes that bench/RESULTS-images.md tells of."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from models.image.decode import decode
from training.pictures import caption

Picture = Image.Image
Change = Callable[[Picture], Picture]


def saved(kind: str, quality: int) -> Change:
    def change(one: Picture) -> Picture:
        return decode(encoded(one, kind, quality)).views[0]

    return change


def encoded(one: Picture, kind: str = "JPEG", quality: int = 85) -> bytes:
    out = io.BytesIO()
    one.save(out, kind, quality=quality)
    return out.getvalue()


def scaled(factor: float) -> Change:
    return lambda one: one.resize((int(one.width * factor), int(one.height * factor)))


def cropped(share: float) -> Change:
    """`share` of the width and of the height taken off, half of it on each side."""

    def change(one: Picture) -> Picture:
        x, y = int(one.width * share / 2), int(one.height * share / 2)
        return one.crop((x, y, one.width - x, one.height - y))

    return change


def cropped_from(side: str, share: float) -> Change:
    """`share` of the width or height taken off at one side."""

    def change(one: Picture) -> Picture:
        x, y = int(one.width * share), int(one.height * share)
        boxes = {"left": (x, 0, one.width, one.height), "below": (0, 0, one.width, one.height - y)}
        return one.crop(boxes[side])

    return change


def captioned_below(one: Picture) -> Picture:
    page = Image.new("RGB", (one.width, int(one.height * 1.15)), "#101010")
    page.paste(one)
    place, font = (one.width / 2, one.height * 1.075), ImageFont.load_default(one.height * 0.05)
    ImageDraw.Draw(page).text(place, "nobody expected this", "white", font, anchor="mm")
    return page


def letterboxed(one: Picture) -> Picture:
    page = Image.new("RGB", (one.width, int(one.height * 1.3)), "black")
    page.paste(one, (0, int(one.height * 0.15)))
    return page


def framed(one: Picture) -> Picture:
    """As a screenshot shows it: bars above and below, a margin at the sides."""
    page = Image.new("RGB", (int(one.width * 1.04), int(one.height * 1.12)), "#181818")
    page.paste(one, (int(one.width * 0.02), int(one.height * 0.06)))
    return page


CHANGES: Final[dict[str, Change]] = {
    "JPEG quality 95": saved("JPEG", 95),
    "JPEG quality 80": saved("JPEG", 80),
    "JPEG quality 50": saved("JPEG", 50),
    "JPEG quality 20": saved("JPEG", 20),
    "WebP quality 50": saved("WEBP", 50),
    "resize to 50 %": scaled(0.5),
    "resize to 25 %": scaled(0.25),
    "resize to 200 %": scaled(2.0),
    "crop 2 %": cropped(0.02),
    "crop 5 %": cropped(0.05),
    "crop 5 %, left side only": cropped_from("left", 0.05),
    "crop 4 %, below only": cropped_from("below", 0.04),
    "crop 8 %, below only": cropped_from("below", 0.08),
    "mirror": lambda one: one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "rotate 90": lambda one: one.transpose(Image.Transpose.ROTATE_90),
    "rotate 180": lambda one: one.transpose(Image.Transpose.ROTATE_180),
    "blur, radius 2": lambda one: one.filter(ImageFilter.GaussianBlur(2)),
    "contrast 70 %": lambda one: ImageEnhance.Contrast(one).enhance(0.7),
    "contrast 140 %": lambda one: ImageEnhance.Contrast(one).enhance(1.4),
    "grey": lambda one: one.convert("L").convert("RGB"),
    "caption bar (1/8)": lambda one: caption(one, "when the train is late again"),
    "caption bar below, dark": captioned_below,
    "letterbox": letterboxed,
    "screenshot border": framed,
    "screenshot border, JPEG 50": lambda one: saved("JPEG", 50)(framed(one)),
}
