"""A part that is down or slow must not hold up the stream: a deadline and a circuit breaker.

Circuit breaker after Nygard, Release It! (2007): a stage that failed is left alone for a while,
then one batch tries it again; each failure in a row doubles the pause.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

import structlog

from operators.item import Item, Stage

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Deadline:
    """How long a batch may take: `base_s`, and `item_s` for each item the stage has to look at.

    But `most_s` at most: the stream waits meanwhile.
    """

    base_s: float
    item_s: float = 0.0
    most_s: float = math.inf

    def seconds(self, items: int) -> float:
        """For a batch of so many."""
        return min(self.base_s + self.item_s * items, self.most_s)


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
        deadline: how long a batch may take; None: the stage cannot hang and needs no thread.
        sees: whether the stage has anything to do for an item; others are not given to it.
        without: what is done for items instead of the stage.
        now: seconds that never step back.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        deadline: Deadline | None,
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
        self._thread = _Thread(name)

    @property
    def open(self) -> bool:
        """Whether the next batch would pass without the stage."""
        return self._thread.busy or self._now() < self._retry_at

    @property
    def broken(self) -> bool:
        """Whether the last try failed: so it stays until one succeeds, also between tries."""
        return self._pause_s > FIRST_PAUSE_S

    def __call__(self, items: list[Item]) -> list[Item]:
        """The items in order: after the stage, or marked in `degraded` where it could not do it."""
        seen = [item for item in items if self._sees(item)]
        if not seen:
            return items
        done = self._pass(seen) if self.open else self._try(seen)
        if len(seen) == len(items):
            return done
        rest = iter(done)
        return [next(rest) if self._sees(item) else item for item in items]

    def _try(self, items: list[Item]) -> list[Item]:
        attempt = _Attempt(self._stage, items, halve=not self.broken)
        if self._deadline is None:
            attempt()
        else:
            seconds = self._deadline.seconds(len(items))
            if not self._thread.run(attempt, seconds):
                return self._trip(items, f"took longer than {seconds:g} s")
        if attempt.error is not None and not any(attempt.done):
            return self._trip(items, f"{type(attempt.error).__name__}: {attempt.error}")
        self._pause_s = FIRST_PAUSE_S
        if attempt.error is None:
            return [done for done in attempt.done if done]
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
            item.degrade(self.name)
        return self._without(items)


class _Thread:
    """Runs one thing after the other; a daemon, so that a hung one lets the process end.

    It is kept: libraries such as OpenMP set themselves up again in every thread that calls them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._done: threading.Event | None = None

    @property
    def busy(self) -> bool:
        """Whether the last task is still running."""
        return self._done is not None and not self._done.is_set()

    def run(self, task: Callable[[], None], seconds: float) -> bool:
        """Run `task`, which must not raise; whether it ended within `seconds`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._done = threading.Event()
        self._tasks.put((task, self._done))
        return self._done.wait(seconds)

    def _work(self) -> None:
        while True:
            task, done = self._tasks.get()
            task()
            done.set()


class _Attempt:
    """One call of a stage on copies of `items`; `done` has each after it, None where it failed."""

    def __init__(self, stage: Stage, items: list[Item], *, halve: bool) -> None:
        self.done: list[Item | None] = []
        self.error: BaseException | None = None
        self._stage = stage
        self._items = items
        self._halve = halve

    def __call__(self) -> None:
        self._do(self._items)

    def _do(self, items: list[Item]) -> None:
        try:
            self.done += self._stage([item.copy() for item in items])
        except KeyboardInterrupt:
            raise
        # Whatever broke, the stream goes on: a panic of a library in Rust is no Exception.
        except BaseException as error:  # noqa: BLE001
            self.error = error
            if len(items) == 1 or not self._halve:
                self.done += [None] * len(items)
                return
            middle = len(items) // 2
            self._do(items[:middle])
            self._do(items[middle:])
