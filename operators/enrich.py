"""Repeats dropped and authors' history read before the stages, and counted after the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from events.messages import AuthorFeatures, Content, Judgement, Position
from operators.item import Item


class FeatureStore(Protocol):
    """Where identities are claimed and counters are kept; OSError says that it is down."""

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """The history of each post's author, in order; None for a repeat.

        The first position that claims a content's revision owns it: a replay of the same message
        comes from the same position and is no repeat. An unknown author has an empty history.
        """
        ...

    def count(self, judgements: Sequence[Judgement]) -> None:
        """Add each decision to its author's counters, once an identity however often it comes."""
        ...


class Enricher:
    """Drops repeats of an identity and gives each item its author's history.

    While the store is down every item passes, marked degraded: a repeat then gets its decision
    again, under the same id.
    """

    STAGE = "enrich"

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self.repeats = 0

    def __call__(self, items: list[Item]) -> list[Item]:
        """The items that are no repeats, in order, with `author` filled."""
        try:
            authors = self._store.admit([(item.content, item.position) for item in items])
        except OSError:
            for item in items:
                item.degraded.append(self.STAGE)
            return items
        fresh = []
        for item, author in zip(items, authors, strict=True):
            if author is not None:
                item.author = author
                fresh.append(item)
        self.repeats += len(items) - len(fresh)
        return fresh


class AuthorCounter:
    """Counts final decisions into their authors' history and passes all on.

    What cannot be counted while the store is down is counted when it is back, the last
    `MAX_PENDING` decisions at most, some with each batch: one question about all of them would take
    the store longer than it is given. A process that ends before forgets them. Counters are
    features, not records.
    """

    MAX_PENDING = 100_000
    AT_ONCE = 1_000
    CATCH_UP = 5
    """Questions a batch, at most."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._pending: list[Judgement] = []

    def __call__(self, judgements: list[Judgement]) -> list[Judgement]:
        """The same judgements."""
        self._pending += [judgement for judgement in judgements if judgement.decision.final]
        try:
            for _ in range(self.CATCH_UP):
                if not self._pending:
                    break
                self._store.count(self._pending[: self.AT_ONCE])
                del self._pending[: self.AT_ONCE]
        except OSError:
            del self._pending[: -self.MAX_PENDING]
        return judgements
