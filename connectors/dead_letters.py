"""Dead letters where they are kept, a topic or a file, and the way back for their messages."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from msgspec.structs import replace

from connectors.kafka import (
    APPEALS_TOPIC,
    CONTENT_TOPIC,
    DEAD_LETTER_TOPIC,
    LABELS_TOPIC,
    MAX_SENT_BYTES,
    USER_REPORTS_TOPIC,
    BrokerError,
    KafkaWriter,
    list_partitions,
    produce,
    producer_config,
)
from events.decode import Decoder
from events.messages import Appeal, Content, DeadLetter, Label, UserReport

SILENCE_S = 10.0
MAX_RAW = 640 * 1024
"""Bytes of a message that its letter on the topic has: in base64 and with its reason it stays below
the megabyte that brokers take (`message.max.bytes`). The store has it whole.
"""
SEND_TIMEOUT_S = 60.0
REPLAYED_FROM = "breakwater-replayed-from"
"""Header of a message that was sent again: the position of its first coming."""

DECODERS: Final[Mapping[str, Callable[[bytes], Content | Label | UserReport | Appeal]]] = {
    CONTENT_TOPIC: Decoder(Content),
    LABELS_TOPIC: Decoder(Label),
    USER_REPORTS_TOPIC: Decoder(UserReport),
    APPEALS_TOPIC: Decoder(Appeal),
}
"""How the messages of each topic are read that dead letters come from."""

_decoder = msgspec.json.Decoder(DeadLetter)


def shortened(letter: DeadLetter) -> DeadLetter:
    """The letter as the topic takes it; `size` tells of a message that is only begun."""
    if len(letter.raw) <= MAX_RAW:
        return letter
    return replace(letter, raw=letter.raw[:MAX_RAW], size=len(letter.raw))


class DeadLetterWriter(KafkaWriter[DeadLetter]):
    """Dead letters onto their topic, `shortened`, those of a partition in its order."""

    def __init__(
        self, config: Mapping[str, Any], waiting: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            config,
            DEAD_LETTER_TOPIC,
            lambda letter: f"{letter.source.topic}/{letter.source.partition}",
            waiting,
        )

    def write(self, batch: list[DeadLetter]) -> None:
        """Hand the letters to the producer; waits while its queue is full."""
        super().write([shortened(letter) for letter in batch])


def read_file(path: Path) -> Iterator[DeadLetter]:
    """The dead letters of a `dead_letters.jsonl`, in its order.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no dead letter; it is named.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{path}: line {number} is no dead letter: {error}") from None


def read_topic(config: Mapping[str, Any]) -> Iterator[DeadLetter]:
    """The dead letters that are on the topic now, by partition; what is no dead letter is left out.

    Nothing is committed: reading changes nothing.

    Raises:
        BrokerError: no broker answers, or the topic is missing.
    """
    partitions = list_partitions(config).get(DEAD_LETTER_TOPIC)
    if partitions is None:
        raise BrokerError(f"topic {DEAD_LETTER_TOPIC} missing: run `breakwater topics create`")
    settings = {**config, "enable.auto.commit": False, "enable.partition.eof": True}
    with contextlib.closing(Consumer(settings)) as consumer:
        consumer.assign([
            TopicPartition(DEAD_LETTER_TOPIC, index, OFFSET_BEGINNING)
            for index in range(partitions)
        ])  # fmt: skip
        yield from _letters(consumer, partitions)


def _letters(consumer: Consumer, partitions: int) -> Iterator[DeadLetter]:
    """What `consumer` gives until each of its `partitions` has come to its end."""
    ended: set[int | None] = set()
    heard_at = time.monotonic()
    while len(ended) < partitions:
        messages = consumer.consume(100, timeout=0.1)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > SILENCE_S:
            raise BrokerError(f"{DEAD_LETTER_TOPIC}: no answer for {SILENCE_S:g} s")
        for message in messages:
            error = message.error()
            if error is None:
                yield from _letter(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
                ended.add(message.partition())


def _letter(value: object) -> Iterator[DeadLetter]:
    if isinstance(value, bytes):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield _decoder.decode(value)


def resend(
    config: Mapping[str, Any],
    messages: Iterable[tuple[str, bytes, str]],
    topic: str = CONTENT_TOPIC,
) -> None:
    """Send `messages` (key, value, the position they are from) to `topic`.

    Raises:
        BrokerError: a message was not acknowledged within a minute, or was refused.
    """
    producer = Producer(
        producer_config(
            config,
            message_timeout_ms=int(SEND_TIMEOUT_S * 1000),
            message_max_bytes=MAX_SENT_BYTES,
        )
    )
    refused: list[str] = []
    for key, value, position in messages:
        try:
            produce(
                producer,
                lambda: None,
                topic=topic,
                value=value,
                key=key.encode("utf-8", "replace"),
                headers={REPLAYED_FROM: position.encode()},
                on_delivery=lambda error, _: refused.append(error.str()) if error else None,
            )
        except KafkaException as error:
            raise BrokerError(f"{topic}: {error.args[0].str()}") from None
    if producer.flush(SEND_TIMEOUT_S) or refused:
        raise BrokerError(f"{topic}: {refused[0] if refused else 'no acknowledgement'}")
