"""Words as a reader sees them: spelled-out, joined, leet and drawn-out spellings undone.

A spelling is undone when that gives a word of the lexicon (`words.txt`), and without one only where
nothing else is likely to be meant; addresses, numbers and units stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from math import log
from pathlib import Path
from string import ascii_letters
from typing import Final

import re2

from operators.normalize_draft import Draft, Edit

_WORDS: Final = tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())
LEXICON: Final = frozenset(_WORDS)
"""English words, most frequent first in the file: of the training texts and BERT's vocabulary."""

_SHORT: Final = frozenset(
    (
        *("a", "i", "am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it"),
        *("me", "my", "no", "of", "on", "or", "so", "to", "up", "us", "we"),
    )
)
_COST: Final = {
    word: log(rank + 10) for rank, word in enumerate(_WORDS) if len(word) > 2 or word in _SHORT
} | {"a": log(10), "i": log(10)}

_LEET: Final = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a",
    "$": "s", "!": "i", "|": "li", "+": "t", "€": "e", "£": "l", "¢": "c",
}  # fmt: skip
_SURE: Final = frozenset("013457@$!|")
"""What stands for a letter between letters even in a word that nobody knows."""

_SITE: Final = re.compile(
    r"//|www\.|[\w-]+(?:\.[\w-]+)+[/?]|[\w.-]+\.(?:com|net|org|io|edu|gov|co|py|js|html?)\b"
)
"""The beginning of a web address without its scheme, or a file name."""
_MAIL: Final = re.compile(r"(?:^|\s)[^\s@]*@\S+\.\w")
"""From the first `@` of a token: from each of them the search would take quadratic time."""
_UNIT: Final = re.compile(
    r"[0-9]+(?:st|nd|rd|th|am|pm|k|m|b|x|s|g|kg|mg|gb|mb|tb|km|cm|mm|h|hr|hrs|min|d|p|px|bit|ish|yo"
    r"|ft)s?$"
)
_COUNTED: Final = re.compile(r"[0-9]{2,}[A-Za-z]*$")
_BLANK: Final = re.compile(r"\s")
TOKEN_SIGNS: Final = "|".join(
    [
        r"[A-Za-z][013457-9@$|+!]+[A-Za-z]",
        r"\b[013457-9][A-Za-z@$]|[$][A-Za-z]|[A-Za-z][$]|@[sS][sS]",
        r"[A-Za-z][013457-9]+\b",
        r"[A-Za-z](?:[-._*~^|/\\!]|[^\x00-\x7f\x{2018}\x{2019}\x{201c}\x{201d}]){1,4}[A-Za-z]",
        *(letter * 3 for letter in ascii_letters),
    ]
)
"""A sign (RE2) that there may be something to undo in a token; without one it stays as it is."""
_SIGN: Final = re2.compile(TOKEN_SIGNS)
_SIGNED_TOKEN: Final = re2.compile(rf"\S*?(?:{TOKEN_SIGNS})\S*")
"""In ASCII, whose blanks are the only ones that RE2 knows."""
_LEET_CHAR: Final = "[A-Za-z0-9@$!|+€£¢]"
_LEET_WORD: Final = re.compile(rf"(?<!{_LEET_CHAR}){_LEET_CHAR}*[A-Za-z]{_LEET_CHAR}*")
"""The look behind keeps a run without a letter from being searched from each of its characters."""
_DRAWN_OUT: Final = re.compile(r"([^\W\d_])\1\1+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PIECE: Final = re.compile(r"[A-Za-z0-9@$]+")
_QUOTES: Final = "'\u2019"
_BREAK: Final = rf"[^\w\s{_QUOTES}\"\u201c\u201d\u2018`@$&%<>()\[\]{{}}?=+#:;,]"
_JOINED: Final = re.compile(
    rf"(?<![\w{_QUOTES}@#$])[A-Za-z0-9@$]{{1,20}}"
    rf"(?:(?:{_BREAK}|_){{1,4}}[A-Za-z0-9@$]{{1,20}}){{1,40}}(?![\w@$])"
)
_LONE_BANG: Final = r"(?<![A-Za-z0-9@$!])!(?![A-Za-z0-9@$!])"
"""The only `!` that is a letter of a spelling and not a break in it: were each tried as both, the
search would take exponential time."""
_SPELLED_LETTER: Final = rf"(?:[A-Za-z0-9@$]|{_LONE_BANG})"
_SPELLED: Final = re.compile(
    rf"(?<![\w{_QUOTES}@#$]){_SPELLED_LETTER}"
    rf"(?:(?: ?(?:(?!{_LONE_BANG}){_BREAK}|_){{1,3}} ?| {{1,2}}){_SPELLED_LETTER}){{2,40}}"
    rf"(?![\w{_QUOTES}@$])"
)
_STAYS: Final = frozenset(
    ("www", "xxx", "iii", "mmm", "aaa", "zzz", "kkk", "viii", "xiii", "xviii", "xxiii")
)
_MIN_SPELLED: Final = 3
_MAX_LEET: Final = 6
_MAX_TOKEN: Final = 64


def undo_spelling_out(draft: Draft) -> int:
    """`h a t e`, `h.a.t.e`, `h - a - t - e` to one word or several; returns characters changed."""
    edits: list[Edit] = []
    for found in _SPELLED.finditer(draft.text):
        spots = [i for i in range(*found.span()) if _is_letter_like(draft.text[i])]
        chars = "".join(draft.text[i] for i in spots)
        words = _read(chars)
        if words is not None:
            edits += _rejoin(found.start(), found.end(), spots, words)
    return draft.apply(edits)


def undo_tokens(draft: Draft) -> int:
    """Breaks in words, leet and drawn-out letters, token by token; returns characters changed."""
    text = draft.text
    return draft.apply(
        edit
        for start, end in (_ascii_tokens(text) if text.isascii() else _tokens(text))
        for edit in _token_edits(text[start:end], start)
    )


def _ascii_tokens(text: str) -> Iterator[tuple[int, int]]:
    """Where the tokens with a sign in them stand, in order."""
    # Of bytes RE2 need not count back to characters, which takes longer than the search.
    return (token.span() for token in _SIGNED_TOKEN.finditer(text.encode()))


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """As `_ascii_tokens`, in any text."""
    end = 0
    for sign in _SIGN.finditer(text):
        if sign.start() >= end:
            start, end = _token_around(text, sign.start(), end)
            yield start, end


def _token_around(text: str, at: int, floor: int) -> tuple[int, int]:
    start = max(text.rfind(blank, floor, at) for blank in " \n\t\r") + 1
    following = _BLANK.search(text, at)
    return max(start, floor), following.start() if following else len(text)


def _token_edits(token: str, start: int) -> Iterator[Edit]:
    if _is_address(token):
        return
    joined = list(_join_edits(token, start))
    if joined:
        yield from joined
        return
    if not _LEET.keys().isdisjoint(token):
        for word in _LEET_WORD.finditer(token):
            read = _unleet(word.group())
            if read is not None:
                at = start + word.start()
                for i, (old, new) in enumerate(zip(word.group(), read, strict=True)):
                    if old != new:
                        yield at + i, at + i + 1, new
                return
    if _DRAWN_OUT.search(token):
        for word in _LETTERS.finditer(token):
            yield from _drawn_out_edits(word.group(), start + word.start())


def _is_address(token: str) -> bool:
    return bool("://" in token or _SITE.match(token) or ("@" in token and _MAIL.search(token)))


def _join_edits(token: str, start: int) -> Iterator[Edit]:
    for found in _JOINED.finditer(token):
        texts = _PIECE.findall(found.group())
        single = sum(len(text) == 1 for text in texts)
        whole = "".join(texts)
        if whole.isdigit() or all(len(t) > 1 and t.lower() in LEXICON for t in texts):
            continue
        words: str | None = None
        if len(texts) > 2 and single * 2 >= len(texts):
            words = _read(whole)
        elif len(whole) > 3 and not any(_is_number(text) for text in texts):
            read = whole if whole.isalpha() else _unleet(whole)
            words = read if read is not None and read.lower() in LEXICON else None
        if words is not None:
            pieces = _PIECE.finditer(token, found.start(), found.end())
            spots = [start + i for piece in pieces for i in range(*piece.span())]
            yield from _rejoin(start + found.start(), start + found.end(), spots, words)


def _is_number(text: str) -> bool:
    return text.isdigit() and len(text) > 1


def _is_letter_like(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "@$!")


def _rejoin(start: int, end: int, spots: list[int], words: str) -> Iterator[Edit]:
    """Edits that leave of [start, end) the characters at `spots`, as `words` with its spaces."""
    at, letters = start, iter(spots)
    for char in words:
        if char == " ":
            yield at, at, " "
            continue
        spot = next(letters)
        yield at, spot + 1, char
        at = spot + 1
    if at < end:
        yield at, end, ""


def _read(chars: str) -> str | None:
    """The word, or the words in a row, that single characters spell; None when they spell none."""
    if sum(map(str.isalpha, chars)) * 2 < len(chars):
        return None
    core = chars.rstrip("!")
    word = core if core.isalpha() else _unleet(core)
    if word is None or not word.isalpha() or len(word) < _MIN_SPELLED:
        return None
    read = word if word.lower() in LEXICON else _segment(word)
    return None if read is None else read + chars[len(core) :]


def _segment(text: str) -> str | None:
    """`text` cut into the most frequent words of the lexicon, None when that leaves odd bits.

    Unigram Viterbi search with Zipf costs (Norvig 2009, Natural Language Corpus Data), of at most
    64 letters.
    """
    lowered = text.lower()
    if not 4 <= len(lowered) <= _MAX_TOKEN:
        return None
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(lowered) + 1):
        best.append(
            min(
                (best[begin][0] + _COST.get(lowered[begin:end], 1e9), begin)
                for begin in range(max(0, end - 20), end)
            )
        )
    if best[-1][0] >= 1e9:
        return None
    pieces: list[str] = []
    end = len(lowered)
    while end:
        begin = best[end][1]
        pieces.append(text[begin:end])
        end = begin
    return " ".join(reversed(pieces)) if len(lowered) / len(pieces) >= 2.5 else None


def _unleet(word: str) -> str | None:
    """`word` with letters for the signs that stand for them; of the same length; None: leave it."""
    core = word.rstrip("!|+")
    tail = word[len(core) :]
    signs = [i for i, char in enumerate(core) if char in _LEET]
    if not signs or len(core) > _MAX_TOKEN or _UNIT.match(core.lower()) or _COUNTED.match(core):
        return None
    if len(signs) <= _MAX_LEET and len(core) > 2:
        for choice in product(*(_LEET[core[i]] for i in signs)):
            read = _with(core, signs, choice)
            if read.lower() in LEXICON or _undrawn(read.lower()) in LEXICON:
                return read + tail
    letters = sum(char.isalpha() for char in core)
    between = all(
        0 < i < len(core) - 1 and core[i - 1].isalpha() and core[i + 1].isalpha() for i in signs
    )
    if between and letters >= 3 * len(signs) and _SURE.issuperset(core[i] for i in signs):
        if (core[1:].upper() != core[1:] != core[1:].lower()) or _stands_between_words(core):
            return None
        return _with(core, signs, tuple(_LEET[core[i]][0] for i in signs)) + tail
    return None


def _stands_between_words(core: str) -> bool:
    """Whether a sign stands between words (`hi!there`, `user@host`) and not inside one."""
    pieces = re.split(r"[@!|$]", core)
    return len(pieces) > 1 and all(len(piece) > 2 or piece.lower() in LEXICON for piece in pieces)


def _with(core: str, signs: list[int], letters: tuple[str, ...]) -> str:
    chars = list(core)
    for i, letter in zip(signs, letters, strict=True):
        chars[i] = letter.upper() if core.isupper() and len(core) > len(signs) else letter
    return "".join(chars)


def _drawn_out_edits(word: str, start: int) -> Iterator[Edit]:
    """Letters that stand three times or more in a row, down to the one or two of the word meant."""
    runs = [found.span() for found in _DRAWN_OUT.finditer(word)]
    if not runs or word.lower() in _STAYS:
        return
    keep: tuple[int, ...] = (2,) * len(runs)
    if len(runs) <= 3 and len(word) <= 256:
        choices = product((1, 2), repeat=len(runs))
        meant = min(choices, key=lambda c: _COST.get(_shortened(word, runs, c).lower(), 1e9))
        if _shortened(word, runs, meant).lower() in _COST:
            keep = meant
    for (begin, end), kept in zip(runs, keep, strict=True):
        yield start + begin + kept, start + end, ""


def _shortened(word: str, runs: list[tuple[int, int]], keep: tuple[int, ...]) -> str:
    pieces, at = [], 0
    for (begin, end), kept in zip(runs, keep, strict=True):
        pieces.append(word[at : begin + kept])
        at = end
    return "".join(pieces) + word[at:]


def _undrawn(word: str) -> str:
    return _DRAWN_OUT.sub(r"\1", word)
