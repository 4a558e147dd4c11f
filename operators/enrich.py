"""Repeats dropped and authors' history read before the stages, and counted after the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from events.messages import Content, Position
from events.records import AuthorCount, AuthorFeatures, Judgement
from operators.item import Item

_log = structlog.get_logger(__name__)
_pending_decoder = msgspec.msgpack.Decoder(list[AuthorCount])


class FeatureStore(Protocol):
    """Where identities are claimed and counters are kept; OSError says that it is down."""

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """The history of each post's author, in order; None for a repeat.

        The first position that claims a content's revision owns it: a replay of the same message
        comes from the same position and is no repeat. It gets the history it had at first, and so
        the decision. An unknown author has an empty history.
        """
        ...

    def count(self, counts: Sequence[AuthorCount]) -> None:
        """Add each to its author's counters, once an identity however often it comes."""
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
                item.degrade(self.STAGE)
            return items
        fresh = []
        for item, author in zip(items, authors, strict=True):
            if author is not None:
                item.author = author
                fresh.append(item)
        self.repeats += len(items) - len(fresh)
        return fresh


class AuthorCounter:
    """Counts final decisions into their authors' history; a `connectors.local_sink.Writer`.

    What cannot be counted while the store is down is counted when it is back, some with each batch:
    one question about all of them would take the store longer than it is given. Meanwhile the last
    `MAX_PENDING` are held with the job's state; what is older is dropped with a warning, for
    counters are features and not records.
    """

    MAX_PENDING = 100_000
    AT_ONCE = 1_000
    CATCH_UP = 5
    """Questions a batch, at most, beside those about the batch itself."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._pending: list[AuthorCount] = []

    def write(self, batch: list[Judgement]) -> None:
        """Count the final decisions of `batch`, and some of what is pending before them."""
        self._pending += [
            AuthorCount(
                decision.content_id,
                decision.revision,
                decision.author_id,
                decision.action == "block",
            )
            for decision in (judgement.decision for judgement in batch)
            if decision.final
        ]
        self._count(self.CATCH_UP + len(batch) // self.AT_ONCE)

    def flush(self) -> None:
        """Count all that is pending, as long as the store answers."""
        self._count(1 + len(self._pending) // self.AT_ONCE)

    def close(self) -> None:
        """Count what is pending, as `flush` does."""
        self.flush()

    def snapshot(self) -> bytes:
        """What is pending."""
        return msgspec.msgpack.encode(self._pending) if self._pending else b""

    def resume(self, held: bytes) -> None:
        """Count what an earlier run held, or hold it instead."""
        self._pending += _pending_decoder.decode(held)
        self.flush()

    def _count(self, questions: int) -> None:
        try:
            for _ in range(questions):
                if not self._pending:
                    break
                self._store.count(self._pending[: self.AT_ONCE])
                del self._pending[: self.AT_ONCE]
        except OSError:
            if dropped := self._pending[: -self.MAX_PENDING]:
                _log.warning("decisions that no author counts", decisions=len(dropped))
                del self._pending[: len(dropped)]
