"""What commands print on a terminal: user content must not command it."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """`text` with a mark in the place of each unprintable character that is not in `keep`.

    Among these are escape sequences, line ends, and what turns the direction of writing.
    """
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)
