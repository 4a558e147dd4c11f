"""Where the outputs of the moderation flow go: files or Kafka, and the store in both cases."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors import kafka
from connectors.clickhouse import ClickHouseWriter
from connectors.files import LinesWriter
from connectors.kafka import KafkaWriter
from connectors.local_sink import Writer
from connectors.outbox import Outbox, Sender
from connectors.pagerduty import PagerDutySender
from connectors.slack import SlackSender
from connectors.writers import GatheringWriter, TeeWriter
from events.messages import Alert, DeadLetter, Decision, Judgement, ReviewItem
from flows.settings import BadSettingError, Settings


@dataclass(frozen=True)
class Sinks:
    """What builds the writer of each output, called in the worker that writes."""

    decisions: Callable[[], Writer[Decision]]
    reviews: Callable[[], Writer[ReviewItem]]
    alerts: Callable[[], Writer[Alert]]
    dead_letters: Callable[[], Writer[DeadLetter]]
    judgements: Callable[[], Writer[Judgement]]


def kafka_config(settings: Settings) -> dict[str, Any]:
    """librdkafka's settings: brokers, group, and what `BREAKWATER_KAFKA_CONFIG` adds.

    Raises:
        BadSettingError: the file cannot be read.
    """
    config: dict[str, Any] = {}
    if settings.kafka_config is not None:
        try:
            config = tomllib.loads(settings.kafka_config.read_text())
        except (OSError, ValueError) as error:
            raise BadSettingError(f"BREAKWATER_KAFKA_CONFIG: {error}") from None
    return config | {
        "bootstrap.servers": settings.kafka_brokers,
        "group.id": settings.kafka_group,
        "client.id": "breakwater",
    }


class OutboxWriter:
    """Alerts into the outbox, which is durable when `put` returns; close waits for the senders."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def write(self, batch: list[Alert]) -> None:
        """Store the alerts for sending."""
        self._outbox.put(batch)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Give the senders ten seconds; what is left is sent by the next run."""
        self._outbox.close(timeout=10.0)


def senders(settings: Settings) -> list[Sender]:
    """Slack and PagerDuty where they are set."""
    result: list[Sender] = []
    if settings.slack_webhook_url is not None:
        result.append(SlackSender(settings.slack_webhook_url.get_secret_value()))
    if settings.pagerduty_routing_key is not None:
        key = settings.pagerduty_routing_key.get_secret_value()
        result.append(PagerDutySender(key, settings.pagerduty_url))
    return result


def file_sinks(output: Path, store: ClickHouseWriter, settings: Settings) -> Sinks:
    """JSON Lines files in `output`, and the store."""
    executor = ThreadPoolExecutor(1, "store")

    def alerts() -> Writer[Alert]:
        lines: Writer[Alert] = LinesWriter(output / "alerts.jsonl")
        return _alert_writer(lines, store, executor, output / "outbox.sqlite", settings)

    def dead_letters() -> Writer[DeadLetter]:
        lines: Writer[DeadLetter] = LinesWriter(output / "dead_letters.jsonl")
        return TeeWriter(lines, GatheringWriter(store.insert_dead_letters, executor))

    return Sinks(
        decisions=lambda: LinesWriter[Decision](output / "decisions.jsonl"),
        reviews=lambda: LinesWriter[ReviewItem](output / "review.jsonl"),
        alerts=alerts,
        dead_letters=dead_letters,
        judgements=lambda: GatheringWriter[Judgement](store.insert_judgements, executor),
    )


def kafka_sinks(outbox: Path, store: ClickHouseWriter, settings: Settings) -> Sinks:
    """The topics of Breakwater, and the store."""
    config = kafka_config(settings)
    executor = ThreadPoolExecutor(1, "store")

    def alerts() -> Writer[Alert]:
        topic: Writer[Alert] = KafkaWriter(config, kafka.ALERTS_TOPIC, lambda a: a.alert_id)
        return _alert_writer(topic, store, executor, outbox, settings)

    def dead_letters() -> Writer[DeadLetter]:
        topic: Writer[DeadLetter] = KafkaWriter(
            config, kafka.DEAD_LETTER_TOPIC, lambda d: f"{d.source.topic}/{d.source.partition}"
        )
        return TeeWriter(topic, GatheringWriter(store.insert_dead_letters, executor))

    return Sinks(
        decisions=lambda: KafkaWriter[Decision](
            config, kafka.DECISIONS_TOPIC, lambda d: d.content_id
        ),
        reviews=lambda: KafkaWriter[ReviewItem](
            config, kafka.REVIEW_TOPIC, lambda r: r.decision.content_id
        ),
        alerts=alerts,
        dead_letters=dead_letters,
        judgements=lambda: GatheringWriter[Judgement](store.insert_judgements, executor),
    )


def _alert_writer(
    stream: Writer[Alert],
    store: ClickHouseWriter,
    executor: ThreadPoolExecutor,
    outbox: Path,
    settings: Settings,
) -> Writer[Alert]:
    writers: list[Writer[Alert]] = [stream, GatheringWriter(store.insert_alerts, executor)]
    notify: Sequence[Sender] = senders(settings)
    if notify:
        writers.append(OutboxWriter(Outbox(outbox, notify)))
    return TeeWriter(*writers)
