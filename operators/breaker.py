"""A part that is down or slow must not hold up the stream: a deadline and a circuit breaker.

Circuit breaker after Nygard, Release It! (2007): a stage that failed is left alone for a while,
then one batch tries it again; each failure in a row doubles the pause.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from operators.item import Item, Stage

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0

_log = structlog.get_logger()


class Breaker:
    """Runs `stage` on a batch within `deadline_s`, or marks the batch degraded and lets it pass.

    The stage works on copies in a thread of its own, so that one which hangs holds that thread and
    nothing else, and what it does too late touches no item. For stages that are dear beside the
    copies: models, OCR, indexes. The stage must return as many items as it got.

    Args:
        name: what `degraded` says when the stage could not do its part.
        stage: the stage.
        deadline_s: how long a batch may take.
        now: seconds that never step back.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        deadline_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._stage = stage
        self._deadline_s = deadline_s
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
        """The items after the stage; as they were and marked, when it is down, slow or open."""
        if self.open:
            return self._pass(items)
        attempt = _Attempt(self._stage, [_copy(item) for item in items])
        attempt.thread.start()
        attempt.thread.join(self._deadline_s)
        if attempt.thread.is_alive():
            self._hanging = attempt.thread
            return self._trip(items, f"took longer than {self._deadline_s:g} s")
        if attempt.error is not None:
            return self._trip(items, f"{type(attempt.error).__name__}: {attempt.error}")
        self._pause_s = FIRST_PAUSE_S
        return attempt.items

    def _trip(self, items: list[Item], reason: str) -> list[Item]:
        _log.warning("stage left alone", stage=self.name, reason=reason, seconds=self._pause_s)
        self._retry_at = self._now() + self._pause_s
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        return self._pass(items)

    def _pass(self, items: list[Item]) -> list[Item]:
        for item in items:
            item.degraded.append(self.name)
        return items


class _Attempt:
    """One call of a stage, in a daemon thread: a hung one does not keep the process from ending."""

    def __init__(self, stage: Stage, items: list[Item]) -> None:
        self.items = items
        self.error: Exception | None = None
        self._stage = stage
        self.thread = threading.Thread(target=self._run, name="attempt", daemon=True)

    def _run(self) -> None:
        try:
            self.items = self._stage(self.items)
        except Exception as error:  # noqa: BLE001  whatever broke, the stream goes on
            self.error = error


def _copy(item: Item) -> Item:
    """A copy whose signals, scores, outputs and marks can be changed without touching `item`."""
    made = copy.copy(item)
    made.signals, made.outputs, made.degraded = (
        item.signals.copy(),
        item.outputs.copy(),
        item.degraded.copy(),
    )
    made.text_scores, made.image_scores, made.scores = (
        item.text_scores.copy(),
        item.image_scores.copy(),
        item.scores.copy(),
    )
    return made
