"""Spelling tricks played on a text: for training the models and for the evasion table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from random import Random
from typing import Final

from operators.normalize_characters import CONFUSABLES

_WORD: Final = re.compile(r"[A-Za-z]{4,}")
_LEET: Final = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_SIGNS: Final = {"a": "@", "s": "$", "i": "!"}
_ALIKE: Final = {
    letter: [
        alike
        for alike, stood_for in CONFUSABLES.items()
        if stood_for == letter and "\u0370" <= alike < "\u0530"
    ]
    for letter in "abcdefghijklmnopqrstuvwxyz"
}
_EMOJI: Final = "😀🔥💀❤😂👀✨💯"
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_MARKS: Final = "\u0300\u0301\u0302\u0308"
_NEIGHBOURS: Final = dict(
    zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioplsdfghjkzxcvbnmas", strict=True)
)


def leet(word: str, random: Random) -> str:
    """`h4te`: digits for letters."""
    return "".join(_LEET.get(c.lower(), c) if random.random() < 0.8 else c for c in word)


def signs(word: str, random: Random) -> str:
    """`$h!t`: signs for letters."""
    return "".join(_SIGNS.get(c.lower(), c) if random.random() < 0.8 else c for c in word)


def homoglyph(word: str, random: Random) -> str:
    """Greek and Cyrillic letters for Latin ones, about half of them."""
    return "".join(
        random.choice(_ALIKE[c.lower()])
        if c.lower() in _ALIKE and _ALIKE[c.lower()] and random.random() < 0.5
        else c
        for c in word
    )


def spaced(word: str, random: Random) -> str:
    """`h a t e`, `h.a.t.e`."""
    return random.choice(" .-_*").join(word)


def emoji(word: str, random: Random) -> str:
    """Emoji between letters."""
    return random.choice(_EMOJI).join(word)


def zero_width(word: str, random: Random) -> str:
    """Characters that nobody sees between letters."""
    return "".join(c + random.choice(_INVISIBLE) for c in word)


def accented(word: str, random: Random) -> str:
    """`hátë`: marks on vowels."""
    return "".join(
        unicodedata.normalize("NFC", c + random.choice(_MARKS)) if c.lower() in "aeiou" else c
        for c in word
    )


def drawn_out(word: str, random: Random) -> str:
    """`haaaate`."""
    at = random.randrange(1, len(word))
    return word[:at] + word[at] * random.randint(2, 6) + word[at + 1 :]


def masked(word: str, random: Random) -> str:
    """`h*te`: a letter starred out."""
    at = random.randrange(1, len(word) - 1)
    return word[:at] + random.choice("*#-.") + word[at + 1 :]


def swapped(word: str, random: Random) -> str:
    """`haet`: two letters change places."""
    at = random.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def dropped(word: str, random: Random) -> str:
    """`hte`: a letter left out."""
    at = random.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1 :]


def mistyped(word: str, random: Random) -> str:
    """A neighbouring key hit."""
    at = random.randrange(1, len(word))
    return word[:at] + _NEIGHBOURS.get(word[at].lower(), "x") + word[at + 1 :]


Trick = Callable[[str, Random], str]

EVASIONS: Final[dict[str, Trick]] = {
    "leet": leet,
    "homoglyph": homoglyph,
    "spaced": spaced,
    "emoji": emoji,
    "zero-width": zero_width,
    "accented": accented,
}
"""The kinds of the evasion table."""

_TRAINED: Final[tuple[Trick, ...]] = (
    leet, homoglyph, spaced, emoji, zero_width, signs, drawn_out,
    masked, masked, swapped, swapped, dropped, dropped, mistyped,
)  # fmt: skip
"""What the models were trained on, twice what is twice as frequent; `accented` came after them."""


def obfuscate(text: str, random: Random, trick: Trick, share: float) -> str:
    """`text` with `trick` played on about `share` of its words of four letters or more."""
    return _WORD.sub(
        lambda found: trick(found.group(), random) if random.random() < share else found.group(),
        text,
    )


def vary(text: str, random: Random) -> str:
    """`text` as people or evaders might spell it: a trick on some words, no blanks, or caps."""
    drawn = random.random()
    if drawn < 0.08:
        return text.upper()
    if drawn < 0.16 and len(text) < 40:
        return text.replace(" ", "")
    if drawn < 0.24:
        words = text.split(" ")
        at = random.randrange(len(words))
        return " ".join(
            [*words[:at], words[at] + "".join(words[at + 1 : at + 2]), *words[at + 2 :]]
        )
    return obfuscate(text, random, random.choice(_TRAINED), random.uniform(0.3, 1.0))
