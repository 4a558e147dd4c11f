"""Masked words: signs for letters (`wh*re`, `k🔪ll`) or around them (`b[i]tch`), `v` for `u`."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import Final

from operators.normalize_lexicon import LEXICON, WORDS

STEMS: Final = tuple(
    """asshole bastard bitch bullshit chink cock cunt dick douche dumb dumbass faggot fuck horny
    jackass jew jewish kike kill moron motherfuck murder nigga nigger nude piss porn prick pussy
    rape raping rapist retard scum shit shoot slut suck suicidal suicide tits titties trannie tranny
    twat wank whore""".split()  # noqa: SIM905 - readable as prose
)
"""Of the words that people disguise."""
_RUDE: Final = re.compile(f"(?:{'|'.join(STEMS)})(?:e?[sdr]|e?rs|ing?|y)?")
_WITH_V: Final = [stem.replace("u", "v") for stem in STEMS if "u" in stem]
MASKED_SIGNS: Final = "|".join(
    [
        r"[A-Za-z](?:[#%]{1,4}|[(\[{][A-Za-z][)\]}])[A-Za-z]",
        f"(?i:{'|'.join(_WITH_V)})",
    ]
)
"""Signs (RE2) of a masked word, beside those that other tricks have too."""

_LETTER: Final = "[A-UW-Za-uw-z]"
_PICTURE: Final = "[^\\w\\s\x00-\x7f\u2018\u2019\u201c\u201d\ufe0f]\ufe0f?"
_SIGN: Final = rf"(?:[vV*#%@]|(?<!!)!(?!!)|[(\[{{]{_LETTER}[)\]}}]|{_PICTURE})"
_UNIT: Final = re.compile(rf"{_LETTER}|[_-]|{_SIGN}")
MASKED: Final = re.compile(
    rf"(?<![^\W_])(?:[vV]{_LETTER}*|{_LETTER}+)(?:{_SIGN}+{_LETTER}+)+(?![^\W_])"
    rf"|(?<![\w-]){_LETTER}+[-_]+{_LETTER}+(?![\w*-])"
)
"""What may be a masked word; dashes in several places are none of its signs."""
_MIN_STARRED: Final = 5
"""Letters of a word that few people mask: shorter ones are found in formulas and code."""
_MAX_SIZE: Final = 32

_ALIKE: Final[dict[tuple[int, str, str], list[str]]] = defaultdict(list)
"""The words of the lexicon by size, first and last letter; the most frequent come first."""
for _word in WORDS:
    _ALIKE[len(_word), _word[0], _word[-1]].append(_word)


def is_rude(word: str) -> bool:
    """Whether `word`, in lower case, is one that people disguise: where others fit, it is meant."""
    return _RUDE.fullmatch(word) is not None


@lru_cache(maxsize=1 << 12)
def unmask(masked: str) -> tuple[str, tuple[int, ...]] | None:
    """The word that is meant and where its letters stand in `masked`; None: leave it."""
    if len(masked) > _MAX_SIZE or masked.lower() in LEXICON:
        return None
    units = list(_UNIT.finditer(masked))
    word = _meant([unit.group().lower() for unit in units])
    if word is None:
        return None
    loud = masked.isupper()
    return word.upper() if loud else masked[0] + word[1:], tuple(unit.start() for unit in units)


def _meant(units: list[str]) -> str | None:
    """The most frequent rude word that fits or, where stars alone mask, the only word."""
    alike = _ALIKE.get((len(units), units[0], units[-1]), [])
    fits = [word for word in alike if all(map(_stands_for, units, word))]
    rude = next(filter(is_rude, fits), None)
    if rude is not None or len(fits) != 1:
        return rude
    masks = {unit for unit in units if not unit.isalpha()}
    starred = masks == {"*"} and len(units) >= _MIN_STARRED and units.count("*") * 2 < len(units)
    return fits[0] if starred else None


def _stands_for(unit: str, letter: str) -> bool:
    bare = unit.strip("()[]{}")
    return bare == letter or not bare.isalpha() or bare + letter == "vu"
