"""Identities and author counters without a server, the twin of `connectors.redis_features`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from events.messages import Content, Position
from events.records import AuthorCount, AuthorFeatures

CLAIM_S: Final = 24 * 3600
"""A claim is remembered so long at least, and twice as long at most."""

_AUTHORS: Final = """
    PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192;
    CREATE TABLE authors (author_id TEXT PRIMARY KEY, decisions INT, violations INT) WITHOUT ROWID;
"""
_CLAIMS: Final = """
    ATTACH '' AS {0};
    PRAGMA {0}.journal_mode=OFF; PRAGMA {0}.synchronous=OFF; PRAGMA {0}.cache_size=-8192;
    CREATE TABLE {0}.claims (
        identity TEXT PRIMARY KEY, position TEXT, decisions INT, violations INT, counted INT
    ) WITHOUT ROWID;
"""
_READ: Final = "SELECT position, decisions, violations FROM {0}.claims WHERE identity = ?"
_CLAIM: Final = "INSERT OR IGNORE INTO {0}.claims VALUES (?, ?, ?, ?, 0)"
_ONCE: Final = "UPDATE {0}.claims SET counted = 1 WHERE identity = ? AND counted = 0"
_COUNT: Final = """
    INSERT INTO authors VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET
        decisions = decisions + 1, violations = violations + excluded.violations
"""
_HISTORY: Final = "SELECT decisions, violations FROM authors WHERE author_id = ?"

_log = structlog.get_logger(__name__)


class _Generation:
    """The statements about the claims of one generation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read, self.claim, self.count = (text.format(name) for text in (_READ, _CLAIM, _ONCE))


class LocalFeatureStore:
    """Lives and dies with its process and serves it alone; the Redis one is shared.

    SQLite's private temporary databases keep it exact in bounded memory: pages beyond the cache go
    to unnamed files (https://www.sqlite.org/inmemorydb.html#temp_db). Each generation of claims has
    a file of its own, so that forgetting it takes no time.

    Raises, in every method:
        OSError: the disk is full; all that was known is forgotten, and it begins again.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._begin()

    def _begin(self) -> None:
        # The flow is built in one thread and run in another, never at the same time.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._new, self._old = _Generation("even"), list[_Generation]()
        self._db.executescript(_AUTHORS + _CLAIMS.format(self._new.name))
        self._ages_at = self._now() + CLAIM_S

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """See `operators.enrich.FeatureStore.admit`; claims are forgotten after `CLAIM_S`."""
        with self._told_as_os_error():
            if self._now() >= self._ages_at:
                self._age()
            self._db.execute("BEGIN")
            admitted = [self._admitted(content, position) for content, position in posts]
            self._db.execute("COMMIT")
            return admitted

    def count(self, counts: Sequence[AuthorCount]) -> None:
        """See `operators.enrich.FeatureStore.count`."""
        with self._told_as_os_error():
            self._db.execute("BEGIN")
            for one in counts:
                self._count(one)
            self._db.execute("COMMIT")

    def _age(self) -> None:
        """Forget the older claims; the newer ones take their place."""
        for oldest in self._old:
            self._db.execute(f"DETACH {oldest.name}")
        new = _Generation("odd" if self._new.name == "even" else "even")
        self._db.executescript(_CLAIMS.format(new.name))
        self._new, self._old = new, [self._new]
        self._ages_at = self._now() + CLAIM_S

    def _admitted(self, content: Content, position: Position) -> AuthorFeatures | None:
        ask, mine = self._db.execute, position.key
        identity = f"{content.revision}:{content.content_id}"
        for old in self._old:
            if claim := ask(old.read, (identity,)).fetchone():
                return _as_claimed(claim, mine)
        history = ask(_HISTORY, (content.author_id,)).fetchone() or (0, 0)
        if ask(self._new.claim, (identity, mine, *history)).rowcount:
            return AuthorFeatures(*history)
        return _as_claimed(ask(self._new.read, (identity,)).fetchone(), mine)

    def _count(self, one: AuthorCount) -> None:
        identity = f"{one.revision}:{one.content_id}"
        claims = (self._new, *self._old)
        if any(self._db.execute(claim.count, (identity,)).rowcount for claim in claims):
            self._db.execute(_COUNT, (one.author_id, int(one.violation)))

    @contextmanager
    def _told_as_os_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            _log.warning("posts and authors are forgotten, the disk is full?", error=str(error))
            # Without a journal nothing can be undone.
            self._db.close()
            self._begin()
            raise OSError(f"the features in a temporary file: {error}") from error


def _as_claimed(claim: tuple[str, int, int], position: str) -> AuthorFeatures | None:
    """The history that a claim remembers for who made it, none for others."""
    owner, *then = claim
    return AuthorFeatures(*then) if owner == position else None
