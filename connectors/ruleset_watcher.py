"""A thread that follows the live rule sets, so that the worker itself never waits for them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog
from msgspec import structs

from connectors.ruleset_store import (
    RulesetStore,
    RulesetStoreDownError,
    StoredRuleset,
    WorkerReport,
)

_log = structlog.get_logger(__name__)

BUILD_S = 150.0
"""How long a worker may be silent while it builds: longer than any version that lint lets pass."""


class RulesetWatcher:
    """Hands every newly active version to `apply` and reports what the worker runs.

    `apply` builds and swaps in the version and returns the ruleset version that decisions now
    carry; if it raises ValueError the version before runs on and the report says why. While the
    store is down the last version runs on too, `age_s` grows, and the store is asked again with
    growing pauses.

    Args:
        store: where versions are.
        apply: takes the active version; called at `catch_up` and from the thread after it.
        worker: name of this worker, unique in the cluster.
        ruleset_version: what decisions carry before anything is applied.
        jitter_s: longest random pause before a version is fetched, so that hundreds of workers
            do not ask at the same moment.
        beat_s: seconds between reports, and the longest a missed broadcast goes unnoticed.
    """

    def __init__(
        self,
        store: RulesetStore,
        apply: Callable[[StoredRuleset], str],
        worker: str,
        ruleset_version: str,
        *,
        jitter_s: float = 0.2,
        beat_s: float = 2.0,
    ) -> None:
        self._store = store
        self._apply = apply
        self._worker = worker
        self._jitter_s = jitter_s
        self._beat_s = beat_s
        self._running = WorkerReport(0, ruleset_version)
        self._following = False
        self._heard_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ruleset", daemon=True)

    @property
    def number(self) -> int:
        """Number of the version that runs; 0 before the first."""
        return self._running.number

    @property
    def age_s(self) -> float:
        """Seconds since the store was last heard from: how old the rules may be.

        0 for who does not follow: a command or a run on a file keeps the rules it began with.
        """
        return time.monotonic() - self._heard_at if self._following else 0.0

    def catch_up(self) -> None:
        """Apply the active version now, in this thread.

        Raises:
            RulesetStoreDownError: the store does not answer.
        """
        number = self._store.active_number()
        if self._is_new(number):
            stored = self._store.load(number)
            if stored is not None:
                self._try(stored)
            else:
                # The store has lost its memory and will count from 1 again; the rules run on.
                self._running = WorkerReport(0, self._running.ruleset_version)
        self._heard_at = time.monotonic()

    def start(self) -> None:
        """Catch up and report, then follow in a thread of its own.

        Raises:
            RulesetStoreDownError: the store does not answer.
        """
        self._catch_up_and_report()
        self._following = True
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stop.set()
        self._thread.join()

    def _catch_up_and_report(self) -> None:
        self.catch_up()
        self._store.report(self._worker, self._running)

    def _try(self, stored: StoredRuleset) -> None:
        try:
            version = self._apply(stored)
        except ValueError as error:
            self._running = structs.replace(self._running, error=str(error), failed=stored.number)
        else:
            self._running = WorkerReport(stored.number, version)

    def _is_new(self, number: int) -> bool:
        running = self._running
        return number not in (running.number, running.failed)

    def _follow(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            try:
                self._store.wait(self._beat_s)
                if self._is_new(self._store.active_number()):
                    # Chance here spreads load, it guards nothing.
                    self._stop.wait(random.uniform(0, self._jitter_s))  # noqa: S311
                    self._store.report(self._worker, self._running, BUILD_S)
                self._catch_up_and_report()
                pause = 0.1
            except Exception as error:  # noqa: BLE001 (without this thread pushes are ignored)
                if not isinstance(error, RulesetStoreDownError):
                    _log.warning("the pushed rules cannot be followed", exc_info=error)
                self._stop.wait(pause)
                pause = min(2 * pause, 2.0)
