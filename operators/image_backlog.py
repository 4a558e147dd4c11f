"""Two answers for content with images: one at once by its text, the final one when they are seen.

Looking at an image takes a hundred times as long as reading a text. So it happens in a thread
beside the stream: text goes on meanwhile, and what waits is state, so that a crash loses no final
answer. An item and its quick answer come out of the same step, the quick answer first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import bytewax.operators as op
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from events.identity import shard_of
from events.records import Judgement
from operators.item import Item, Stage

LANES: Final = tuple(f"lane-{number:02}" for number in range(16))
"""Contents are spread over these, and these over the processes; edits keep to their lane."""

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
MAX_WAITING_ITEMS: Final = 64
"""What may wait in a lane before the stream waits for it: this is in every snapshot."""

_TOGETHER: Final = 8
"""Items that are looked at together, and done together."""
_POLL: Final = timedelta(milliseconds=5)
_PATIENCE_S: Final = 1.0

Answer: TypeAlias = Item | Judgement


class ImageBacklog:
    """Items whose images are being looked at in a thread, in the order in which they came.

    Args:
        see: the stages of images, called in the executor's thread.
        executor: its threads; one, where the stages cannot be called by several.
        on_wait: called each second while this waits for what is being looked at.
    """

    def __init__(
        self, see: Stage, executor: Executor, on_wait: Callable[[], None] = lambda: None
    ) -> None:
        self._see = see
        self._executor = executor
        self._on_wait = on_wait
        self._blocks: deque[tuple[list[Item], Future[list[Item]]]] = deque()

    def add(self, items: Sequence[Item]) -> None:
        """Have the images of `items` looked at."""
        for first in range(0, len(items), _TOGETHER):
            block = list(items[first : first + _TOGETHER])
            # The thread works on copies: what waits is saved as it came, at any moment.
            future = self._executor.submit(self._see, [item.copy() for item in block])
            self._blocks.append((block, future))

    def take(self) -> list[Item]:
        """What is done, oldest first; while too much waits, this waits for it."""
        return list(self._taken(self._is_full))

    def finish(self) -> list[Item]:
        """All that waits, once it is done."""
        return list(self._taken(lambda: True))

    @property
    def waiting(self) -> tuple[Item, ...]:
        """What is not done, as it came."""
        return tuple(item for block, _ in self._blocks for item in block)

    def _taken(self, must_wait: Callable[[], bool]) -> Iterator[Item]:
        while self._blocks and (self._blocks[0][1].done() or must_wait()):
            block = self._blocks[0][1]
            while not wait([block], timeout=_PATIENCE_S).done:
                self._on_wait()
            # Removed only when it has its result: what fails is not lost from the snapshot.
            yield from block.result()
            self._blocks.popleft()

    def _is_full(self) -> bool:
        waiting = self.waiting
        size = sum(len(image.data or b"") for item in waiting for image in item.content.images)
        return len(waiting) > MAX_WAITING_ITEMS or size > MAX_WAITING_BYTES


def lane_of(content_id: str) -> str:
    """The lane that a content waits in, the same in every process."""
    return shard_of(content_id, LANES)


class _Logic(StatefulBatchLogic[Item, Answer, tuple[Item, ...]]):
    def __init__(
        self,
        backlog: ImageBacklog,
        at_once: Callable[[list[Item]], list[Judgement]],
        resume: tuple[Item, ...] | None,
    ) -> None:
        self._backlog = backlog
        self._at_once = at_once
        # These had their quick answer before the snapshot.
        backlog.add(resume or ())

    def on_batch(self, values: list[Item]) -> tuple[Iterable[Answer], bool]:
        done = self._backlog.take()
        self._backlog.add(values)
        return [*done, *self._at_once([item.copy() for item in values])], self.RETAIN

    def on_notify(self) -> tuple[Iterable[Answer], bool]:
        return self._backlog.take(), self.RETAIN

    def on_eof(self) -> tuple[Iterable[Answer], bool]:
        return self._backlog.finish(), self.RETAIN

    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) + _POLL if self._backlog.waiting else None

    def snapshot(self) -> tuple[Item, ...]:
        return self._backlog.waiting


@dataclass(frozen=True)
class SeenOut:
    """Streams of `see_images`."""

    items: Stream[Item]
    """All items; those with images when these have been looked at."""
    quick: Stream[Judgement]
    """The quick answers on items with images.

    A merge takes its streams in the order it names them, so name this one before what becomes of
    `items`: both answers may be ready in one turn of the engine.
    """


@operator
def see_images(
    step_id: str,
    up: Stream[Item],
    see: Stage,
    at_once: Callable[[list[Item]], list[Judgement]],
    executor: Executor,
    on_wait: Callable[[], None] = lambda: None,
) -> SeenOut:
    """Bytewax shell of `ImageBacklog`; `at_once` makes the quick answers."""

    def shim_build(resume: tuple[Item, ...] | None) -> _Logic:
        return _Logic(ImageBacklog(see, executor, on_wait), at_once, resume)

    texts = op.flat_map_batch(
        "without", up, lambda batch: [item for item in batch if not item.content.images]
    )
    imaged: KeyedStream[Item] = op.flat_map_batch(
        "with",
        up,
        lambda batch: [
            (lane_of(item.content.content_id), item) for item in batch if item.content.images
        ],
    )
    answers = op.key_rm("answers", op.stateful_batch("see", imaged, shim_build))
    seen = op.flat_map_batch(
        "seen", answers, lambda batch: [x for x in batch if isinstance(x, Item)]
    )
    quick = op.flat_map_batch(
        "quick", answers, lambda batch: [x for x in batch if isinstance(x, Judgement)]
    )
    return SeenOut(op.merge("items", texts, seen), quick)
