"""Hostile bytes to small upright pictures, within bounds on bytes, pixels, memory, frames and time.

Everything that a file declares is checked before a pixel is decoded, and JPEGs are decoded at a
fraction of their size. Pillow cannot be interrupted inside a codec, so time is checked whenever a
codec asks for more bytes; codecs that take the whole file at once (WebP, AVIF) are bounded by the
memory that their pixels may take.
"""

from __future__ import annotations

import io
import time
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image, UnidentifiedImageError

# The bound of `Limits` is checked on every picture, a second one on stderr only worries people.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")
"""What browsers show; every further codec is one more thing to attack."""

_BYTES_PER_PIXEL: Final = {"PNG": 8, "GIF": 9, "BMP": 8, "WEBP": 16, "AVIF": 16}
_DEFAULT_BYTES_PER_PIXEL: Final = 12
"""Peak memory of decoding a pixel: the codec's canvases, Pillow's copy and one conversion."""

_PROGRESSIVE_BYTES_PER_PIXEL: Final = 6
"""libjpeg keeps the coefficients of a progressive JPEG: 2 bytes in each of 3 channels."""

_ANIMATED: Final = ("GIF", "PNG", "WEBP", "AVIF")
_MAX_JPEG_SCANS: Final = 200
"""A progressive photo has about 10 scans; thousands of empty ones are an attack on time."""

_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_REASONS: Final = {
    TimeoutError: "timeout",
    UnidentifiedImageError: "unknown_format",
    MemoryError: "too_much_memory",
    Image.DecompressionBombError: "too_many_pixels",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one picture may take."""

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 128_000_000
    """Declared pixels of a frame."""
    max_memory: int = 384 * 1024 * 1024
    """Bytes, estimated from the declared size and the format before anything is decoded."""
    max_frames: int = 4
    """Frames looked at: the first, the second, the fifth, the seventeenth."""
    max_seconds: float = 2.0
    side: int = 960
    """A picture is reduced by a whole factor while its longer side stays at least this long."""


DEFAULT_LIMITS: Final = Limits()


class ImageError(Exception):
    """A picture that cannot be used; `reason` is one word, fit for a metric or a signal."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture ready for hashes and models."""

    views: tuple[Image.Image, ...]
    """RGB, upright, reduced: what people may see. The first frame; where it has transparent parts
    also its colours without them (as list makers hash it); then later frames."""
    format: str
    size: tuple[int, int]
    """Width and height in pixels as declared, before reduction and rotation."""
    complete: bool
    """False where frames were left out or the end of the file is missing."""

    @property
    def nbytes(self) -> int:
        """Memory of the pixels."""
        return sum(view.width * view.height * 4 for view in self.views)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> DecodedImage:
    """The picture in `data`.

    A JPEG that ends early is taken as far as it goes, as browsers do; other formats are not.

    Raises:
        ImageError: empty, too_large, unknown_format, too_many_pixels, too_much_memory,
            too_many_scans, timeout, truncated or corrupt.
    """
    deadline = time.perf_counter() + limits.max_seconds
    try:
        return _decode(data, limits, deadline)
    except ImageError as error:
        if error.reason == "truncated" and data.startswith(b"\xff\xd8"):
            whole = _decode(data + b"\xff\xd9", limits, deadline)
            return DecodedImage(whole.views, whole.format, whole.size, complete=False)
        raise


def decode_full(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The first frame in `data` as Pillow gives it: whole, not turned, in any format it knows.

    Raises:
        ImageError: see `decode`.
    """
    try:
        image = _open(data, limits, None, time.perf_counter() + limits.max_seconds)
        _check_memory(image, image.width * image.height, limits)
        image.load()
    except Exception as error:
        # Pillow's parsers meet hostile bytes here: any exception means that they are no picture.
        raise reason_of(error) from error
    return image


def reason_of(error: Exception) -> ImageError:
    """What went wrong in Pillow, as the error of this module."""
    if isinstance(error, ImageError):
        return error
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return ImageError(reason)
    return ImageError("truncated" if "truncated" in str(error) else "corrupt", str(error)[:200])


class _ClockedBytes(io.BytesIO):
    """Bytes that stop coming when time is up."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if time.perf_counter() > self._deadline:
            raise TimeoutError
        return super().read(size)


def _open(
    data: bytes, limits: Limits, formats: tuple[str, ...] | None, deadline: float
) -> Image.Image:
    if not data:
        raise ImageError("empty")
    if len(data) > limits.max_bytes:
        raise ImageError("too_large", f"{len(data)} bytes, at most {limits.max_bytes} are taken")
    image = Image.open(_ClockedBytes(data, deadline), formats=formats)
    if image.width * image.height > limits.max_pixels:
        raise ImageError("too_many_pixels", f"{image.width}x{image.height}")
    if _is_jpeg(image):
        if data.count(b"\xff\xda") > _MAX_JPEG_SCANS:
            raise ImageError("too_many_scans")
        # Pillow reads this much between two looks at the clock.
        image.decodermaxblock = 16 * 1024
    return image


def _is_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")


def _check_memory(image: Image.Image, declared_pixels: int, limits: Limits) -> None:
    """Estimate what loading `image` takes; a drafted JPEG is smaller than its `declared_pixels`."""
    cost = _BYTES_PER_PIXEL.get(image.format or "", _DEFAULT_BYTES_PER_PIXEL)
    memory = image.width * image.height * cost
    if image.info.get("progressive"):
        memory += declared_pixels * _PROGRESSIVE_BYTES_PER_PIXEL
    if memory > limits.max_memory:
        raise ImageError("too_much_memory", f"{memory >> 20} MiB to decode {image.size}")


def _decode(data: bytes, limits: Limits, deadline: float) -> DecodedImage:
    try:
        image = _open(data, limits, FORMATS, deadline)
        size = image.size
        _draft(image, limits.side)
        _check_memory(image, size[0] * size[1], limits)
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        views = _views(_reduced(image, limits.side))
        complete = True
        if image.format in _ANIMATED:
            frames, complete = _later_frames(image, limits, deadline)
            views += frames
    except Exception as error:
        # As in `decode_full`.
        raise reason_of(error) from error
    if orientation in _UPRIGHT:
        views = [view.transpose(_UPRIGHT[orientation]) for view in views]
    return DecodedImage(tuple(views), image.format or "", size, complete)


def _draft(image: Image.Image, side: int) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 where that leaves its longer side `side` or more."""
    factor = max(image.size) // side
    if factor > 1:
        image.draft(None, (max(image.width // factor, 1), max(image.height // factor, 1)))


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """RGB or RGBA, averaged over whole blocks of pixels: what PDQ's own filter would do."""
    image.load()
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips: all but the darkest 16-bit greys would be white.
        image = image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L")
    elif image.mode in ("P", "1", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    factor = max(image.size) // side
    if factor > 1:
        image = image.reduce(factor)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _views(image: Image.Image) -> list[Image.Image]:
    """`image` on a white page and, where that hides something, its colours alone."""
    if image.mode == "RGB":
        return [image]
    colours = image.convert("RGB")
    opacity = image.getchannel("A")
    if opacity.getextrema()[0] == 255:
        return [colours]
    page = Image.new("RGB", image.size, "white")
    page.paste(colours, mask=opacity)
    return [page, colours]


def _later_frames(
    image: Image.Image, limits: Limits, deadline: float
) -> tuple[list[Image.Image], bool]:
    """Frames 1, 4, 16, ... of an animation and whether there was nothing more to see.

    Codecs decode every frame on the way, so a broken or late one ends the walk, not the picture.
    """
    frames: list[Image.Image] = []
    number = 0
    try:
        while True:
            image.seek(number + 1)
            number += 1
            too_large = image.width * image.height > limits.max_pixels
            if too_large or len(frames) + 1 == limits.max_frames or time.perf_counter() > deadline:
                return frames, False
            if number == 4 ** len(frames):
                frames.append(_views(_reduced(image, limits.side))[0])
    except EOFError:
        return frames, number == len(frames)
    except Exception:  # noqa: BLE001  # hostile bytes, as in `decode_full`
        return frames, False
