"""What the console shows and what it needs to be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from events.identity import crc
from events.messages import Alert, Appeal, ReviewItem

Key = tuple[str, int]
"""(content_id, revision): what a reviewer answers about."""


SECOND_ANSWERS: Final = 10
"""One item in so many is answered twice: two people who agree make a true label, and two whose
answers meet can be compared. A golden label is an answer, so its reviewer is checked by the other.
Drawn by a digest of the id, so that every console draws the same ones, also after a restart."""


class WaitingItem(ReviewItem, frozen=True, kw_only=True):
    """An item of the queue, with what its message does not say."""

    images: int = 0
    appeal: Appeal | None = None


def key_of(item: ReviewItem) -> Key:
    """The content that `item` is about."""
    return item.decision.content_id, item.decision.revision


def answers_wanted(key: Key) -> int:
    """How many people are to answer about this content; an appeal is closed by one."""
    return 2 if crc(key[0]) % SECOND_ANSWERS == 0 else 1


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule, hash entry or model decided."""

    rule: str
    stage: str
    category: str
    reviewed: int
    blocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The stream over a stretch of time, in steps; every sequence is as long as `times`."""

    since: datetime
    until: datetime
    times: Sequence[datetime] = ()
    """Starts of the steps, ascending, gaps filled."""
    volume: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Action to decisions in each step."""
    decisions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Counts by (action, category)."""
    latency_p50_ms: Sequence[float] = ()
    """NaN where nothing was decided."""
    latency_p99_ms: Sequence[float] = ()
    rules: Sequence[RuleCount] = ()
    """Most frequent first."""
    alerts: Sequence[Alert] = ()
    """Changes of alerts in the order of their windows."""


class ConsoleStore(Protocol):
    """Where the console reads; it writes nothing but labels, which go another way."""

    def waiting(self, limit: int, reviewer: str) -> list[WaitingItem]:
        """Items that want an answer and have none of `reviewer`.

        The highest priority first, the oldest among equals.
        """
        ...

    def count_waiting(self) -> int:
        """How many items want an answer."""
        ...

    def overview(self, hours: float) -> Overview:
        """The last `hours` before the newest decision."""
        ...
