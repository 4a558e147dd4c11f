"""What the ledger of quotas is told of an automatic block, and what it answers."""

from __future__ import annotations

from typing import NamedTuple


class BlockCount(NamedTuple):
    """An automatic block of an identity, as it counts against daily quotas."""

    content_id: str
    revision: int
    counters: tuple[str, ...]
    final: bool = True
    """A quick answer is ranked and not counted: the final one is."""


class Rank(NamedTuple):
    """The position of a block among those counted on `day` (YYYY-MM-DD), from 1."""

    day: str
    number: int
