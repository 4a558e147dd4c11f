"""What a pattern may be: RE2 syntax, never empty, bounded; so it compiles small and runs linear.

No pattern can make matching slow, since the engines have no backtracking; what one can do is make
the compiled database explode. These checks refuse the shapes that do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import re2

MAX_PATTERN: Final = 2_000
MAX_REPEAT: Final = 200
"""Largest bound of one repeat, and of nested repeats multiplied."""
PROBES: Final = ("", "a", "a b", " ", "\n", "1", "!", "é", "中")

_TOKEN: Final = re.compile(
    r"""\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[0-9a-fA-F]+\}|..)|\\[0-7]{1,3}|\\Q.*?(?:\\E|\Z)|\\.
      | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]         # a class
      | (?P<open>\((?:\?P?<\w+>|\?[a-zA-Z-]*:|\?[a-zA-Z-]+(?=\)))?)
      | (?P<close>\))
      | (?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\??)
      | .""",
    re.VERBOSE | re.DOTALL,
)
_LITERAL: Final = re.compile(r"[\w ',/@:#&-]|\\[^\w]")
MIN_WORD: Final = 8
"""Characters from which a word or phrase is rare enough to look for alone."""
_BORDERS: Final = frozenset({r"\b", r"\B", "^", "$", r"\A", r"\z"})
_ODD: Final = "é中😀€\x01"
"""Characters with nothing in common but that no honest class lists them."""


def compile_re2(pattern: str) -> Any:
    """`pattern` compiled by RE2, blind to case: an object like `re.Pattern`, without groups.

    Raises:
        ValueError: RE2 does not take it.
    """
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"does not compile: {text}") from None


def check_pattern(pattern: str) -> None:
    """Refuse what is not RE2 syntax, is too large, has an unbounded gap, or matches nothing at all.

    Raises:
        ValueError: why the pattern is refused and what to write instead.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"{len(pattern)} characters, at most {MAX_PATTERN} are taken; split it")
    compile_re2(pattern)
    _check_repeats(pattern)
    if _may_be_empty(pattern):
        raise ValueError("matches the empty string")


def _check_repeats(pattern: str) -> None:
    """Walk the tokens with a stack of groups; each group knows the repeats inside it."""
    outer: list[tuple[int, bool, int]] = []
    largest, unbounded = 1, False  # of the group we are in
    last_largest, last_unbounded, begin = 1, False, 0  # of the element just read
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token.lastgroup == "open":
            outer.append((largest, unbounded, token.start()))
            largest, unbounded = 1, False
            continue
        if token.lastgroup == "close" and outer:
            last_largest, last_unbounded = largest, unbounded
            before = outer.pop()
            largest, unbounded = max(largest, before[0]), unbounded or before[1]
            begin = before[2]
            continue
        if token.lastgroup != "repeat":
            last_largest, last_unbounded, begin = 1, False, token.start()
            continue
        times = _bound(text)
        last = pattern[begin : token.start()]
        if times is None and _is_wide(last):
            shown = last if len(last) <= 40 else f"{last[:39]}…"
            raise ValueError(
                f"`{shown}{text}` is an open-ended gap; bound it, as in `{shown}{{0,40}}`"
            )
        if last_unbounded and times is None:
            raise ValueError(
                f"`{text}` repeats a group that is itself repeated without a bound "
                "(catastrophic in other engines, never needed); bound the inner repeat"
            )
        product = last_largest * (times or 1)
        if product > MAX_REPEAT:
            raise ValueError(f"repeats {product} times, at most {MAX_REPEAT} are taken")
        largest, unbounded = max(largest, product), unbounded or times is None
        last_largest, last_unbounded = product, times is None


def _is_wide(element: str) -> bool:
    """Whether `element`, repeated, runs on over characters of most kinds."""
    repeated = compile_re2(f"(?:{element})+")
    runs = [repeated.match(char * (2 * MAX_REPEAT)) for char in _ODD]
    ends: list[int] = [run.end() for run in runs if run is not None]
    return sum(end > MAX_REPEAT for end in ends) * 2 > len(_ODD)


def _bound(repeat: str) -> int | None:
    """How often a quantifier repeats at most; None: without a bound."""
    symbol = repeat[0]
    if symbol != "{":
        return 1 if symbol == "?" else None
    bounds = repeat.rstrip("?")[1:-1].split(",")
    return int(bounds[-1]) if bounds[-1] else None


def required_pieces(pattern: str) -> list[str]:
    """Pieces of `pattern`, one of which is in every text that it matches.

    Each alternative is cut at its gaps and at whatever may be absent, and its most telling piece is
    kept, of which a word that must be there, if it has one: `a.{0,9}bc(?: d)?e|fgh[ij]` gives
    [bc, fgh]. [pattern] when it cannot be cut.
    """
    alternatives: list[list[str]] = [[""]]
    for element, repeat in _elements(pattern):
        if element.startswith("(?") and element[2:3] not in {":", "P", "<"}:
            return [pattern]  # flags, which reach beyond their piece
        if element == "|":
            alternatives.append([""])
        elif repeat and (element == "." or (_may_be_absent(repeat) and element[0] == "(")):
            alternatives[-1].append("")
        else:
            alternatives[-1][-1] += element + repeat
    kept = [max(pieces, key=_rareness) for pieces in alternatives]
    if not all(map(_rareness, kept)):
        return [pattern]
    return [word for piece in kept for word in _required_words(piece)]


def _required_words(piece: str) -> list[str]:
    """The longest literal run of `piece`, or the alternatives of a group that are all long.

    [piece] when it has neither. Words compile many times faster than the expressions around them.
    """
    options: list[list[str]] = []
    run: list[str] = []
    for element, repeat in [*_elements(piece), ("", "")]:
        if _LITERAL.fullmatch(element) and not repeat:
            run.append(element)
            continue
        if len(run) >= MIN_WORD:
            options.append(["".join(run)])
        run = []
        words = re.sub(r"^\((\?:)?|\)$", "", element).split("|")
        if element.startswith("(") and not repeat and all(map(_is_word, words)):
            options.append(words)
    return max(options, key=lambda words: min(map(_rareness, words)), default=[piece])


def _is_word(text: str) -> bool:
    tokens = [token.group() for token in _TOKEN.finditer(text)]
    return len(tokens) >= MIN_WORD and all(_LITERAL.fullmatch(token) for token in tokens)


def _elements(pattern: str) -> Iterator[tuple[str, str]]:
    """What stands outside of groups, and whole groups, each with its repeat ("": none)."""
    depth, element = 0, ""
    for match in _TOKEN.finditer(pattern):
        text, kind = match.group(), match.lastgroup
        if depth == 0 and kind == "repeat":
            yield element, text
            element = ""
            continue
        if depth == 0 and element:
            yield element, ""
            element = ""
        depth += (kind == "open") - (kind == "close")
        element += text
    if element:
        yield element, ""


def _rareness(piece: str) -> int:
    """How much `piece` tells: at least so many letters, and quarters of other characters."""
    groups: list[list[int]] = [[]]  # for each open group: the lengths of its alternatives
    lengths, last = [0], 0
    for match in _TOKEN.finditer(piece):
        text, kind = match.group(), match.lastgroup
        if kind == "open":
            groups.append(lengths)
            lengths, last = [0], 0
        elif kind == "close" and len(groups) > 1:
            last, lengths = min(lengths), groups.pop()
            lengths[-1] += last
        elif kind == "repeat":
            least = 0 if _may_be_absent(text) else int(re.sub(r"\D.*", "", text[1:]) or 1)
            lengths[-1] += last * (least - 1)
        elif text == "|":
            lengths.append(0)
        else:
            last = 0 if text in _BORDERS else 4 if text.isalpha() else 1
            lengths[-1] += last
    return min(lengths)


def _may_be_absent(repeat: str) -> bool:
    return repeat[0] in "*?" or repeat.startswith(("{0,", "{0}"))


def _may_be_empty(piece: str) -> bool:
    compiled = compile_re2(piece)
    return any(
        (match := compiled.search(probe)) is not None and match.start() == match.end()
        for probe in PROBES
    )
