"""Personal data in what users wrote: found by its shape, and struck out or replaced by a token.

What is put in the place of a value is as long as the value, so that the evidence of signals, which
are offsets into the text, stays right. Every pattern is bounded and is tried once a word or number,
so a text of 64 KiB takes milliseconds whatever is in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal

Kind = Literal["email", "card", "ip", "phone"]
Treatment = Literal["keep", "strip", "token"]
Redact = Callable[[Sequence[str]], list[str]]
"""Texts in, the same texts without personal data out."""

# Local part and labels as long as RFC 5321 and RFC 1035 allow.
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# ISO/IEC 7812: in fours (a last group may be longer), or as 4-6-5 and 4-6-4; then Luhn's check.
_CARD = re.compile(
    r"(?<![\w+])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -]?)\d{6}\2\d{4,5})(?!\w)"
)
_IP = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
    r"|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"
)
_GAP = r"[ ().\-/]{0,2}"
# International (E.164: 15 digits), North American, and national with a leading zero; no dates.
_PHONE = re.compile(
    rf"(?<![\w+])(?:\+|00 ?)[1-9](?:{_GAP}\d){{6,14}}(?!\w)"
    r"|(?<![\w+-])(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-]?)[2-9]\d\d[ .-]?\d{4}(?!\w)"
    rf"|(?<![\w+-])(?!\d\d?[./-]\d\d?[./-]\d)\(?0[1-9]\d{{0,4}}(?:{_GAP}\d){{5,9}}(?!\w)"
)
_DIGIT = re.compile(r"\d")


def has_check_digit(digits: str) -> bool:
    """Whether the last of `digits` is the check digit of the others (Luhn, ISO/IEC 7812-1)."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = (2 * value - 9 * (value > 4) for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _digits(value: str) -> str:
    return "".join(character for character in value if character.isdecimal())


def _is_card(value: str) -> bool:
    return has_check_digit(_digits(value))


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return _DIGIT.search(value) is not None


_SHAPES: Final[Mapping[Kind, tuple[re.Pattern[str], Callable[[str], bool]]]] = {
    "email": (_EMAIL, lambda _: True),
    "card": (_CARD, _is_card),
    "ip": (_IP, _is_ip),
    "phone": (_PHONE, lambda _: True),
}


def redactor(treatments: Mapping[Kind, Treatment], key: bytes = b"") -> Redact | None:
    """What goes over texts before they are stored; None when everything is kept.

    `strip` puts asterisks, `token` a tilde and letters that are the same for the same value under
    the same `key` (up to 64 bytes; without it a token could be turned back by trying all values).

    Raises:
        ValueError: tokens are asked for without a key.
    """
    wanted = [kind for kind in _SHAPES if treatments.get(kind, "keep") != "keep"]
    if not wanted:
        return None
    if not key and "token" in treatments.values():
        raise ValueError("tokens of personal data need a key")
    rules = [(_SHAPES[kind][0], _replacement(kind, treatments[kind], key)) for kind in wanted]

    def redact(text: str) -> str:
        for pattern, replacement in rules:
            if pattern is _EMAIL:
                if "@" not in text:
                    continue
            elif _DIGIT.search(text) is None:
                break
            text = pattern.sub(replacement, text)
        return text

    return lambda texts: [redact(text) for text in texts]


def _replacement(kind: Kind, treatment: Treatment, key: bytes) -> Callable[[re.Match[str]], str]:
    is_one = _SHAPES[kind][1]

    def token(value: str) -> str:
        spelt = value.lower() if kind in ("email", "ip") else _digits(value)
        digest = blake2b(f"{kind}:{spelt}".encode(), key=key, digest_size=32).hexdigest()
        # Letters alone: digits might make a number that is looked for next.
        letters = digest.translate(str.maketrans("0123456789", "ghijklmnop"))
        return ("~" + letters)[: len(value)].ljust(len(value), "*")

    def replace(found: re.Match[str]) -> str:
        value = found[0]
        if not is_one(value):
            return value
        return token(value) if treatment == "token" else "*" * len(value)

    return replace
