"""Repeats dropped and authors' history read before the stages, and counted after the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from events.messages import AuthorFeatures, Content, Judgement, Position
from operators.item import Item

Identity = tuple[str, int]
"""(content_id, revision)."""


class FeatureStore(Protocol):
    """Where identities are claimed and counters are kept; OSError says that it is down."""

    def claim(self, claims: Sequence[tuple[Identity, Position]]) -> list[bool]:
        """Whether each identity belongs to its position: the first that claims one owns it.

        A replay of the same message comes from the same position and is no repeat.
        """
        ...

    def read_authors(self, author_ids: Sequence[str]) -> list[AuthorFeatures]:
        """The history of each author, in order; an unknown author has an empty one."""
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
        claims = [(_identity(item.content), item.position) for item in items]
        try:
            owned = self._store.claim(claims)
            fresh = [item for item, own in zip(items, owned, strict=True) if own]
            authors = self._store.read_authors([item.content.author_id for item in fresh])
        except OSError:
            for item in items:
                item.degraded.append(self.STAGE)
            return items
        self.repeats += len(items) - len(fresh)
        for item, author in zip(fresh, authors, strict=True):
            item.author = author
        return fresh


def _identity(content: Content) -> Identity:
    return content.content_id, content.revision


class AuthorCounter:
    """Counts final decisions into their authors' history and passes all on.

    What cannot be counted while the store is down is counted when it is back, the last
    `MAX_PENDING` decisions at most; a process that dies before forgets them. Counters are
    features, not records.
    """

    MAX_PENDING = 100_000

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._pending: list[Judgement] = []

    def __call__(self, judgements: list[Judgement]) -> list[Judgement]:
        """The same judgements."""
        self._pending += [judgement for judgement in judgements if judgement.decision.final]
        try:
            self._store.count(self._pending)
        except OSError:
            del self._pending[: -self.MAX_PENDING]
        else:
            self._pending = []
        return judgements
