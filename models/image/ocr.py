"""Text in pictures: a cheap test whether there may be any, and rapidocr (PP-OCR) to read it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_CHARACTERS: Final = 2000
"""More than a picture carries that people read; the text way's time stays bounded."""

_MAX_LINES: Final = 64
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


class TextReader:
    """Reads the text of pictures; loads its models (30 MB, from the wheel) when it is made."""

    name: Final = "rapidocr"

    def __init__(self) -> None:
        # Imported here: it brings OpenCV, which a job without OCR need not load.
        from rapidocr import RapidOCR  # noqa: PLC0415

        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Det.limit_type": "max",
                "Det.limit_side_len": _READ_SIDE,
                "Det.max_candidates": _MAX_LINES,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, picture: Image.Image) -> str:
        """The lines of an RGB picture from top to bottom with blanks between, "" if there are none.

        At most `MAX_CHARACTERS`.
        """
        found = self._engine(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))
        return " ".join(getattr(found, "txts", None) or ())[:MAX_CHARACTERS]
