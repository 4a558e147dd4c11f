"""Identities and author counters without a server, the twin of `connectors.redis_features`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from events.messages import AuthorCount, AuthorFeatures, Content, Position

_TABLES = """
    CREATE TABLE claims (
        identity TEXT PRIMARY KEY, position TEXT, decisions INT, violations INT, first_seen REAL,
        counted INT
    ) WITHOUT ROWID;
    CREATE TABLE authors (
        author_id TEXT PRIMARY KEY, decisions INT, violations INT, first_seen REAL
    ) WITHOUT ROWID;
"""


class LocalFeatureStore:
    """Lives and dies with its process and serves it alone; the Redis one is shared and expires.

    SQLite's private temporary database keeps it exact in bounded memory: pages beyond the cache go
    to an unnamed file (https://www.sqlite.org/inmemorydb.html#temp_db).
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # The flow is built in one thread and run in another, never at the same time.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;" + _TABLES
        )

    def admit(self, posts: Sequence[tuple[Content, Position]]) -> list[AuthorFeatures | None]:
        """See `operators.enrich.FeatureStore.admit`."""
        self._db.execute("BEGIN")
        admitted = [self._admitted(content, position) for content, position in posts]
        self._db.execute("COMMIT")
        return admitted

    def _admitted(self, content: Content, position: Position) -> AuthorFeatures | None:
        execute, mine = self._db.execute, position.place
        identity = f"{content.revision}:{content.content_id}"
        query = "SELECT decisions, violations, first_seen FROM authors WHERE author_id = ?"
        history = execute(query, (content.author_id,)).fetchone() or (0, 0, None)
        inserted = execute(
            "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?, 0)", (identity, mine, *history)
        ).rowcount
        if inserted:
            return AuthorFeatures(*history)
        query = "SELECT position, decisions, violations, first_seen FROM claims WHERE identity = ?"
        owner, *then = execute(query, (identity,)).fetchone()
        return AuthorFeatures(*then) if owner == mine else None

    def count(self, counts: Sequence[AuthorCount]) -> None:
        """See `operators.enrich.FeatureStore.count`."""
        now = self._now()
        execute = self._db.execute
        execute("BEGIN")
        for one in counts:
            identity = f"{one.revision}:{one.content_id}"
            first = execute(
                "UPDATE claims SET counted = 1 WHERE identity = ? AND counted = 0", (identity,)
            ).rowcount
            if first:
                execute(
                    "INSERT INTO authors VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET"
                    " decisions = decisions + 1, violations = violations + excluded.violations",
                    (one.author_id, int(one.violation), now),
                )
        execute("COMMIT")
