"""The language of a text, looked at only where English does not show at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from events.messages import Signal
from operators.item import Item

COVERED: Final = frozenset({"en", "pcm"})
"""Languages that the text models were trained on. Dialects of English are taken for Nigerian Pidgin
at times: to call these not covered would treat their speakers worse."""

_FUNCTION_WORDS: Final = frozenset(
    """about after all and are at be because been but by can could did does dont for from get got
    had has have her here him his how if im into is it its just know like more my not now of
    off one only or other our out over people she should some than that the their them then
    there these they this those time too up us very we were what when where which who why
    will with would you your youre""".split()  # noqa: SIM905 - readable as prose
)
_CODE: Final = re.compile(r"([a-z]{2,3})(?:[-_]|$)")
_SHORT_CODES: Final = dict(
    pair.split("=")
    for pair in """ara=ar ben=bn chi=zh deu=de dut=nl ell=el eng=en fas=fa fra=fr fre=fr ger=de
    gre=el heb=he hin=hi ind=id ita=it jpn=ja kor=ko may=ms mis= msa=ms mul= nld=nl per=fa pol=pl
    por=pt ron=ro rum=ro rus=ru spa=es swa=sw tam=ta tel=te tha=th tur=tr ukr=uk und= urd=ur vie=vi
    zho=zh zxx=""".split()  # noqa: SIM905 - readable as prose
)
"""Codes of three letters that producers send for languages that have one of two, or for none."""
_MAX_WORDS: Final = 60
_ENGLISH_SHARE: Final = 0.15
"""A third of English words are among these; few look like words of other languages."""
_MIN_LETTERS: Final = 24
"""Shorter texts in Latin letters are too short to tell."""
_SURE: Final = 0.6
_NOT_LATIN: Final = "\u0370"


class LanguageDetector:
    """Tells of texts that the text models do not cover.

    Such an item gets the signal `language.<ISO 639 code>`, without a category, scored by the
    detector's probability, and `text_language` in `degraded`: policy chooses what follows. The
    writing decides; the language that a producer declares counts only for texts too short to tell.
    """

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        for item in items:
            text = item.normalized.text if item.normalized else item.content.text
            code, score = self.detect(text, item.content.language)
            if code and code not in COVERED:
                item.signals.append(Signal("language", f"language.{code}", "", score))
                item.degrade("text_language")
        return items

    def detect(self, text: str, declared: str = "") -> tuple[str, float]:
        """ISO 639 code of `text` and its probability; "" when nothing can be said.

        `declared` is what a producer sent: `en`, `en-US`, `en_US` or `eng`; anything else is as
        good as nothing.
        """
        words = text[: _MAX_WORDS * 8].lower().replace("'", "").split()[:_MAX_WORDS]
        if _shows_english(words):
            return "en", 1.0
        letters = [
            char for word in words if word[0] not in "@#&" and "/" not in word for char in word
        ]
        letters = [char for char in letters if char.isalpha()]
        foreign = sum(char >= _NOT_LATIN for char in letters)
        if len(letters) < _MIN_LETTERS and foreign * 2 <= len(letters):
            return _code(declared), 0.5
        if not letters:
            return "", 0.0
        code, score = self._identifier.classify(" ".join(words))
        if score < _SURE and foreign * 2 <= len(letters):
            return "", 0.0
        return str(code), min(1.0, float(score))


def _code(declared: str) -> str:
    """The code of a declared language, of two letters if it has one; "" if it is no code."""
    found = _CODE.match(declared.lower())
    return _SHORT_CODES.get(found[1], found[1]) if found else ""


def _shows_english(words: Sequence[str]) -> bool:
    enough = max(1.0, _ENGLISH_SHARE * len(words))
    different = len(_FUNCTION_WORDS.intersection(words))
    if different >= enough or not different:
        return different > 0
    return sum(map(_FUNCTION_WORDS.__contains__, words)) >= enough
