"""The Kafka source: partitions of their own positions, read by one consumer a process.

Bytewax's own source commits no group offsets, so lag tools see nothing and a lost recovery store
means starting over. It also has a consumer for each partition: as many fetches, and as many small
batches where the stages want large ones.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)

from connectors.kafka import CONNECT_TIMEOUT_S, library_log, list_partitions
from connectors.worker_thread import keep_thread_state
from events.messages import MAX_MESSAGE_BYTES, Position
from events.records import Raw

_log = structlog.get_logger(__name__)

BATCH = 1000
PAUSE = timedelta(milliseconds=40)
"""Until a topic that was read to its end is asked again: larger batches, an idle core; it costs
every message half of this.
"""
LAG_EVERY_S = 1.0
STATE_EVERY_S = 5.0
SILENT_S = 5.0
"""A broker answers a fetch after `fetch.wait.max.ms` though it has nothing; one that is silent for
so much longer hangs, or we have fetched enough for a while and still take that.
"""
_MOST_FETCHED: Final = MAX_MESSAGE_BYTES + 64 * 2**20
"""Bytes: a message that is larger than a fetch comes whole, beside what the fetch brings anyway."""


def starting_point(resume: int | None, committed: int, oldest: int) -> tuple[int, int]:
    """Where to read on, and how many messages before it the topic no longer has.

    The recovery store's word (`resume`) counts, else the group's (`committed`, below 0: none), else
    the beginning.
    """
    wanted = resume if resume is not None else committed
    if wanted < 0:
        return OFFSET_BEGINNING, 0
    return max(wanted, oldest), max(0, oldest - wanted)


def next_tick(now: datetime) -> datetime:
    """The next full `PAUSE` of the clock: partitions that wake together make one batch."""
    # A second has a whole number of them.
    return now + PAUSE - timedelta(microseconds=now.microsecond) % PAUSE


class _Broker(msgspec.Struct):
    state: str
    rxidle: int
    """Microseconds since it last sent anything; -1: not yet."""

    def answers(self, within_s: float) -> bool:
        """Whether it is there: one that hangs keeps its connection, but answers no fetch."""
        return self.state == "UP" and 0 <= self.rxidle < within_s * 1e6


class _Statistics(msgspec.Struct):
    """What is read of librdkafka's statistics (its STATISTICS.md)."""

    brokers: dict[str, _Broker]


class _Reader:
    """What was fetched of the partitions that are read here, until each is asked for its own."""

    def __init__(self, config: Mapping[str, Any], topic: str, batch: int) -> None:
        self.consumer = Consumer(
            {
                **config,
                "statistics.interval.ms": round(STATE_EVERY_S * 1000),
                "stats_cb": self._note_state,
            },
            logger=library_log,
        )
        self._topic, self._batch = topic, batch
        self._answer_s = int(config["fetch.wait.max.ms"]) / 1000 + SILENT_S
        self._fetched: dict[int, list[Raw]] = {}
        self._lock = threading.Lock()
        self._full = True
        self.connected = True
        """Whether a broker was there when it was last looked; nothing else would tell."""

    def _note_state(self, statistics: str) -> None:
        brokers = msgspec.json.decode(statistics, type=_Statistics).brokers.values()
        self.connected = any(broker.answers(self._answer_s) for broker in brokers)

    def open(self, index: int, offset: int) -> None:
        """Read partition `index` from `offset` on."""
        with self._lock:
            self._fetched[index] = []
            self.consumer.incremental_assign([TopicPartition(self._topic, index, offset)])

    def take(self, index: int) -> tuple[list[Raw], bool]:
        """What there is of a partition, in order, up to its share of a batch; whether more waits.

        Some is fetched when there is nothing of it. The engine makes one batch of what all the
        partitions of a process give: with shares it is bounded, and none waits for the others.
        """
        with self._lock:
            if not self._fetched[index]:
                self._fetch()
            share = -(-self._batch // len(self._fetched))
            fetched = self._fetched[index]
            taken, self._fetched[index] = fetched[:share], fetched[share:]
            return taken, self._full or len(fetched) > share

    def _fetch(self) -> None:
        room = self._batch - sum(map(len, self._fetched.values()))
        if room <= 0:
            return
        messages = self.consumer.consume(room, timeout=0)
        self._full = len(messages) == room
        for message in messages:
            if not _failed(message):
                raw = _raw(message)
                # None for one that was closed: it was on its way.
                if (own := self._fetched.get(raw.position.partition)) is not None:
                    own.append(raw)

    def close(self, index: int) -> None:
        """Read partition `index` no more; the last one closes the consumer."""
        with self._lock:
            del self._fetched[index]
            self.consumer.incremental_unassign([TopicPartition(self._topic, index)])
            if not self._fetched:
                self.consumer.close()


class _Events(NamedTuple):
    """What the source asks and tells, see `KafkaSource`."""

    stopping: Callable[[], bool]
    on_lag: Callable[[int, int], None]
    on_poll: Callable[[bool], None]


class _Partition(StatefulSourcePartition[Raw, int]):
    def __init__(
        self,
        reader: _Reader,
        topic: str,
        index: int,
        resume: int | None,
        events: _Events,
    ) -> None:
        self._reader = reader
        self._topic, self._index, self._events = topic, index, events
        self._next = self._start(resume)
        self._awake: datetime | None = None
        self._tell_at = 0.0
        reader.open(index, self._next)
        # The position at the end of the last epochs: only the oldest is surely delivered, for
        # writers hold rows back for an epoch.
        self._ends: deque[int] = deque(maxlen=4)

    def _start(self, resume: int | None) -> int:
        consumer, partition = self._reader.consumer, TopicPartition(self._topic, self._index)
        committed = consumer.committed([partition], timeout=CONNECT_TIMEOUT_S)[0].offset
        oldest, _ = consumer.get_watermark_offsets(partition, timeout=CONNECT_TIMEOUT_S)
        start, expired = starting_point(resume, committed, oldest)
        if expired:
            _log.error(
                "messages had expired before they were read",
                topic=self._topic,
                partition=self._index,
                expired=expired,
                going_on_at=start,
            )
        return start

    def next_batch(self) -> list[Raw]:
        if self._events.stopping():
            raise StopIteration
        batch, more = self._reader.take(self._index)
        self._events.on_poll(bool(batch) or self._reader.connected)
        self._tell_lag()
        if batch:
            self._next = batch[-1].position.offset + 1
        # With nothing behind them some are left to gather.
        self._awake = None if more else next_tick(datetime.now(UTC))
        return batch

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        if len(self._ends) == self._ends.maxlen and self._ends[0] >= 0:
            partition = TopicPartition(self._topic, self._index, self._ends[0])
            self._reader.consumer.commit(offsets=[partition], asynchronous=True)
        self._ends.append(self._next)
        return self._next

    def close(self) -> None:
        self._reader.close(self._index)

    def _tell_lag(self) -> None:
        now = time.monotonic()
        if now < self._tell_at:
            return
        self._tell_at = now + LAG_EVERY_S
        # As the last fetch said: nothing is asked of the broker.
        partition = TopicPartition(self._topic, self._index)
        _, end = self._reader.consumer.get_watermark_offsets(partition, cached=True)
        if end >= 0 and self._next >= 0:
            self._events.on_lag(self._index, max(0, end - self._next))


def _failed(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.fatal():
        raise KafkaException(error)
    _log.warning("kafka", error=error.str())
    return True


def _raw(message: Message) -> Raw:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    kind, millis = message.timestamp()
    received_at = millis / 1000 if kind != TIMESTAMP_NOT_AVAILABLE else time.time()
    # A tombstone has no value: it is decoded as an empty message, to an error.
    value = message.value() or b""
    assert isinstance(value, bytes)
    return Raw(value, Position(topic=topic, partition=partition, offset=offset), received_at)


class KafkaSource(FixedPartitionedSource[Raw, int]):
    """All partitions of a topic, read on from the recovery store or the group's committed offset.

    `config` is librdkafka's; `bootstrap.servers` and `group.id` are needed. `stopping` is asked
    before each batch; when it says yes, the input ends there. `on_lag` is told every second the
    number of a partition and of its messages still to be read, `on_poll` at each batch whether a
    broker is connected. `batch`: messages that this process takes at once, at most.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        stopping: Callable[[], bool] = lambda: False,
        on_lag: Callable[[int, int], None] = lambda _partition, _messages: None,
        on_poll: Callable[[bool], None] = lambda _connected: None,
        batch: int = BATCH,
    ) -> None:
        self._config = {
            "fetch.wait.max.ms": 20,
            "receive.message.max.bytes": _MOST_FETCHED,
            **config,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        self._topic = topic
        self._events = _Events(stopping, on_lag, on_poll)
        self._batch = batch
        self._reader: _Reader | None = None

    def list_parts(self) -> list[str]:
        """The topic's partitions at start; later ones are seen after a restart."""
        return [str(i) for i in range(list_partitions(self._config)[self._topic])]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        """One partition, read through this process's consumer."""
        keep_thread_state()
        if self._reader is None:
            self._reader = _Reader(self._config, self._topic, self._batch)
        return _Partition(self._reader, self._topic, int(for_part), resume_state, self._events)
