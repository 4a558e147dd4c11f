"""Repeats dropped and authors' history read before the stages, and counted after the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from events.messages import AuthorFeatures, Content, Judgement, Position
from operators.item import Item

Identity = tuple[str, int]
"""(content_id, revision)."""


class FeatureStore(Protocol):
    """Where identities are claimed and authors' counters are kept."""

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
    """Drops repeats of an identity and gives each item its author's history."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self.repeats = 0

    def __call__(self, items: list[Item]) -> list[Item]:
        """The items that are no repeats, in order, with `author` filled."""
        claims = [(_identity(item.content), item.position) for item in items]
        owned = self._store.claim(claims)
        fresh = [item for item, own in zip(items, owned, strict=True) if own]
        self.repeats += len(items) - len(fresh)
        authors = self._store.read_authors([item.content.author_id for item in fresh])
        for item, author in zip(fresh, authors, strict=True):
            item.author = author
        return fresh


def _identity(content: Content) -> Identity:
    return content.content_id, content.revision


class AuthorCounter:
    """Counts decisions into their authors' history and passes them on."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def __call__(self, judgements: list[Judgement]) -> list[Judgement]:
        """The same judgements."""
        self._store.count(judgements)
        return judgements
