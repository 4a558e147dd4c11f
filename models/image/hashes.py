"""Hashes of a picture: MD5 of its bytes, PDQ and pHash of its pixels, in all eight orientations.

PDQ follows Meta's reference (github.com/facebook/ThreatExchange, pdq/cpp, and its Python binding
`pdqhash`), pHash follows `imagehash.phash`. PDQ is a linear filter of the luma down to its median,
so here it is four matrix products instead of passes over the picture. The hashes of the mirror and
of the rotations come from the same coefficients: a mirrored picture has the same cosine transform
with the signs of its odd frequencies turned. A hash is a row of bytes, most significant bit first:
its `.tobytes().hex()` is the form that the references print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fftpack import dct

from models.image.borders import insides

PDQ_BYTES = 32
PDQ_MIN_QUALITY = 50
"""Below this PDQ's authors advise not to match: a nearly even picture has a nearly random hash."""

_PDQ_GRID = 64
_PDQ_SIDE = 16
_PDQ_MIN_DIMENSION = 5
_SMALL_SIDE = 320
_ENLARGED_SIDE = 1024
_EACH_END = 1 / 38
_ONE_END = 1 / 19
"""Shares of a side that are put back: of what a crop to 95 % leaves, the 2.5 or the 5 % taken."""
_CROPS: Final = (
    ((_EACH_END, _EACH_END), ((_EACH_END, _EACH_END),)),
    ((0, 0), ((_ONE_END, 0), (0, _ONE_END))),
    ((_ONE_END, 0), ((0, 0),)),
    ((0, _ONE_END), ((0, 0),)),
)
"""Crops that are undone: what was taken off above and below, each with left and right of it."""
_LUMA = np.array([0.299, 0.587, 0.114])
_PHASH_GRID = 32
_PHASH_SIDE = 8

Floats = NDArray[np.float32]
Hashes = NDArray[np.uint8]


def md5_hex(data: bytes) -> str:
    """MD5 of `data`, 32 hex characters: the form hash lists are exchanged in, not a safeguard."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def pdq(picture: Image.Image, *, exact: bool = False) -> tuple[Hashes, int]:
    """PDQ hashes of a picture in its eight orientations (uint8 (8, 32)) and its quality (0 to 100).

    Row 0 is the picture as it is; a picture with a side under 5 has zero hashes of quality 0, as in
    the reference. `exact`: with luma as `pdqhash` computes it, for lists that are given to others
    (equal bit for bit on 600 pictures); otherwise it is rounded to 8 bits, which is twice as fast
    and moves a bit where a coefficient lies at the median (4 at most in the tests).
    """
    width, height = picture.size
    if min(width, height) < _PDQ_MIN_DIMENSION:
        return np.zeros((8, PDQ_BYTES), np.uint8), 0
    if exact:
        luma = (np.asarray(picture.convert("RGB")) @ _LUMA).astype(np.float32)
    else:
        luma = _rounded_luma(picture)
    grid = _jarosz(height) @ luma @ _jarosz(width).T
    return _pdq_hashes(grid), _pdq_quality(grid)


def pdq_variants(picture: Image.Image) -> Hashes:
    """Further PDQ hashes to look a picture up by, uint8 (8k, 32); for pictures of some quality.

    They are those of the picture with the margins that a crop to 95 %, around the middle or from
    one side, took off (PDQ is lost at a shift of 1 %); of what its bars and margins enclose; and of
    small pictures also those enlarged, as PDQ filters little below 256 pixels and nothing below
    128, so that a shrunken copy is far from its original. What each is worth is in
    bench/RESULTS-images.md.
    """
    found = [*_uncropped(picture), *_enlarged(picture)]
    for inside in insides(picture):
        hashes, quality = pdq(inside)
        if quality >= PDQ_MIN_QUALITY:
            found += [hashes, *_enlarged(inside)]
    return np.concatenate(found)


def _uncropped(picture: Image.Image) -> Iterator[Hashes]:
    """Hashes of the picture as if it went on at its ends with the pixels of its edges."""
    luma, (width, height) = _rounded_luma(picture), picture.size
    for (above, below), sides in _CROPS:
        rows: Floats = _jarosz_beyond(height, above, below) @ luma
        for left, right in sides:
            yield _pdq_hashes(rows @ _jarosz_beyond(width, left, right).T)


def _enlarged(picture: Image.Image) -> list[Hashes]:
    if max(picture.size) > _SMALL_SIDE:
        return []
    factor = _ENLARGED_SIDE // max(picture.size)
    size = (picture.width * factor, picture.height * factor)
    return [pdq(picture.resize(size, Image.Resampling.BOX))[0]]


def phash(picture: Image.Image) -> Hashes:
    """The pHash of a picture in its eight orientations, uint8 (8, 8); row 0 is it as it is."""
    small = picture.convert("L").resize((_PHASH_GRID, _PHASH_GRID), Image.Resampling.LANCZOS)
    coefficients = dct(dct(np.asarray(small), axis=0), axis=1)[:_PHASH_SIDE, :_PHASH_SIDE]
    return _median_hashes(coefficients, first_frequency=0)


def _median_hashes(coefficients: NDArray[np.floating], first_frequency: int) -> Hashes:
    """The bits `coefficient > median`, in eight orientations.

    `coefficients` is (k, k), of frequencies `first_frequency`, `first_frequency` + 1, ... each way.
    PDQ takes the lower median and reads the bits backwards; pHash, which begins with the constant
    frequency, the mean of the two middle values and forwards.
    """
    side = len(coefficients)
    signs = np.where((np.arange(side) + first_frequency) % 2, -1.0, 1.0)
    oriented = np.empty((8, side, side))
    for i, turned in enumerate((coefficients, coefficients.T)):
        oriented[4 * i] = turned
        oriented[4 * i + 1] = turned * signs
        oriented[4 * i + 2] = turned * signs[:, None]
        oriented[4 * i + 3] = turned * signs * signs[:, None]
    flat = oriented.reshape(8, -1)
    ordered = np.sort(flat, axis=1)
    middle = flat.shape[1] // 2
    if first_frequency:
        bits = (flat > ordered[:, middle - 1, None])[:, ::-1]
    else:
        bits = flat > (ordered[:, middle - 1, None] + ordered[:, middle, None]) / 2
    return np.packbits(bits, axis=1)


def _rounded_luma(picture: Image.Image) -> Floats:
    luma: Floats = np.asarray(picture.convert("L"), dtype=np.float32)
    return luma


def _pdq_hashes(grid: Floats) -> Hashes:
    cosines = _pdq_cosines()
    return _median_hashes(cosines @ grid @ cosines.T, first_frequency=1)


def _jarosz_beyond(length: int, before: float, after: float) -> Floats:
    """`_jarosz` of samples that go on by these shares of `length`, repeating the first and last."""
    first, last = round(length * before), round(length * after)
    wide = _jarosz(length + first + last)
    folded = wide[:, first : first + length].copy()
    folded[:, 0] += wide[:, :first].sum(axis=1)
    folded[:, -1] += wide[:, first + length :].sum(axis=1)
    return folded


@lru_cache(maxsize=512)
def _jarosz(length: int) -> Floats:
    """PDQ's two box filters along `length` samples and the choice of 64 of them, as one matrix."""
    window = (length + 2 * _PDQ_GRID - 1) // (2 * _PDQ_GRID)
    half = (window + 2) // 2
    positions = np.arange(length)
    ends = np.minimum(positions + half, length)
    starts = np.maximum(positions + half - window, 0)
    chosen = ((np.arange(_PDQ_GRID) + 0.5) * length / _PDQ_GRID).astype(np.intp)

    matrix = np.zeros((_PDQ_GRID, length), np.float32)
    for row, position in enumerate(chosen):
        for second in range(starts[position], ends[position]):
            weight = 1.0 / ((ends[position] - starts[position]) * (ends[second] - starts[second]))
            matrix[row, starts[second] : ends[second]] += weight
    return matrix


def _pdq_quality(grid: NDArray[np.floating]) -> int:
    """How much there is to see in the 64x64 luma: the sum of its steps, 0 to 100."""
    steps = sum(
        int(np.abs(np.trunc(np.diff(grid, axis=axis) * (100 / 255))).sum()) for axis in (0, 1)
    )
    return min(steps // 90, 100)


@lru_cache(maxsize=1)
def _pdq_cosines() -> Floats:
    """The rows 1 to 16 of the 64-point cosine transform (DCT-II), (16, 64)."""
    rows = np.arange(1, _PDQ_SIDE + 1)[:, None]
    columns = 2 * np.arange(_PDQ_GRID) + 1
    scale = np.sqrt(2 / _PDQ_GRID)
    cosines: Floats = (scale * np.cos(np.pi / (2 * _PDQ_GRID) * rows * columns)).astype(np.float32)
    return cosines
