"""Kafka: its topics, and a writer that knows what was delivered; the source: `kafka_source`.

Bytewax's own sink has no delivery callback and loses data silently.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.local_sink import Writer
from events import encode as events_encode
from events.messages import MAX_MESSAGE_BYTES

_log = structlog.get_logger(__name__)
library_log = logging.getLogger(f"{__name__}.librdkafka")
"""Of what the library says by itself: it takes no other kind of logger."""
M = TypeVar("M", bound=events_encode.Message)

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


RELIABLE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "enable.idempotence": True,
        "acks": "all",
        # With more, librdkafka (2.6 to 2.16) spins while a broker is slow to answer, a core of it.
        "max.in.flight": 1,
    }
)
"""What every producer is told, so that nothing is lost, doubled or out of order.

See docs/decisions/one-request-under-way.md.
"""
MIN_REPLICAS: Final = 2
"""Copies that must have a message before it counts as sent, where there are three."""
MAX_SENT_BYTES: Final = 20_000_000
"""Of a message, for our producers; brokers take less unless they are told otherwise."""


class BrokerError(RuntimeError):
    """The brokers do not answer or lack a topic; the text says what to do."""


def producer_config(config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The settings of a producer: `config`, which consumers share, made reliable, and `more`.

    The keys of `more` are librdkafka's own, with `_` for the dot.
    """
    return {
        **{name: value for name, value in config.items() if name != "group.id"},
        **RELIABLE,
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def produce(producer: Producer, waiting: Callable[[], None], **message: Any) -> None:
    """Hand `message`, as `Producer.produce` takes it, to `producer`; waits while its queue is full.

    `waiting` is called again and again meanwhile. A message that the brokers do not take in time
    makes room as well.

    Raises:
        KafkaException: the message is refused.
    """
    while True:
        try:
            producer.produce(**message)
            break
        except BufferError:
            waiting()
            producer.poll(0.1)


def check_config(config: Mapping[str, Any]) -> None:
    """Return when librdkafka takes these settings of its own, beside ours.

    Raises:
        ValueError: it does not; the text says which it refuses.
    """
    ours = {"group.id": "breakwater", "log_level": 0}
    try:
        # Each client refuses settings that the other does not know of. Neither has a broker to ask.
        Producer({**config, **ours, **RELIABLE}, logger=_silent)
        Consumer({**config, **ours}, logger=_silent).close()
    except KafkaException as error:
        raise ValueError(" ".join(error.args[0].str().split())) from None
    except TypeError as error:
        raise ValueError(str(error)) from None


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
    missing = _missing_topics(config)
    if missing:
        raise BrokerError(f"topic {', '.join(missing)} missing: run `breakwater topics create`")


def _missing_topics(config: Mapping[str, Any]) -> list[str]:
    known = list_partitions(config)
    return [topic for topic in TOPICS if topic not in known]


def topic_config(
    topic: str, *, replication: int, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> dict[str, str]:
    """What a topic is created with beyond the brokers' own settings."""
    config: dict[str, str] = {}
    if replication >= MIN_REPLICAS + 1:
        # With acks=all: what was acknowledged outlives a broker, and one may be away.
        config["min.insync.replicas"] = str(MIN_REPLICAS)
    if topic == CONTENT_TOPIC:
        config["max.message.bytes"] = str(max_message_bytes)
        # Latency counts from here, and the clocks of producers go as they like.
        config["message.timestamp.type"] = "LogAppendTime"
    return config


def create_topics(
    config: Mapping[str, Any],
    *,
    partitions: int,
    replication: int,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> list[str]:
    """Create what is missing of `TOPICS`; the names of the topics that were created.

    `max_message_bytes`: of a content, at most.

    Raises:
        BrokerError: no broker answers, or it refuses a topic.
    """
    missing = _missing_topics(config)
    admin = AdminClient({**config, "log_level": 0}, logger=_silent)
    wanted = []
    for topic in missing:
        own = topic_config(topic, replication=replication, max_message_bytes=max_message_bytes)
        wanted.append(NewTopic(topic, partitions, replication, config=own))
    futures = admin.create_topics(wanted) if wanted else {}
    for topic, future in futures.items():
        try:
            future.result(CONNECT_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerError(f"topic {topic} was not created: {error.args[0].str()}") from None
    return missing


class KafkaWriter(Writer[M]):
    """Messages of one type onto a topic; `flush` returns when the brokers have acknowledged all.

    An unreachable broker holds `flush` up (backpressure); a message that it refuses for good
    raises `KafkaException` there, so that the epoch is done again. `waiting` is called again and
    again while the brokers keep it waiting. `patience_s`: seconds after which it is given up, and
    `flush` raises BrokerError; without them never. `linger_ms`: for how long a message waits for
    others that go in the same request.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        key: Callable[[M], str],
        waiting: Callable[[], None] = lambda: None,
        patience_s: float | None = None,
        linger_ms: int = 5,
    ) -> None:
        self._producer = Producer(
            producer_config(
                config,
                linger_ms=linger_ms,
                compression_type="lz4",
                # 0: as long as it takes; nothing is dropped for being late.
                message_timeout_ms=round((patience_s or 0) * 1000),
                message_max_bytes=MAX_SENT_BYTES,
                # A call for each message that arrived would take longer than sending it.
                delivery_report_only_error=True,
            ),
            logger=library_log,
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
            produce(
                self._producer,
                self._waiting,
                topic=self._topic,
                value=value,
                key=key,
                on_delivery=self._delivered,
            )
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait for the acknowledgement of everything written."""
        while self._producer.flush(1.0) and self._refused is None:
            _log.warning("the broker has not acknowledged yet", topic=self._topic)
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


class RepeatFilter(logging.Filter):
    """Lets a message that differs in numbers alone through once in `seconds`.

    A client whose brokers are away says so twenty times a second.
    """

    def __init__(self, seconds: float = 10.0, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._now = now
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log `record`."""
        kind, now = _DIGITS.sub("", record.getMessage()), self._now()
        # Kinds are few: topics and brokers are, and partitions differ in numbers.
        if now - self._last.get(kind, -self._seconds) < self._seconds:
            return False
        self._last[kind] = now
        return True


_DIGITS = re.compile(r"\d+")
library_log.addFilter(RepeatFilter())
_silent = logging.getLogger("breakwater.kafka.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
