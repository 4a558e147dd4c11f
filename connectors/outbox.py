"""Alerts on their way to people: written down first, sent until they have arrived.

`put` returns when the alerts are on disk. A thread a sender takes them in order and tries again,
with growing pauses or the pause that the other side asks for, until each is taken or refused for
good. The key of a row is the alert, its state and its window, so an alert that a restarted job says
again is not sent again. An alert is lost in no crash; it can reach a sender twice only when the
process ends between the other side's answer and the note of it, and PagerDuty drops that repeat by
its dedup key. While the file is locked or its disk is full, nothing is sent, and nobody gives up.
"""

from __future__ import annotations

import fcntl
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

import structlog
from msgspec.json import decode

from connectors.outbox_store import OutboxStore, Row
from events.messages import Alert

_log = structlog.get_logger(__name__)
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts at most, unless the other side asks for more."""
GIVE_UP_AFTER: Final = 86_400.0
"""Seconds after which an alert that could not be sent is refused: nobody wants yesterday's page."""
_FINAL: Final = frozenset({400, 404, 410, 413})
"""The message is no good, or its place is gone. A proxy in trouble and a key that is being changed
answer anything else (401, 403, 408): that passes.
"""
_POLL: Final = 1.0
"""Seconds after which a thread looks for what other processes have put."""

Outcome = Literal["sent", "retried", "failed"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("sent", "retried", "failed")
"""What can become of an attempt."""
T = TypeVar("T")


class RetryLater(Exception):  # noqa: N818 (what to do, not what went wrong)
    """The other side can't take it now; `seconds` until it may, None where it did not say."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class PermanentError(Exception):
    """The other side will never take it."""


def seconds(retry_after: str | None) -> float | None:
    """A `Retry-After` header in seconds, an hour at most; None where there is none of use."""
    if not retry_after:
        return None
    try:
        asked = float(retry_after)
    except ValueError:
        try:
            # The other form of RFC 9110, which proxies use.
            asked = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(3_600.0, max(0.0, asked))


def refusal(status: int, reason: str, retry_after: str | None) -> RetryLater | PermanentError:
    """What an answer that is no success means, by its HTTP status and its `Retry-After`."""
    if status in _FINAL:
        return PermanentError(reason)
    return RetryLater(reason, seconds(retry_after))


class Sender(Protocol):
    """Brings alerts to people; `send` returns when the other side has taken it."""

    name: str

    def send(self, alert: Alert) -> None:
        """Send one alert.

        Raises:
            RetryLater: it may be taken later.
            PermanentError: it will never be taken.
        """


class Outbox:
    """A queue on disk before each of `senders`. Thread-safe; several processes may share `path`.

    Of these, one at a time sends: it holds a lock beside the file.
    """

    def __init__(
        self,
        path: Path,
        senders: Sequence[Sender],
        *,
        first_pause: float = 1.0,
        on_attempt: Callable[[str, Outcome], None] = lambda _sender, _outcome: None,
    ) -> None:
        """Open or make the file at `path`, and begin to send what was left there.

        `first_pause`: seconds before the second attempt; each later pause is twice as long.
        `on_attempt` is told the sender's name and what became of each attempt, in its thread.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._names = tuple(sender.name for sender in senders)
        self._first_pause = first_pause
        self._on_attempt = on_attempt
        self._store = OutboxStore(path)
        self._changed = threading.Condition()
        self._closing = False
        self._give_up_at = float("inf")
        self._threads = [
            threading.Thread(target=self._run, args=(sender,), daemon=True) for sender in senders
        ]
        for thread in self._threads:
            thread.start()

    def put(self, alerts: Sequence[Alert]) -> None:
        """Write `alerts` down for every sender; they are on disk when this returns."""
        with self._changed:
            self._store.put(self._names, alerts)
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Send what `timeout` seconds allow, then stop; the rest is sent by the next run."""
        with self._changed:
            self._closing = True
            self._give_up_at = time.monotonic() + timeout
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, self._give_up_at - time.monotonic()) + 0.1)
        self._store.close()

    def _run(self, sender: Sender) -> None:
        lock_path = self._path.with_name(f"{self._path.name}.{sender.name}.lock")
        try:
            with (
                closing(self._insist(lambda: OutboxStore(self._path))) as store,
                self._insist(lambda: lock_path.open("w")) as lock,
            ):
                while not self._locked(lock.fileno()):
                    if not self._wait(_POLL) or self._closing:
                        return
                while (row := self._next(store, sender.name)) is not None:
                    self._deliver(store, sender, row)
        except (sqlite3.Error, OSError) as error:
            _log.error("outbox left for the next run", path=str(self._path), error=str(error))

    def _insist(self, use: Callable[[], T]) -> T:
        """What `use` of the file gives, again and again until it can be used or it is time to stop.

        Not the whole round: an alert that was sent and could not be noted must not be sent again.

        Raises:
            sqlite3.Error, OSError: it cannot be used, and it is time to stop.
        """
        pause = _POLL
        while True:
            try:
                return use()
            except (sqlite3.Error, OSError) as error:
                _log.warning("outbox cannot be used", path=str(self._path), error=str(error))
                if not self._wait(pause):
                    raise
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _locked(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _next(self, store: OutboxStore, name: str) -> Row | None:
        """The oldest row still to be sent, None when it is time to stop."""
        while True:
            with self._changed:
                row = self._insist(lambda: store.oldest(name))
                if row is None:
                    if self._closing:
                        return None
                    self._changed.wait(_POLL)
                    continue
            pause = row.next_at - time.time()
            if pause <= 0:
                return None if time.monotonic() >= self._give_up_at else row
            if not self._wait(min(pause, _POLL)):
                return None

    def _wait(self, seconds: float) -> bool:
        """Wait, at most until it is time to give up; False when it is."""
        with self._changed:
            left = self._give_up_at - time.monotonic()
            if left <= 0:
                return False
            self._changed.wait(min(seconds, left))
        return time.monotonic() < self._give_up_at

    def _deliver(self, store: OutboxStore, sender: Sender, row: Row) -> None:
        now = time.time()
        try:
            sender.send(decode(row.body, type=Alert))
        except RetryLater as error:
            if now - row.put_at < GIVE_UP_AFTER:
                self._retry(store, sender, row, error)
            else:
                self._refuse(store, sender, row, f"given up after a day: {error}")
        except PermanentError as error:
            self._refuse(store, sender, row, str(error))
        except Exception as error:  # noqa: BLE001
            # Whatever a sender raises besides, the alerts behind this one must go on.
            _log.exception("sender failed", sender=sender.name)
            self._refuse(store, sender, row, str(error) or type(error).__name__)
        else:
            self._on_attempt(sender.name, "sent")
            self._insist(lambda: store.finish(row, "sent"))

    def _retry(self, store: OutboxStore, sender: Sender, row: Row, error: RetryLater) -> None:
        pause = min(LONGEST_PAUSE, self._first_pause * 2.0 ** min(row.attempts, 20))
        # Jitter: the jobs that failed together need not come back together.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  guards nothing
        pause = max(pause, error.seconds or 0.0)
        self._on_attempt(sender.name, "retried")
        _log.warning("alert not sent yet", sender=sender.name, error=str(error), pause=pause)
        self._insist(lambda: store.retry(row, time.time() + pause, str(error)))

    def _refuse(self, store: OutboxStore, sender: Sender, row: Row, reason: str) -> None:
        self._on_attempt(sender.name, "failed")
        # Without a traceback: a library's own error may show part of a key.
        _log.error("alert refused", sender=sender.name, alert_id=row.alert_id, error=reason)
        self._insist(lambda: store.finish(row, "failed", reason))
