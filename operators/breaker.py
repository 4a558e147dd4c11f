"""A part that is down or slow must not hold up the stream: a deadline and a circuit breaker.

Circuit breaker after Nygard, Release It! (2007): a stage that failed is left alone for a while,
then one batch tries it again; each failure in a row doubles the pause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from operators.item import Item, Stage

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Deadline:
    """How long a batch may take: `base_s`, and `item_s` for each item the stage has to look at."""

    base_s: float
    item_s: float = 0.0


class Breaker:
    """Runs `stage` on a batch within its deadline; what it cannot do is marked and passes.

    The stage works on copies in a thread of its own, so that one which hangs holds that thread and
    nothing else, and what it does too late or by halves touches no item. A batch that makes it
    raise is tried again in halves, down to the item: one content that breaks a stage is marked
    alone and does not take the stage from the others. Only a stage that can do nothing of a batch,
    or not in time, is left alone.

    Args:
        name: what `degraded` says when the stage could not do its part.
        stage: the stage; it must return as many items as it got.
        deadline: how long a batch may take.
        sees: whether the stage has anything to do for an item; others are not given to it.
        without: what is done for items instead of the stage.
        now: seconds that never step back.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        deadline: Deadline,
        *,
        sees: Callable[[Item], bool] = lambda _: True,
        without: Stage = lambda items: items,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._stage = stage
        self._deadline = deadline
        self._sees = sees
        self._without = without
        self._now = now
        self._pause_s = FIRST_PAUSE_S
        self._retry_at = -float("inf")
        self._hanging: threading.Thread | None = None

    @property
    def open(self) -> bool:
        """Whether the next batch would pass without the stage."""
        hangs = self._hanging is not None and self._hanging.is_alive()
        return hangs or self._now() < self._retry_at

    def __call__(self, items: list[Item]) -> list[Item]:
        """The items in order: after the stage, or marked in `degraded` where it could not do it."""
        seen = [item for item in items if self._sees(item)]
        if not seen:
            return items
        done = iter(self._pass(seen) if self.open else self._try(seen))
        if len(seen) == len(items):
            return list(done)
        return [next(done) if self._sees(item) else item for item in items]

    def _try(self, items: list[Item]) -> list[Item]:
        attempt = _Attempt(self._stage, items, halve=self._pause_s == FIRST_PAUSE_S)
        thread = threading.Thread(target=attempt, name=self.name, daemon=True)
        thread.start()
        seconds = self._deadline.base_s + self._deadline.item_s * len(items)
        thread.join(seconds)
        if thread.is_alive():
            self._hanging = thread
            return self._trip(items, f"took longer than {seconds:g} s")
        if attempt.error is not None and not any(attempt.done):
            return self._trip(items, f"{type(attempt.error).__name__}: {attempt.error}")
        self._pause_s = FIRST_PAUSE_S
        if attempt.error is not None:
            broken = attempt.done.count(None)
            _log.warning("items that a stage cannot do", stage=self.name, items=broken)
        return [
            done or self._pass([item])[0] for item, done in zip(items, attempt.done, strict=True)
        ]

    def _trip(self, items: list[Item], reason: str) -> list[Item]:
        _log.warning("stage left alone", stage=self.name, reason=reason, seconds=self._pause_s)
        self._retry_at = self._now() + self._pause_s
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        return self._pass(items)

    def _pass(self, items: list[Item]) -> list[Item]:
        for item in items:
            if self.name not in item.degraded:
                item.degraded.append(self.name)
        return self._without(items)


class _Attempt:
    """One call of a stage on copies of `items`; `done` has each after it, None where it failed."""

    def __init__(self, stage: Stage, items: list[Item], *, halve: bool) -> None:
        self.done: list[Item | None] = []
        self.error: Exception | None = None
        self._stage = stage
        self._items = items
        self._halve = halve

    def __call__(self) -> None:
        self._do(self._items)

    def _do(self, items: list[Item]) -> None:
        try:
            self.done += self._stage([item.copy() for item in items])
        except Exception as error:  # noqa: BLE001  whatever broke, the stream goes on
            self.error = error
            if len(items) == 1 or not self._halve:
                self.done += [None] * len(items)
                return
            middle = len(items) // 2
            self._do(items[:middle])
            self._do(items[middle:])
