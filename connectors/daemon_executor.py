"""Work beside the stream that a process which has failed does not stay for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonExecutor(Executor):
    """One daemon thread, which does one thing after the other.

    The interpreter waits for the threads of a `ThreadPoolExecutor` when it ends, and so would a job
    that has failed for as long as its inserts are tried again. Whoever needs something done waits
    for its future.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn` called; `shutdown` does nothing to it."""
        future: Future[T] = Future()

        def task() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001  whoever waits is told
                    future.set_exception(error)

        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
        self._tasks.put(task)
        return future

    def _work(self) -> None:
        while True:
            self._tasks.get()()
