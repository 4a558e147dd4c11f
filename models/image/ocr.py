"""Text in pictures: a cheap test whether there may be any, and rapidocr (PP-OCR) to read it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_CHARACTERS: Final = 2000
"""More than a picture carries that people read; the text stages' time stays bounded."""

_MAX_WIDTH: Final = 8_000
"""Pixels of all lines that are read, side by side at the recognizer's height: at most 2 s."""
_LINE_HEIGHT: Final = 48
_LEAST_WIDTH: Final = 320
"""What the recognizer makes of a line: shorter ones are padded."""
_MAX_FOUND: Final = 256
"""Spots that are looked at as lines, a fraction of a millisecond each."""
_SURE: Final = 0.5
_READ_SIDE: Final = 736
"""Longer side in pixels at which lines are looked for."""

_TEST_SIDES: Final = (480, 240, 120)
_STEP: Final = 40
"""Grey levels between neighbouring pixels at the edge of a letter's stroke."""
_CELL: Final = 8
_EDGES: Final = 6
"""Edges in a cell of 8x8 pixels that a part of a word has at least."""


def may_hold_text(picture: Image.Image) -> bool:
    """Whether somewhere in an RGB picture edges are as dense and in a row as in a word.

    Looks at three sizes, for small and for large letters; takes about a millisecond. Lattices,
    leaves and gravel pass too: this only saves reading what is smooth. Letters of faint contrast
    and those under some 8 pixels of 480 are missed.
    """
    luma = picture.convert("L")
    return any(
        _has_a_word(np.asarray(luma.reduce(max(1, max(luma.size) // side)), np.int16))
        for side in _TEST_SIDES
    )


def _has_a_word(luma: NDArray[np.int16]) -> bool:
    edges = np.abs(np.diff(luma, axis=1)) > _STEP
    rows, columns = edges.shape[0] // _CELL, edges.shape[1] // _CELL
    if not rows or columns < 4:
        return False
    cells = edges[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    dense = cells.sum(axis=(1, 3)) >= _EDGES
    in_a_row = dense[:, :-3] & dense[:, 1:-2] & dense[:, 2:-1] & dense[:, 3:]
    return int(in_a_row.sum()) >= 2


class Reading(NamedTuple):
    """What is written in a picture; `whole` is false where there is more."""

    text: str
    whole: bool = True


class TextReader:
    """Reads the text of pictures; loads its models (30 MB, from the wheel) when it is made."""

    def __init__(self) -> None:
        # Imported here: it brings OpenCV, which a job without OCR need not load.
        from rapidocr import RapidOCR  # noqa: PLC0415

        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Det.limit_type": "max",
                "Det.limit_side_len": _READ_SIDE,
                "Det.max_candidates": _MAX_FOUND,
                # Of several at once each takes as long as the widest.
                "Rec.rec_batch_num": 1,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, picture: Image.Image) -> Reading:
        """The lines of an RGB picture from top to bottom with blanks between.

        Where there are more than can be read in the time, the tallest are: they are what people
        see first. At most `MAX_CHARACTERS`.
        """
        pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        lines = self._lines(pixels)
        kept = _tallest(lines)
        if not kept:
            return Reading("", whole=not lines)
        found = self._engine.recognize_txt(kept)
        sure = (
            text for text, score in zip(found.txts, found.scores, strict=True) if score >= _SURE
        )
        text = " ".join(filter(str.strip, sure))
        whole = len(kept) == len(lines) and len(text) <= MAX_CHARACTERS
        return Reading(text[:MAX_CHARACTERS], whole)

    def _lines(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Each line of text upright and by itself, from top to bottom."""
        from rapidocr.main import RapidOCRError  # noqa: PLC0415

        try:
            lines, _ = self._engine.detect_and_crop(*self._engine.preprocess_img(pixels))
        except RapidOCRError:  # there are none
            return []
        return list(lines)


def _tallest(lines: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Those that can be read in the time, in order."""
    left, kept = _MAX_WIDTH, set()
    for number in sorted(range(len(lines)), key=lambda number: -lines[number].shape[0]):
        height, width = lines[number].shape[:2]
        cost = max(_LEAST_WIDTH, _LINE_HEIGHT * width // height)
        if cost <= left:
            left -= cost
            kept.add(number)
    return [line for number, line in enumerate(lines) if number in kept]
