"""Text turned upside down (`ʞɔnɟ`), which most writers of it also write from right to left."""

from __future__ import annotations

import re
from typing import Final

from operators.normalize_draft import Draft
from operators.normalize_lexicon import COST

_TURNED: Final = dict(
    zip(
        "ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ∀ƆƎℲ⅁ꓘᴚ⊥∩⅄",
        "acefghijkmrtvwyACEFGKRTUY",
        strict=True,
    )
)
_ALSO_UPRIGHT: Final = dict(zip("bdlnopqsuxz\u0131HIMNOSWXZ", "qpluodbsnxziHIWNOSMXZ", strict=True))
"""Letters that are some letter either way up."""
_UPRIGHT: Final = str.maketrans(_TURNED | _ALSO_UPRIGHT | {"˙": ".", "¡": "!", "¿": "?"})
_LETTERS: Final = "".join((*_TURNED, *_ALSO_UPRIGHT))
_RUN: Final = re.compile(rf"[{_LETTERS}](?:[\s.,!?'\u2019˙¡¿-]*[{_LETTERS}])+")
_WORD: Final = re.compile(r"[A-Za-z]+")
_MIN_TURNED: Final = 2
_MOST: Final = 0.75
"""Share of the letters that words of the lexicon have: in phonetic spelling hardly any do."""


def undo_turned(draft: Draft) -> int:
    """Letters upright where that gives words, read from either side; returns how many."""
    if draft.text.isascii() or _TURNED.keys().isdisjoint(draft.text):
        return 0
    runs = ((run.span(), _meant(run.group())) for run in _RUN.finditer(draft.text))
    return draft.apply(((*span, new) for span, new in runs if new is not None), ordered=False)


def _meant(run: str) -> str | None:
    if sum(map(_TURNED.__contains__, run)) < _MIN_TURNED:
        return None
    upright = run.translate(_UPRIGHT)
    likeliest = max(upright[::-1], upright, key=_known)
    return likeliest if _known(likeliest) >= _MOST else None


def _known(text: str) -> float:
    """The share of the letters of `text` that belong to words of the lexicon."""
    words = _WORD.findall(text)
    return sum(len(word) for word in words if word.lower() in COST) / len("".join(words))
