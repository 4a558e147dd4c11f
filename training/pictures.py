"""Different pictures made from seeds, for tests and figures where no collection may be shipped.

Seven kinds are drawn (landscapes, textures, charts, pages, memes, shapes, portraits), one is cut
from the two photographs that come with scikit-learn (CC BY). `picture(i)` is the same on every run.
"""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_sample_images

KINDS = ("landscape", "texture", "chart", "page", "meme", "shapes", "portrait", "photo")

_WORDS = tuple(
    "river market window garden paper morning train coffee winter signal harbour bridge letter "  # noqa: SIM905  # a list of 36 lines says no more
    "music village engine copper meadow lantern island summer pocket mirror forest ticket bakery "
    "planet shoulder ribbon anchor valley thunder blanket orchard compass feather".split()
)

Random = np.random.Generator


def picture(number: int) -> Image.Image:
    """The picture of this number (from 0), RGB, with a longer side of 480 to 960 pixels."""
    random = np.random.default_rng([20261121, number])
    longer = int(random.integers(480, 961))
    shorter = int(longer * random.uniform(0.55, 1.0))
    size = (longer, shorter) if random.random() < 0.6 else (shorter, longer)
    if number % len(KINDS) == len(_DRAWN):
        return _photo(number // len(KINDS), size)
    return _DRAWN[number % len(KINDS)](random, size)


def pictures(count: int) -> list[Image.Image]:
    """The first `count` pictures, the kinds in turn."""
    return [picture(number) for number in range(count)]


def caption(image: Image.Image, text: str, *, height: int | None = None) -> Image.Image:
    """`image` under a white bar that carries `text`, as memes have it."""
    height = height or max(image.height // 8, 36)
    page = Image.new("RGB", (image.width, image.height + height), "white")
    page.paste(image, (0, height))
    ImageDraw.Draw(page).text(
        (image.width / 2, height / 2), text, "black", _font(height * 0.5), anchor="mm"
    )
    return page


def words(random: Random, count: int) -> str:
    """`count` harmless words."""
    return " ".join(random.choice(_WORDS, count))


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _colour(random: Random, lightness: tuple[float, float] = (0.2, 0.8)) -> tuple[int, int, int]:
    rgb = colorsys.hls_to_rgb(random.random(), random.uniform(*lightness), random.uniform(0.2, 0.9))
    return (int(rgb[0] * 255), int(rgb[1] * 255), int(rgb[2] * 255))


def _field(random: Random, size: tuple[int, int], roughness: float) -> NDArray[np.float64]:
    """A smooth random field, 0 to 1, (height, width): noise of doubling frequency."""
    field = np.zeros((size[1], size[0]))
    for octave in range(1, 8):
        cells = 2**octave
        noise = Image.fromarray(random.random((cells + 1, cells + 1)).astype(np.float32))
        field += np.asarray(noise.resize(size, Image.Resampling.BICUBIC)) * roughness**octave
    field -= field.min()
    field /= field.max()
    return field


def _shaded(
    field: NDArray[np.float64], dark: tuple[int, int, int], light: tuple[int, int, int]
) -> Image.Image:
    colours = np.asarray(dark) + field[..., None] * (np.asarray(light) - np.asarray(dark))
    return Image.fromarray(colours.astype(np.uint8))


def _background(random: Random, size: tuple[int, int]) -> Image.Image:
    field = _field(random, size, random.uniform(0.4, 0.7))
    return _shaded(field, _colour(random, (0.05, 0.45)), _colour(random, (0.55, 0.95)))


def _landscape(random: Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    sky = np.linspace(0, 1, height)[:, None] + 0.25 * _field(random, size, 0.6)
    image = _shaded(sky / sky.max(), _colour(random, (0.3, 0.6)), _colour(random, (0.7, 0.95)))
    draw = ImageDraw.Draw(image)
    x, y, r = random.random() * width, random.uniform(0.05, 0.4) * height, height * 0.06
    draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(random, (0.8, 0.95)))
    for layer in range(int(random.integers(2, 6))):
        ridge = np.cumsum(random.normal(0, 1, width))
        ridge = np.convolve(ridge, np.ones(25) / 25, "same")
        ridge = (ridge - ridge.mean()) / (np.ptp(ridge) + 1e-9) * height * random.uniform(0.1, 0.5)
        base = height * (0.35 + 0.15 * layer)
        outline = [(i, float(base - h)) for i, h in enumerate(ridge)]
        draw.polygon([(0, height), *outline, (width, height)], fill=_colour(random, (0.1, 0.5)))
    grain = random.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _texture(random: Random, size: tuple[int, int]) -> Image.Image:
    field = _field(random, size, random.uniform(0.55, 0.95))
    rows, columns = np.mgrid[: size[1], : size[0]]
    angle, pitch = random.uniform(0, np.pi), random.uniform(30, 160)
    along = (rows * np.sin(angle) + columns * np.cos(angle)) / pitch
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * (along + random.uniform(0.5, 3) * field))
    mixed = random.uniform(0.2, 0.8) * waves + field
    return _shaded(mixed / mixed.max(), _colour(random, (0, 0.4)), _colour(random, (0.6, 1)))


def _chart(random: Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, "white" if random.random() < 0.7 else "#202030")
    draw = ImageDraw.Draw(image)
    left, bottom = width * 0.1, height * 0.88
    draw.text((width / 2, height * 0.06), words(random, 3), "grey", _font(height / 18), anchor="mm")
    for y in np.linspace(height * 0.12, bottom, 6):
        draw.line((left, y, width * 0.95, y), fill="#b0b0b0")
        draw.text((left - 6, y), str(int(bottom - y)), "grey", _font(height / 32), anchor="rm")
    if random.random() < 0.5:
        heights = random.uniform(0.05, 1, int(random.integers(4, 16))) * (bottom - height * 0.12)
        step = width * 0.85 / len(heights)
        for i, tall in enumerate(heights):
            x = left + i * step
            draw.rectangle((x, bottom - tall, x + step * 0.7, bottom), fill=_colour(random))
    else:
        for _ in range(int(random.integers(1, 5))):
            walk = np.cumsum(random.normal(0, 1, 80))
            walk = (walk - walk.min()) / np.ptp(walk) * (bottom - height * 0.12)
            points = [
                (left + i * width * 0.85 / 79, float(bottom - value))
                for i, value in enumerate(walk)
            ]
            draw.line(points, fill=_colour(random), width=int(random.integers(2, 7)))
    return image


def _page(random: Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, _colour(random, (0.9, 1.0)))
    draw = ImageDraw.Draw(image)
    y = height * 0.04
    while y < height * 0.95:
        tall = height * random.uniform(0.025, 0.08)
        if random.random() < 0.15:
            right, low = width * random.uniform(0.4, 0.95), min(y + height * 0.2, height * 0.97)
            draw.rectangle((width * 0.05, y, right, low), fill=_colour(random))
            y = low + tall
            continue
        line = words(random, int(random.integers(2, 9)))
        ink = _colour(random, (0.0, 0.3))
        draw.text((width * random.uniform(0.04, 0.3), y), line, ink, _font(tall))
        y += tall * random.uniform(1.2, 2.0)
    return image


def _meme(random: Random, size: tuple[int, int]) -> Image.Image:
    image = _shapes(random, size) if random.random() < 0.5 else _landscape(random, size)
    draw = ImageDraw.Draw(image)
    for y in (0.1, 0.9):
        draw.text(
            (size[0] / 2, size[1] * y), words(random, 3).upper(), "white",
            _font(size[0] / 16), anchor="mm", stroke_width=3, stroke_fill="black",
        )  # fmt: skip
    return image


def _shapes(random: Random, size: tuple[int, int]) -> Image.Image:
    image = _background(random, size)
    draw = ImageDraw.Draw(image)
    extent = np.asarray(size)
    for _ in range(int(random.integers(3, 14))):
        centre, reach = random.random(2) * extent, random.uniform(0.04, 0.3) * max(size)
        if random.random() < 0.4:
            reaches = reach * random.uniform(0.3, 1, 2)
            corners = (*(centre - reaches), *(centre + reaches))
            draw.ellipse(corners, fill=_colour(random), outline=_colour(random), width=4)
        else:
            angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 8))))
            around = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            draw.polygon([(float(x), float(y)) for x, y in around], fill=_colour(random))
    return image


def _portrait(random: Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    image = _background(random, size).filter(ImageFilter.GaussianBlur(6))
    draw = ImageDraw.Draw(image)
    x, y = width * random.uniform(0.35, 0.65), height * random.uniform(0.35, 0.5)
    r = min(size) * random.uniform(0.15, 0.28)
    skin, hair = _colour(random, (0.35, 0.85)), _colour(random, (0.05, 0.5))
    draw.ellipse((x - 2 * r, y + r, x + 2 * r, y + 5 * r), fill=_colour(random))
    draw.ellipse(
        (x - 1.15 * r, y - 1.5 * r, x + 1.15 * r, y + r * random.uniform(0, 1.4)), fill=hair
    )
    draw.ellipse((x - r, y - 1.2 * r, x + r, y + 1.2 * r), fill=skin)
    for side in (-1, 1):
        eye = x + side * r * random.uniform(0.3, 0.5)
        draw.ellipse((eye - r / 8, y - r / 3, eye + r / 8, y - r / 9), fill=hair)
    smile = random.uniform(0.2, 0.6) * r
    draw.arc((x - smile, y + r * 0.2, x + smile, y + r * 0.7), 10, 170, fill="#702020", width=6)
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2)))


@cache
def _photographs() -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def _photo(number: int, size: tuple[int, int]) -> Image.Image:
    """One of 32 parts, 4x4 of each photograph, that do not overlap."""
    whole = _photographs()[number // 16 % 2]
    width, height = whole.width // 4, whole.height // 4
    x, y = number % 4 * width, number // 4 % 4 * height
    return whole.crop((x, y, x + width, y + height)).resize(size, Image.Resampling.BICUBIC)


_DRAWN = (_landscape, _texture, _chart, _page, _meme, _shapes, _portrait)
