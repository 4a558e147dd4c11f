"""An open-loop load on Kafka: posts at set times, and how long each waits for its decision.

A generator that waits for answers, or counts from when it came to send, leaves out just those posts
that a slow system keeps waiting (coordinated omission, Tene 2013). Here every post has its time
before the run begins, is sent then whatever has been answered, and its latency counts from then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from connectors.kafka import CONTENT_TOPIC, DECISIONS_TOPIC, list_partitions, producer_config
from events.encode import encode
from events.messages import Content

_TICK_S: Final = 0.001
_FETCH: Final = 2_000
_FETCH_S: Final = 0.005
"""How long answers are gathered; part of the latencies."""
_SETTLE_S: Final = 1.0
"""From the first connections to the first post that counts."""
_CALM_S: Final = 1.0
"""So long nothing is late once a backlog is worked off."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a load at one rate, in posts a second."""

    rate: float
    seconds: float


@dataclass(frozen=True)
class LoadResult:
    """What became of the posts of a load; arrays are (n,) in the order of the posts."""

    due: NDArray[np.float64]
    """Seconds from the start at which each was to be sent."""
    arrived: NDArray[np.float64]
    """Seconds from the start at which its first decision was read; NaN: never."""
    repeats: int
    """Decisions beyond the first of a post."""
    latest: float
    """Seconds by which the generator was behind at worst; part of the latencies."""

    @property
    def lost(self) -> int:
        """Posts without a decision."""
        return int(np.isnan(self.arrived).sum())

    @property
    def latencies(self) -> NDArray[np.float64]:
        """Seconds from the due time to the decision on the topic, of the answered posts."""
        waited: NDArray[np.float64] = self.arrived - self.due
        return waited[~np.isnan(waited)]

    def slowest(self, *, until: float) -> float:
        """The longest wait of the answered posts that were due before `until`; both s."""
        waited = (self.arrived - self.due)[self.due < until]
        return float(waited[~np.isnan(waited)].max(initial=0.0))

    def recovery(self, since: float, *, within: float) -> float:
        """Seconds from `since` to the second in which no post waits longer than `within`; both s.

        What is late after a calm second is not of this backlog.
        """
        late = self.due[(self.due >= since) & ~(self.arrived - self.due <= within)]
        times = np.concatenate([[since], late, [np.inf]])
        return float(times[np.argmax(np.diff(times) > _CALM_S)] - since)


def due_times(phases: Iterable[Phase]) -> NDArray[np.float64]:
    """When each post is to be sent, in seconds from the start: evenly within each phase."""
    times = [np.zeros(0)]
    begin = 0.0
    for phase in phases:
        times.append(begin + np.arange(round(phase.rate * phase.seconds)) / phase.rate)
        begin += phase.seconds
    return np.concatenate(times)


def run_load(
    config: Mapping[str, Any],
    contents: Iterable[Content],
    due: NDArray[np.float64],
    *,
    patience: float = 60.0,
    progress: Callable[[int, int], None] = lambda _sent, _answered: None,
) -> LoadResult:
    """Send `contents`, over and over, at `due`; read decisions until all are there.

    `patience`: seconds without any decision, after the last post, until what is missing is given
    up. `progress` is told the numbers sent and answered, some times a second.

    Raises:
        BrokerError: no broker answers.
    """
    run = f"load-{time.time_ns():x}-"
    answers = _Answers(config, run, len(due))
    sender = _Sender(config, run, cycle(contents), due)
    sender.connect()
    start = time.time() + _SETTLE_S
    threads = [threading.Thread(target=work, args=(start,)) for work in (answers.run, sender.run)]
    for thread in threads:
        thread.start()
    try:
        _wait(answers, sender, len(due), patience, progress)
    finally:
        sender.stopping = answers.stopping = True
        for thread in threads:
            thread.join()
    return LoadResult(due, answers.arrived, answers.repeats, sender.latest)


def _wait(
    answers: _Answers,
    sender: _Sender,
    count: int,
    patience: float,
    progress: Callable[[int, int], None],
) -> None:
    answered, changed = 0, time.monotonic()
    while answers.count < count:
        time.sleep(0.1)
        progress(sender.sent, answers.count)
        if answers.count > answered or sender.sent < count:
            answered, changed = answers.count, time.monotonic()
        elif time.monotonic() - changed > patience:
            return
    progress(sender.sent, answers.count)


class _Sender:
    def __init__(
        self,
        config: Mapping[str, Any],
        run: str,
        contents: Iterable[Content],
        due: NDArray[np.float64],
    ) -> None:
        self._producer = Producer(
            producer_config(
                config,
                linger_ms=40,
                queue_buffering_max_messages=1_000_000,
                message_timeout_ms=0,
            )
        )
        self._run, self._contents, self._due = run, iter(contents), due.tolist()
        self.sent = 0
        self.latest = 0.0
        self.stopping = False

    def connect(self) -> None:
        """Send a post that does not count: connecting takes a second and is not the job's doing."""
        content = msgspec.structs.replace(
            next(self._contents), content_id=f"first-{self._run}", created_at=datetime.now(UTC)
        )
        self._producer.produce(CONTENT_TOPIC, encode(content), content.content_id.encode())
        self._producer.flush(10)

    def run(self, start: float) -> None:
        """Send each post when it is due, and those that are late at once."""
        while self.sent < len(self._due) and not self.stopping:
            wait = start + self._due[self.sent] - time.time()
            if wait > 0:
                self._producer.poll(0)
                time.sleep(max(wait, _TICK_S))
                continue
            self.latest = max(self.latest, -wait)
            self._send(start)
        self._producer.flush(10)

    def _send(self, start: float) -> None:
        content_id = f"{self._run}{self.sent}"
        content = msgspec.structs.replace(
            next(self._contents),
            content_id=content_id,
            created_at=datetime.fromtimestamp(start + self._due[self.sent], UTC),
        )
        try:
            self._producer.produce(CONTENT_TOPIC, encode(content), content_id.encode())
        except BufferError:
            self._producer.poll(0.01)
        else:
            self.sent += 1


class _Answer(msgspec.Struct):
    content_id: str


class _Answers:
    def __init__(self, config: Mapping[str, Any], run: str, count: int) -> None:
        # First: a consumer without a broker would print librdkafka's own lines.
        parts = range(list_partitions(config)[DECISIONS_TOPIC])
        self._consumer = Consumer(
            {
                **config,
                "group.id": "breakwater-load",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        partitions = [TopicPartition(DECISIONS_TOPIC, part) for part in parts]
        for partition in partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition)[1]
        self._consumer.assign(partitions)
        self._run = run
        self._decode = msgspec.json.Decoder(_Answer).decode
        self.arrived = np.full(count, np.nan)
        self.count = self.repeats = 0
        self.stopping = False

    def run(self, start: float) -> None:
        """Note when the first decision of each post arrives."""
        while not self.stopping:
            messages = self._consumer.consume(_FETCH, _FETCH_S)
            at = time.time() - start
            for message in messages:
                value = message.value()
                if message.error() is None and isinstance(value, bytes):
                    self._note(self._decode(value).content_id, at)
        self._consumer.close()

    def _note(self, content_id: str, at: float) -> None:
        if not content_id.startswith(self._run):
            return
        number = int(content_id.removeprefix(self._run))
        if np.isnan(self.arrived[number]):
            self.arrived[number] = at
            self.count += 1
        else:
            self.repeats += 1
