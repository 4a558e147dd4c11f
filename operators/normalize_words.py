"""Words as a reader sees them: spelled-out, joined, leet, masked, drawn-out spellings undone.

A spelling is undone when that gives a word of the lexicon (`words.txt`), and without one only where
nothing else is likely to be meant; addresses, numbers and units stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from string import ascii_letters
from typing import Final

import re2

from operators.normalize_draft import Draft, Edit
from operators.normalize_leet import LEET, LEET_WORD, unleet
from operators.normalize_lexicon import COST, DRAWN_OUT, LEXICON, segment
from operators.normalize_masked import MASKED, MASKED_SIGNS, unmask
from operators.normalize_respelled import RESPELLED_SIGN, respell

_SITE: Final = re.compile(
    r"//|www\.|[\w-]+(?:\.[\w-]+)+[/?]\w|[\w.-]+\.(?:com|net|org|io|edu|gov|co|py|js|html?)\b"
)
"""The beginning of a web address without its scheme, or a file name."""
_MAIL: Final = re.compile(r"@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\W*$")
TOKEN_SIGNS: Final = "|".join(
    [
        r"[A-Za-z][013457-9@$|+!]+[A-Za-z]",
        r"\b[013457-9][A-Za-z@$]|[$][A-Za-z]|[A-Za-z][$]|@[sS][sS]",
        r"[A-Za-z][013457-9]+\b",
        r"[A-Za-z](?:[-._*~^|/\\!]|[^\x00-\x7f\x{2018}\x{2019}\x{201c}\x{201d}]){1,4}[A-Za-z]",
        MASKED_SIGNS,
        RESPELLED_SIGN,
        *(letter * 3 for letter in ascii_letters),
    ]
)
"""A sign (RE2) that there may be something to undo in a token; without one it stays as it is."""
_SIGNED_TOKEN: Final = re2.compile(rf"\S*?(?:{TOKEN_SIGNS})\S*")
"""RE2 knows no blanks but those of ASCII: others are folded before."""
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PIECE: Final = re.compile(r"[A-Za-z0-9@$]+")
_QUOTES: Final = "'\u2019"
_OTHER_QUOTES: Final = '"\u201c\u201d\u2018`'
_BREAK: Final = rf"[^\w\s{_QUOTES}{_OTHER_QUOTES}@$&%<>()\[\]{{}}?=+#:;,]"
_JOINED: Final = re.compile(
    rf"(?<![\w{_QUOTES}@#$])[A-Za-z0-9@$]{{1,20}}"
    rf"(?:(?:{_BREAK}|_){{1,4}}[A-Za-z0-9@$]{{1,20}}){{1,40}}(?![\w@$])"
)
_LONE_BANG: Final = r"(?<![A-Za-z0-9@$!])!(?![A-Za-z0-9@$!])"
"""The only `!` that is a letter of a spelling and not a break in it: were each tried as both, the
search would take exponential time."""
_SPELLED_LETTER: Final = rf"(?:[A-Za-z0-9@$]|{_LONE_BANG})"
_LIST_SIGN: Final = "[,:;=+#]"
"""Parts letters of formulas and lists: a break where the same one parts four letters or more."""
_LISTED: Final = rf"[A-Za-z](?P<sign>{_LIST_SIGN}) ?[A-Za-z](?:(?P=sign) ?[A-Za-z]){{2,40}}"
_SPELLED: Final = re.compile(
    rf"(?<![\w{_QUOTES}@#$])(?:{_LISTED}|{_SPELLED_LETTER}"
    rf"(?:(?: ?(?:(?!{_LONE_BANG}){_BREAK}|_){{1,3}} ?| {{1,2}}){_SPELLED_LETTER}){{2,40}})"
    rf"(?![\w{_QUOTES}@$])"
)
_GAP: Final = rf"(?:[ _]|{_BREAK}){{1,5}}"
LISTED_SIGN: Final = rf"\b[A-Za-z](?:{_LIST_SIGN} ?[A-Za-z]){{3}}\b"
"""A sign (RE2) of a word whose letters are a list."""
_SPELLED_SIGN: Final = re2.compile(
    rf"(?:^|[^A-Za-z0-9_])[A-Za-z0-9@$!]{_GAP}[A-Za-z0-9@$!]{_GAP}[A-Za-z0-9@$!]|{LISTED_SIGN}"
)
"""What every match of _SPELLED begins with; the search for it takes a tenth of the time."""
_STAYS: Final = frozenset(
    ("www", "xxx", "iii", "mmm", "aaa", "zzz", "kkk", "viii", "xiii", "xviii", "xxiii")
)
_MIN_SPELLED: Final = 3
_MAX_RUNS: Final = 5
"""Of letters in one word, each of which may stand for one of them or two."""


def undo_spelling_out(draft: Draft) -> int:
    """`h a t e`, `h.a.t.e`, `h - a - t - e` to one word or several; returns characters changed."""
    if not _SPELLED_SIGN.search(draft.text.encode()):
        return 0
    edits: list[Edit] = []
    for found in _SPELLED.finditer(draft.text):
        if not draft.affords(len(found.group())):
            continue
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
        for start, end in _tokens(text)
        if draft.affords(end - start)
        for edit in _token_edits(text[start:end], start)
    )


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """Where the tokens with a sign in them stand, in order."""
    # In text RE2 would count from its beginning for every token: it takes longer than the search.
    data = text.encode()
    spans = (token.span() for token in _SIGNED_TOKEN.finditer(data))
    return spans if len(data) == len(text) else _in_characters(spans, data)


def _in_characters(spans: Iterable[tuple[int, int]], data: bytes) -> Iterator[tuple[int, int]]:
    at = counted = 0
    for start, end in spans:
        at += len(data[counted:start].decode())
        size = len(data[start:end].decode())
        yield at, at + size
        at += size
        counted = end


def _token_edits(token: str, start: int) -> Iterable[Edit]:
    if _is_address(token):
        return ()
    ways = (_join_edits, _leet_edits, _mask_edits, respell, _shorten_edits)
    return next(filter(None, (list(way(token, start)) for way in ways)), ())


def _leet_edits(token: str, start: int) -> Iterator[Edit]:
    if LEET.keys().isdisjoint(token):
        return
    for word in LEET_WORD.finditer(token):
        read = unleet(word.group())
        if read is not None:
            at = start + word.start()
            for i, (old, new) in enumerate(zip(word.group(), read, strict=True)):
                if old != new:
                    yield at + i, at + i + 1, new


def _shorten_edits(token: str, start: int) -> Iterator[Edit]:
    if DRAWN_OUT.search(token):
        for word in _LETTERS.finditer(token):
            yield from _drawn_out_edits(word.group(), start + word.start())


def _mask_edits(token: str, start: int) -> Iterator[Edit]:
    for found in MASKED.finditer(token):
        meant = unmask(found.group())
        if meant is not None:
            word, spots = meant
            at = start + found.start()
            yield from _rejoin(at, start + found.end(), [at + spot for spot in spots], word)


def _is_address(token: str) -> bool:
    return "://" in token or _SITE.match(token) is not None or _is_mail(token)


def _is_mail(token: str) -> bool:
    """Whether `token` is a mail address and its `@` no letter of a word (`f@ggot.You`)."""
    if "@" not in token or not _MAIL.search(token):
        return False
    words = (word for word in LEET_WORD.findall(token) if "@" in word)
    return not any((unleet(word) or "").lower() in LEXICON for word in words)


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
            read = whole if whole.isalpha() else unleet(whole)
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
    word = core if core.isalpha() else unleet(core)
    if word is None or not word.isalpha() or len(word) < _MIN_SPELLED:
        return None
    read = word if word.lower() in LEXICON else segment(word)
    return None if read is None else read + chars[len(core) :]


def _drawn_out_edits(word: str, start: int) -> Iterator[Edit]:
    """Letters that stand three times or more in a row, down to the one or two of the word meant."""
    runs = [found.span() for found in DRAWN_OUT.finditer(word)]
    if not runs or word.lower() in _STAYS:
        return
    keep: tuple[int, ...] = (2,) * len(runs)
    if len(runs) <= _MAX_RUNS and len(word) <= 256:
        choices = product((1, 2), repeat=len(runs))
        meant = min(choices, key=lambda c: COST.get(_shortened(word, runs, c).lower(), 1e9))
        if _shortened(word, runs, meant).lower() in COST:
            keep = meant
    for (begin, end), kept in zip(runs, keep, strict=True):
        yield start + begin + kept, start + end, ""


def _shortened(word: str, runs: list[tuple[int, int]], keep: tuple[int, ...]) -> str:
    pieces, at = [], 0
    for (begin, end), kept in zip(runs, keep, strict=True):
        pieces.append(word[at : begin + kept])
        at = end
    return "".join(pieces) + word[at:]
