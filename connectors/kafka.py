"""Kafka: a source that knows positions, and a writer that knows what was delivered.

Bytewax's own sink has no delivery callback and loses data silently; its source commits no group
offsets, so lag tools see nothing and a lost recovery store means starting over.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from events import encode as events_encode
from events.messages import Position, Raw

log = logging.getLogger(__name__)
M = TypeVar("M", bound=events_encode.Message)

BATCH = 1000
PAUSE = timedelta(milliseconds=10)
"""Until a partition that was read to its end is asked again: larger batches, an idle core; it costs
every message half of this.
"""
LAG_EVERY_S = 1.0
CONNECT_TIMEOUT_S = 5.0
CONTENT_TOPIC = "content.submitted.v1"
DECISIONS_TOPIC = "moderation.decisions.v1"
REVIEW_TOPIC = "moderation.review.v1"
LABELS_TOPIC = "moderation.labels.v1"
TRUE_LABELS_TOPIC = "moderation.true-labels.v1"
USER_REPORTS_TOPIC = "moderation.user-reports.v1"
APPEALS_TOPIC = "moderation.appeals.v1"
ALERTS_TOPIC = "moderation.alerts.v1"
DEAD_LETTER_TOPIC = "moderation.dead-letter.v1"
TOPICS = (
    CONTENT_TOPIC,
    DECISIONS_TOPIC,
    REVIEW_TOPIC,
    LABELS_TOPIC,
    TRUE_LABELS_TOPIC,
    USER_REPORTS_TOPIC,
    APPEALS_TOPIC,
    ALERTS_TOPIC,
    DEAD_LETTER_TOPIC,
)


class BrokerError(RuntimeError):
    """The brokers do not answer or lack a topic; the text says what to do."""


def list_partitions(config: Mapping[str, Any]) -> dict[str, int]:
    """Partition count of every topic of the brokers that `config` names.

    Raises:
        BrokerError: no broker answers within `CONNECT_TIMEOUT_S`.
    """
    # Errors come as exceptions; librdkafka's own lines on stderr would only repeat them.
    admin = AdminClient({**config, "log_level": 0}, logger=_silent)
    try:
        topics = admin.list_topics(timeout=CONNECT_TIMEOUT_S).topics
    except KafkaException:
        raise BrokerError(
            f"no Kafka broker answers at {config['bootstrap.servers']}:"
            " is it running, and is BREAKWATER_KAFKA_BROKERS right?"
        ) from None
    return {name: len(topic.partitions) for name, topic in topics.items()}


def check_topics(config: Mapping[str, Any]) -> None:
    """Return when every topic of Breakwater exists.

    Raises:
        BrokerError: no broker answers, or a topic is missing.
    """
    missing = [topic for topic in TOPICS if topic not in list_partitions(config)]
    if missing:
        raise BrokerError(f"topic {', '.join(missing)} missing: run `breakwater topics create`")


def create_topics(config: Mapping[str, Any], *, partitions: int, replication: int) -> list[str]:
    """Create what is missing of `TOPICS`; the names of the topics that were created.

    Raises:
        BrokerError: no broker answers, or it refuses a topic.
    """
    missing = [topic for topic in TOPICS if topic not in list_partitions(config)]
    admin = AdminClient({**config, "log_level": 0}, logger=_silent)
    futures = (
        admin.create_topics([NewTopic(topic, partitions, replication) for topic in missing])
        if missing
        else {}
    )
    for topic, future in futures.items():
        try:
            future.result(CONNECT_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerError(f"topic {topic} was not created: {error.args[0].str()}") from None
    return missing


def starting_point(resume: int | None, committed: int, oldest: int) -> tuple[int, int]:
    """Where to read on, and how many messages before it the topic no longer has.

    The recovery store's word (`resume`) counts, else the group's (`committed`, below 0: none), else
    the beginning.
    """
    wanted = resume if resume is not None else committed
    if wanted < 0:
        return OFFSET_BEGINNING, 0
    return max(wanted, oldest), max(0, oldest - wanted)


class _Partition(StatefulSourcePartition[Raw, int]):
    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        index: int,
        resume: int | None,
        stopping: Callable[[], bool],
        on_lag: Callable[[int, int], None],
        batch: int,
    ) -> None:
        self._consumer = Consumer(dict(config), logger=log)
        self._topic, self._index, self._stopping = topic, index, stopping
        self._on_lag, self._batch = on_lag, batch
        self._next = self._start(resume)
        self._awake: datetime | None = None
        self._tell_at = 0.0
        self._consumer.assign([TopicPartition(topic, index, self._next)])
        # The position at the end of the last epochs: only the oldest is surely delivered.
        self._ends: deque[int] = deque(maxlen=3)

    def _start(self, resume: int | None) -> int:
        place = TopicPartition(self._topic, self._index)
        committed = self._consumer.committed([place], timeout=CONNECT_TIMEOUT_S)[0].offset
        oldest, _ = self._consumer.get_watermark_offsets(place, timeout=CONNECT_TIMEOUT_S)
        start, expired = starting_point(resume, committed, oldest)
        if expired:
            log.error(
                "%s/%d: %d messages had expired before they were read; going on at %d",
                self._topic, self._index, expired, start,
            )  # fmt: skip
        return start

    def next_batch(self) -> list[Raw]:
        if self._stopping():
            raise StopIteration
        messages = self._consumer.consume(self._batch, timeout=0)
        self._tell_lag()
        batch = [_raw(message) for message in messages if not _failed(message)]
        if batch:
            self._next = batch[-1].position.offset + 1
        # A full batch has more behind it; else some are left to gather.
        self._awake = None if len(messages) == self._batch else datetime.now(UTC) + PAUSE
        return batch

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        if len(self._ends) == self._ends.maxlen and self._ends[0] >= 0:
            place = TopicPartition(self._topic, self._index, self._ends[0])
            self._consumer.commit(offsets=[place], asynchronous=True)
        self._ends.append(self._next)
        return self._next

    def close(self) -> None:
        self._consumer.close()

    def _tell_lag(self) -> None:
        now = time.monotonic()
        if now < self._tell_at:
            return
        self._tell_at = now + LAG_EVERY_S
        # As the last fetch said: nothing is asked of the broker.
        place = TopicPartition(self._topic, self._index)
        _, end = self._consumer.get_watermark_offsets(place, cached=True)
        if end >= 0 and self._next >= 0:
            self._on_lag(self._index, max(0, end - self._next))


def _failed(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.fatal():
        raise KafkaException(error)
    log.warning("kafka: %s", error.str())
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
    number of a partition and of its messages still to be read. `batch`: messages at once, at most.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        stopping: Callable[[], bool] = lambda: False,
        on_lag: Callable[[int, int], None] = lambda _partition, _messages: None,
        batch: int = BATCH,
    ) -> None:
        self._config = {
            "fetch.wait.max.ms": 10,
            **config,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        self._topic = topic
        self._stopping = stopping
        self._on_lag = on_lag
        self._batch = batch

    def list_parts(self) -> list[str]:
        """The topic's partitions at start; later ones are seen after a restart."""
        return [str(i) for i in range(list_partitions(self._config)[self._topic])]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        """A consumer of one partition."""
        return _Partition(
            self._config,
            self._topic,
            int(for_part),
            resume_state,
            self._stopping,
            self._on_lag,
            self._batch,
        )


class KafkaWriter(Generic[M]):
    """Messages of one type onto a topic; `flush` returns when the brokers have acknowledged all.

    An unreachable broker holds `flush` up (backpressure); a message that it refuses for good
    raises `KafkaException` there, so that the epoch is done again. `waiting` is called again and
    again while the brokers keep it waiting. `patience_s`: seconds after which it is given up, and
    `flush` raises BrokerError; without them never.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        key: Callable[[M], str],
        waiting: Callable[[], None] = lambda: None,
        patience_s: float | None = None,
    ) -> None:
        self._producer = Producer(
            {
                **{name: value for name, value in config.items() if name != "group.id"},
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                # 0: as long as it takes; nothing is dropped for being late.
                "message.timeout.ms": round((patience_s or 0) * 1000),
                "message.max.bytes": 20_000_000,
            },
            logger=log,
        )
        self._topic = topic
        self._key = key
        self._waiting = waiting
        self._refused: KafkaError | None = None

    def write(self, batch: list[M]) -> None:
        """Hand `batch` to the producer; waits while its queue is full."""
        for message in batch:
            key, value = (
                self._key(message).encode("utf-8", "replace"),
                events_encode.encode(message),
            )
            while True:
                try:
                    self._producer.produce(self._topic, value, key, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._waiting()
                    self._producer.poll(0.1)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait for the acknowledgement of everything written."""
        while self._producer.flush(1.0) and self._refused is None:
            log.warning("%s: the broker has not acknowledged yet, waiting", self._topic)
            self._waiting()
        refused, self._refused = self._refused, None
        if refused is None:
            return
        if refused.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 (librdkafka's name)
            raise BrokerError(f"{self._topic}: no Kafka broker took it in time, is it running?")
        raise KafkaException(refused)

    def close(self) -> None:
        """Nothing is open once `flush` has returned."""

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused = error


_silent = logging.getLogger("breakwater.kafka.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
