"""One search through many texts: a call of a compiled pattern costs as much as a page of text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any


def matching(pattern: Any, texts: Sequence[bytes], between: bytes) -> Iterator[int]:
    """Numbers of the UTF-8 `texts` in which `pattern` (RE2, whose module is not typed) is found.

    `between`, by which they are joined, must be part of no match and end a word as a text's end
    does.
    """
    joined = between.join(texts)
    ends = list(accumulate(len(text) + len(between) for text in texts))
    found = pattern.search(joined)
    while found is not None:
        number = bisect_right(ends, found.start())
        yield number
        found = pattern.search(joined, ends[number])
