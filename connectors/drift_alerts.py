"""Drift alerts off their topic: each is read once it is dealt with, over restarts too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, TopicPartition
from msgspec import DecodeError
from msgspec.json import decode

from connectors.kafka import ALERTS_TOPIC, CONNECT_TIMEOUT_S, list_partitions
from events.messages import Alert

_log = structlog.get_logger(__name__)


class DriftAlerts:
    """Drifts as they open, that are no viral attack.

    A group that reads for the first time begins with what comes from now on. `config` is
    librdkafka's; `bootstrap.servers` and `group.id` are needed.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Raises BrokerError when no broker answers."""
        count = list_partitions(config)[ALERTS_TOPIC]
        self._consumer = Consumer({**config, "enable.auto.commit": False})
        partitions = [TopicPartition(ALERTS_TOPIC, number) for number in range(count)]
        partitions = self._consumer.committed(partitions, timeout=CONNECT_TIMEOUT_S)
        for partition in partitions:
            if partition.offset < 0:
                _, partition.offset = self._consumer.get_watermark_offsets(
                    partition, timeout=CONNECT_TIMEOUT_S
                )
        self._consumer.assign(partitions)
        self._consumer.commit(offsets=partitions, asynchronous=False)

    def wait(self, stopping: Callable[[], bool]) -> Iterator[tuple[Alert, float]]:
        """Each alert and when it was said (Unix seconds), until `stopping` says so.

        One that was dealt with, so that the next is asked for, is not read again.
        """
        while not stopping():
            message = self._consumer.poll(0.5)
            if message is None or message.error() is not None:
                continue
            try:
                alert = decode(message.value() or b"", type=Alert)
            except DecodeError as error:
                _log.warning("no alert", topic=ALERTS_TOPIC, error=str(error))
            else:
                if _asks_for_training(alert):
                    yield alert, message.timestamp()[1] / 1_000
            self._consumer.commit(message=message, asynchronous=False)

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()


def _asks_for_training(alert: Alert) -> bool:
    return alert.kind == "drift" and alert.state == "open" and alert.severity == "warning"
