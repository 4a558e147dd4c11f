"""Characters as a reader sees them: compatibility forms, look-alikes, invisible, piled up."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Final

from operators.normalize_blanks import in_a_line
from operators.normalize_draft import Draft, Edit
from operators.normalize_lexicon import LEXICON, is_word

_ENTITY: Final = re.compile(
    r"&(?:#0{0,20}[0-9]{1,7}|#[xX]0{0,20}[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"
)
_PLAIN: Final = frozenset("\t\n\r") | frozenset(map(chr, range(0x20, 0x7F)))
_REVERSED: Final = re.compile(
    "\u202e[^\n\r\x85\u2029\u202c\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+"
)
"""What an override shows from right to left; Hebrew and Arabic letters stand so anyway."""
_LETTER_SIGNS: Final = re.compile("[\U0001f1e6-\U0001f1ff]+")
_FIRST_LETTER_SIGN: Final = 0x1F1E6
_FLAGS: Final = frozenset(
    """AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ
    BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CP CR CU CV CW CX CY CZ DE DG DJ DK DM
    DO DZ EA EC EE EG EH ER ES ET EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS
    GT GU GW GY HK HM HN HR HT HU IC ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP
    KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TF
    TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM UN US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT
    ZA ZM ZW""".split()  # noqa: SIM905 - readable as prose
)
"""Pairs of letters that show as a flag (Unicode emoji-sequences.txt, RGI_Emoji_Flag_Sequence)."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_JOINERS: Final = frozenset("\u200c\u200d\ufe0f")
"""Part of the spelling in Persian and Indic words and in emoji; elsewhere invisible."""
_BLANKS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u20e3\u2800\u3164\uffa0\U0001d159")
"""Invisible, though Unicode counts them as letters, marks or symbols."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Me"})
"""Controls, and the marks that enclose a letter, which a reader does not read."""
_SELECTORS: Final = frozenset(map(chr, (*range(0xFE00, 0xFE0F), *range(0xE0000, 0xE1000))))
"""Of variants, and tags."""
_MAX_EXPANSION: Final = 4
_MAX_MARKS: Final = 4
"""Marks that any orthography piles on one letter."""
_MOST: Final = 0.75
"""Share of the words with marks that spell English ones without: in Vietnamese and Scandinavian
sentences half do."""
_PLAIN_MARKS_BEFORE: Final = "\u0530"
"""Latin, Greek and Cyrillic letters keep only the marks that compose with them."""


def _read_confusables() -> dict[str, str]:
    lines = Path(__file__).with_name("confusables.txt").read_text("utf-8").splitlines()
    return {
        alike: letter
        for letter, alikes in (line.split() for line in lines if not line.startswith("#"))
        for alike in alikes
    }


CONFUSABLES: Final = _read_confusables()
"""Letters that pass for an ASCII letter (Unicode TR39), to that letter."""
_LETTER_OF: Final = str.maketrans(CONFUSABLES)

_NEVER_ORDINARY: Final = (
    {
        alike: letter
        for alike, letter in CONFUSABLES.items()
        if "\u0250" <= alike <= "\u02af" or "\u1d00" <= alike <= "\u1d7f" or alike in "ꜰꜱɑɡ"
    }
    | {chr(base + i): chr(65 + i) for base in (0x1F110, 0x1F150, 0x1F170) for i in range(26)}
    | {chr(0x249C + i): chr(97 + i) for i in range(26)}
)
"""Phonetic letters, small capitals, letters in brackets or on black: folded wherever they stand."""


def undo_entities(draft: Draft) -> None:
    """Character references of HTML to their characters."""
    if "&" not in draft.text:
        return
    edits: list[Edit] = []
    for found in _ENTITY.finditer(draft.text):
        new = unescape(found.group())
        if new != found.group():
            edits.append((*found.span(), new))
    draft.apply(edits)


def undo_overrides(draft: Draft) -> int:
    """Text that a bidirectional override shows backwards, as it shows; returns how much."""
    if "\u202e" not in draft.text:
        return 0
    found = _REVERSED.finditer(draft.text)
    return draft.apply(((*run.span(), run.group()[:0:-1]) for run in found), ordered=False)


def undo_letter_signs(draft: Draft) -> int:
    """Regional indicators to letters where they are not all flags; returns how many."""
    if draft.text.isascii():
        return 0
    edits: list[Edit] = []
    for run in _LETTER_SIGNS.finditer(draft.text):
        letters = [chr(ord(sign) - _FIRST_LETTER_SIGN + ord("A")) for sign in run.group()]
        pairs = map("".join, zip(letters[::2], letters[1::2], strict=False))
        if len(letters) % 2 or not _FLAGS.issuperset(pairs):
            edits += ((at, at + 1, letter) for at, letter in enumerate(letters, run.start()))
    return draft.apply(edits)


@lru_cache(maxsize=1 << 16)
def _fold(char: str) -> str:
    """What `char` is by itself: NFKC where that stays short, nothing when nobody can see it."""
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    if char.isspace() and not "\x1c" <= char <= "\x1f":
        return char if char in "\t\n\r" else " "
    if category in _UNSEEN or char in _BLANKS or char in _SELECTORS:
        return ""
    if char in _NEVER_ORDINARY:
        return _NEVER_ORDINARY[char]
    folded = unicodedata.normalize("NFKC", char)
    if len(folded) > _MAX_EXPANSION or (folded[0] == " " and len(folded) > 1):
        return char
    return _NEVER_ORDINARY.get(folded, folded)


def fold_characters(draft: Draft) -> tuple[int, int]:
    """NFKC character by character, invisible characters out, at most a few marks on a letter.

    Returns the numbers of invisible characters taken out and of letters that posed as others.
    """
    # Most texts hold few kinds of other characters, and most of these stay.
    if draft.text.isascii() and in_a_line(draft.text).isprintable():
        return 0, 0
    changing = {char for char in set(draft.text) - _PLAIN if not _stays(char)}
    if not changing:
        return 0, 0
    posing = _translate(draft, changing)
    text = draft.text
    marks = {char for char in changing if unicodedata.combining(char)}
    edits: list[Edit] = []
    invisible = done = 0
    previous = ""
    for at, char in enumerate(text):
        if char not in changing or at < done:
            continue
        start = at
        if at > done:
            previous = text[at - 1]
            # A mark with the character that it stands on, if that has not changed by itself.
            start -= char in marks
        done = at + 1
        while text[done : done + 1] in marks:
            done += 1
        new = _fold_cluster(text[start:done], previous)
        if new != text[start:done]:
            edits.append((start, done, new))
            invisible += not new and char not in marks
            posing += len(new) == 1 and new.isascii() and new.isalpha()
        previous = new[-1:] or previous
    draft.apply(edits)
    return invisible, posing


def _translate(draft: Draft, changing: set[str]) -> int:
    """Undoes those of `changing` that become one character; returns how many became letters."""
    single = {char: _fold(char) for char in changing if not _is_combined(char)}
    single = {char: new for char, new in single.items() if len(new) == 1}
    changing -= single.keys()
    letters = {char for char, new in single.items() if new.isascii() and new.isalpha()}
    posing = sum(map(letters.__contains__, draft.text)) if letters else 0
    draft.text = draft.text.translate({ord(char): new for char, new in single.items()})
    return posing


def _is_combined(char: str) -> bool:
    """Whether what `char` is hangs on the characters before it."""
    return char in _JOINERS or unicodedata.combining(char) > 0


@lru_cache(maxsize=1 << 16)
def _stays(char: str) -> bool:
    return not _is_combined(char) and _fold(char) == char


def _fold_cluster(cluster: str, previous: str) -> str:
    char = cluster[0]
    if char in _JOINERS:
        return cluster[:1] if previous > "\u0530" else ""
    if len(cluster) == 1:
        return char if char.isascii() and char.isprintable() else _fold(char)
    if unicodedata.combining(char):
        return ""
    composed = unicodedata.normalize("NFC", _fold(char) + cluster[1 : 1 + _MAX_MARKS])
    return composed[:1] if composed < _PLAIN_MARKS_BEFORE else composed


def fold_mixed_words(draft: Draft) -> int:
    """ASCII letters for their look-alikes, only in words that mix scripts; returns how many.

    A word wholly of another script stays, unless every letter of it is a look-alike, it spells a
    word of the lexicon and no other word of the text is of its kind.
    """
    if CONFUSABLES.keys().isdisjoint(draft.text):
        return 0
    edits: list[Edit] = []
    posers: list[tuple[int, str, str]] = []
    foreign = False
    for found in _WORD.finditer(draft.text):
        word = found.group()
        if word.isascii():
            continue
        folded = word.translate(_LETTER_OF)
        # Letters below U+0250 are of Latin orthographies (Turkish, Polish, Danish…).
        if min(word).isascii():
            if folded.isascii() and max(word) >= "\u0250":
                edits += _differences(found.start(), word, folded)
        elif folded.isascii() and folded.lower() in LEXICON and len(folded) > 2:
            posers.append((found.start(), word, folded))
        elif max(word) >= "\u0250":
            foreign = True
    if not foreign:
        for poser in posers:
            edits += _differences(*poser)
    return draft.apply(sorted(edits))


def fold_marked_words(draft: Draft) -> None:
    """Letters without their marks in words of the lexicon, where most words with marks are such.

    Otherwise the text is of a language that writes marks, in which they may mean something else
    without theirs. An English text has marks too (`café`): they tell of no obfuscation.
    """
    if draft.text.isascii():
        return
    edits: list[Edit] = []
    marked = known = 0
    for found in _WORD.finditer(draft.text):
        word = found.group()
        if word.isascii():
            continue
        marked += 1
        plain = "".join(map(_without_mark, word)).translate(_LETTER_OF)
        if is_word(plain.lower()):
            known += 1
            edits += _differences(found.start(), word, plain)
    if known >= _MOST * marked:
        draft.apply(edits)


def _without_mark(char: str) -> str:
    return unicodedata.normalize("NFD", char)[0]


def _differences(start: int, old: str, new: str) -> list[Edit]:
    return [
        (start + i, start + i + 1, b)
        for i, (a, b) in enumerate(zip(old, new, strict=True))
        if a != b
    ]
