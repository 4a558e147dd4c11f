"""What commands print on a terminal: user content must not command it."""

from __future__ import annotations

import sys

from rich.console import Console


def printable(text: str, keep: str = "") -> str:
    """`text` with a mark in the place of each unprintable character that is not in `keep`.

    Among these are escape sequences, line ends, and what turns the direction of writing.
    """
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)


def table_console() -> Console:
    """Standard output for tables: a pipe has no width of its own, so nothing is cut there."""
    return Console(width=None if sys.stdout.isatty() else 10_000)


def write_out(data: bytes) -> None:
    """Lines of UTF-8 to standard output: `printable` ones on a terminal, as they are elsewhere."""
    if sys.stdout.isatty():
        sys.stdout.write(printable(data.decode("utf-8", "replace"), keep="\n"))
    else:
        sys.stdout.buffer.write(data)
