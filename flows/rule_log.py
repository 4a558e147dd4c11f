"""Every change of rules and policies into the tables, whatever was down when it was made."""

from __future__ import annotations

import threading

import structlog

from connectors.local_sink import Writer
from connectors.ruleset_store import RulesetStore
from events.records import RuleChange

_log = structlog.get_logger(__name__)


class RuleLog:
    """Copies the changes that the store of rules remembers into the tables, in its own thread.

    A command cannot write them: the embedded ClickHouse belongs to the job. Each process that
    follows the rules copies all changes when it starts and later ones as they come; in the tables
    the same change is one row. While Redis or ClickHouse is away, changes wait in Redis.

    Args:
        store: remembers the changes.
        writer: takes them; they are in the tables when its `flush` returns.
        beat_s: seconds between looks.
    """

    def __init__(
        self, store: RulesetStore, writer: Writer[RuleChange], *, beat_s: float = 2.0
    ) -> None:
        self._store = store
        self._writer = writer
        self._beat_s = beat_s
        self._last = ""
        """Id of the last change that is in the tables."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rule log", daemon=True)

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stop.set()
        self._thread.join()

    def copy(self) -> None:
        """Copy what is new since the last copy; raises what store and writer raise."""
        while changes := self._store.changes(self._last):
            self._writer.write(changes)
            self._writer.flush()
            self._last = changes[-1].change_id

    def _follow(self) -> None:
        pause = self._beat_s
        while not self._stop.is_set():
            try:
                self.copy()
                pause = self._beat_s
            except Exception as error:  # noqa: BLE001 (whatever it is: copied once it has passed)
                _log.warning("changes of the rules wait to be logged", error=str(error))
                pause = min(2 * pause, 30.0)
            self._stop.wait(pause)
