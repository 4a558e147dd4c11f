"""The outbox's SQLite file: alerts with how far they have come, acknowledgements, and mutes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from msgspec.json import decode

from events.encode import encode
from events.messages import Alert, AlertKey

KEEP: Final = 30 * 86_400.0
"""Seconds that rows are kept after they were sent, for `breakwater alerts list` and against
repeats.
"""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    state TEXT NOT NULL,
    window_end TEXT NOT NULL,
    body BLOB NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0,
    put_at REAL NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (sender, alert_id, state, window_end)
);
CREATE INDEX IF NOT EXISTS waiting ON outbox (sender, sequence) WHERE status = 'waiting';
CREATE TABLE IF NOT EXISTS acknowledged (alert_id TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS mutes (
    category TEXT NOT NULL,
    signature TEXT NOT NULL,
    community TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (category, signature, community)
);
"""


class Row(NamedTuple):
    """One alert on its way to one sender."""

    sequence: int
    alert_id: str
    body: bytes
    attempts: int
    next_at: float
    """Unix seconds before which it is not tried."""
    put_at: float
    """Unix seconds."""


class Listed(NamedTuple):
    """An alert as it stands: its newest message, and how that went."""

    alert: Alert
    statuses: dict[str, str]
    """By sender: waiting, sent, failed, muted or acknowledged."""
    error: str


class Mute(NamedTuple):
    """What nothing is sent about, and until when (Unix seconds)."""

    until: float
    key: AlertKey


class OutboxStore:
    """One connection to the file; use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at `path`."""
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Durable when a transaction returns, over a loss of power too.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def put(
        self, names: Sequence[str], alerts: Sequence[Alert], *, now: float | None = None
    ) -> None:
        """Add `alerts` for the senders `names`; what was added before is left as it is."""
        now = time.time() if now is None else now
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            for alert in alerts:
                for name in names:
                    status = self._first_status(name, alert, now)
                    self._db.execute(
                        "INSERT OR IGNORE INTO outbox (sender, alert_id, state, window_end, body,"
                        " status, put_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (
                            name,
                            alert.alert_id,
                            alert.state,
                            alert.window_end.isoformat(),
                            encode(alert),
                            status,
                            now,
                        ),
                    )
            self._db.execute(
                "DELETE FROM outbox WHERE put_at < ? AND status != 'waiting'", (now - KEEP,)
            )

    def _first_status(self, name: str, alert: Alert, now: float) -> str:
        if alert.state == "resolved":
            # Who was told that it began is told that it is over, whatever was muted since; who was
            # not, because it was muted, hears of no end either.
            found = self._db.execute(
                "SELECT DISTINCT status FROM outbox WHERE sender = ? AND alert_id = ?",
                (name, alert.alert_id),
            )
            before = {status for (status,) in found}
            if before & {"waiting", "sent"}:
                return "waiting"
            if "muted" in before:
                return "muted"
        if alert.state == "update" and self._is_acknowledged(alert.alert_id):
            return "acknowledged"
        return "muted" if self._is_muted(alert.key, now) else "waiting"

    def _is_acknowledged(self, alert_id: str) -> bool:
        query = "SELECT 1 FROM acknowledged WHERE alert_id = ?"
        return self._db.execute(query, (alert_id,)).fetchone() is not None

    def _is_muted(self, key: AlertKey, now: float) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM mutes WHERE until > ? AND category IN ('', ?)"
            " AND signature IN ('', ?) AND community IN ('', ?)",
            (now, key.category, key.signature, key.community),
        ).fetchone()
        return found is not None

    def oldest(self, name: str) -> Row | None:
        """The first row that waits for the sender `name`."""
        found = self._db.execute(
            "SELECT sequence, alert_id, body, attempts, next_at, put_at FROM outbox"
            " WHERE sender = ? AND status = 'waiting' ORDER BY sequence LIMIT 1",
            (name,),
        ).fetchone()
        return Row(*found) if found else None

    def retry(self, row: Row, next_at: float, error: str) -> None:
        """Note a failed attempt; the next is at `next_at` (Unix seconds)."""
        self._db.execute(
            "UPDATE outbox SET attempts = attempts + 1, next_at = ?, error = ? WHERE sequence = ?",
            (next_at, error[:500], row.sequence),
        )

    def finish(self, row: Row, status: Literal["sent", "failed"], error: str = "") -> None:
        """Note that the row has reached its end."""
        self._db.execute(
            "UPDATE outbox SET status = ?, attempts = attempts + 1, error = ? WHERE sequence = ?",
            (status, error[:500], row.sequence),
        )

    def ids(self, prefix: str) -> list[str]:
        """The ids of alerts that begin with `prefix`."""
        query = "SELECT DISTINCT alert_id FROM outbox WHERE substr(alert_id, 1, ?) = ?"
        return [found for (found,) in self._db.execute(query, (len(prefix), prefix))]

    def acknowledge(self, alert_id: str) -> bool:
        """Send no more updates of this alert, only its end; False for an unknown alert."""
        known = self._db.execute("SELECT 1 FROM outbox WHERE alert_id = ?", (alert_id,)).fetchone()
        if known is None:
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO acknowledged VALUES (?, ?)", (alert_id, time.time())
        )
        return True

    def mute(self, key: AlertKey, until: float) -> None:
        """Send nothing about `key` until then (Unix seconds); "" in a field is any value."""
        self._db.execute(
            "INSERT OR REPLACE INTO mutes VALUES (?, ?, ?, ?)",
            (key.category, key.signature, key.community, until),
        )

    def unmute(self, key: AlertKey) -> bool:
        """End the mute of exactly `key` now; False when there is none."""
        ended = self._db.execute(
            "DELETE FROM mutes WHERE (category, signature, community) = (?, ?, ?) AND until > ?",
            (key.category, key.signature, key.community, time.time()),
        )
        return ended.rowcount > 0

    def mutes(self) -> list[Mute]:
        """The mutes that have not ended."""
        found = self._db.execute(
            "SELECT until, category, signature, community FROM mutes WHERE until > ?",
            (time.time(),),
        )
        return [Mute(until, AlertKey(*key)) for until, *key in found]

    def newest(self, limit: int) -> list[Listed]:
        """The alerts put last, each as it stands now."""
        ids = self._db.execute(
            "SELECT alert_id, max(sequence) AS last FROM outbox GROUP BY alert_id"
            " ORDER BY last DESC LIMIT ?",
            (limit,),
        ).fetchall()
        return [self._listed(alert_id) for alert_id, _ in ids]

    def _listed(self, alert_id: str) -> Listed:
        rows = self._db.execute(
            "SELECT sender, status, error, body FROM outbox WHERE alert_id = ? ORDER BY sequence",
            (alert_id,),
        ).fetchall()
        statuses = {sender: status for sender, status, _, _ in rows}
        if self._is_acknowledged(alert_id):
            statuses = {sender: f"{status}, acknowledged" for sender, status in statuses.items()}
        return Listed(decode(rows[-1][3], type=Alert), statuses, rows[-1][2])
