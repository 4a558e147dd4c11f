"""The picture inside a frame: margins, letterbox and caption bars taken off.

PDQ sees the whole picture, so a bar moves every bit of it. A copy that somebody framed is therefore
looked up as it is inside its frame too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TOLERANCE: Final = 16
"""Grey levels within which a pixel has the colour of the bar: what JPEG does to an even one."""
_BAR_SHARE: Final = 0.4
"""Share of a bar's line that has its colour at least; the rest is a caption."""
_ENDS: Final = 1 / 64
"""Share of a line at each of its ends that lies outside the caption."""
_EVEN_ENDS: Final = 0.75
_BAR: Final = (0.01, 0.4)
"""Share of the picture that a bar takes: less moves the hashes little, more is no bar."""
_MIN_SIDE: Final = 64


def insides(picture: Image.Image) -> list[Image.Image]:
    """What an RGB picture shows inside its bars: up to five views, none if it has no bars.

    A bar is a run of lines along an edge in one colour, but for what is written in their middle.
    Which bars are a frame's and which the picture's own cannot be told, so there are views without
    the one above, the one below, both, those at the sides, and all.
    """
    luma: NDArray[np.int16] = np.asarray(picture.convert("L"), dtype=np.int16)
    top, bottom = _bar(luma), _bar(luma[::-1])
    inner = luma[top : luma.shape[0] - bottom]
    left, right = _bar(inner.T), _bar(inner.T[::-1])
    cuts = {
        (0, top, 0, 0),
        (0, 0, 0, bottom),
        (0, top, 0, bottom),
        (left, 0, right, 0),
        (left, top, right, bottom),
    } - {(0, 0, 0, 0)}
    return [
        picture.crop((left, top, picture.width - right, picture.height - bottom))
        for left, top, right, bottom in sorted(cuts)
        if picture.width - left - right >= _MIN_SIDE and picture.height - top - bottom >= _MIN_SIDE
    ]


def _bar(lines: NDArray[np.int16]) -> int:
    """How many of `lines`, from the first one on, are a bar; 0 if it is too narrow or too wide."""
    least, most = int(len(lines) * _BAR[0]) + 1, int(len(lines) * _BAR[1]) + 1
    ends = max(1, int(lines.shape[1] * _ENDS))
    near = np.abs(lines[:most] - np.median(lines[0])) <= _TOLERANCE
    is_bar = (
        (near.mean(axis=1) >= _BAR_SHARE)
        & (near[:, :ends].mean(axis=1) >= _EVEN_ENDS)
        & (near[:, -ends:].mean(axis=1) >= _EVEN_ENDS)
    )
    count = most if is_bar.all() else int(is_bar.argmin())
    return count if least <= count < most else 0
