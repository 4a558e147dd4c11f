"""Where the outputs of the moderation flow go: files or Kafka, and the store in both cases."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from connectors import kafka
from connectors.clickhouse import ClickHouseWriter
from connectors.daemon_executor import DaemonExecutor
from connectors.dead_letters import DeadLetterWriter
from connectors.files import LinesWriter
from connectors.kafka import KafkaWriter
from connectors.local_sink import Writer
from connectors.outbox import Outbox, Sender
from connectors.pagerduty import PagerDutySender
from connectors.slack import SlackSender
from connectors.writers import FEW_IN_FLIGHT, GatheringWriter, HoldingWriter, TeeWriter
from events.encode import Message
from events.messages import Alert, DeadLetter, Decision, ReviewItem
from events.records import Judgement, RuleChange
from flows import metrics
from flows.settings import BadSettingError, Settings
from policy.personal_data import Redact, redactor
from policy.policy import load_policy

M = TypeVar("M", bound=Message)
X = TypeVar("X")


@dataclass(frozen=True)
class Sinks:
    """What builds the writer of each output, called in the worker that writes."""

    decisions: Callable[[], Writer[Decision]]
    reviews: Callable[[], Writer[ReviewItem]]
    alerts: Callable[[], Writer[Alert]]
    dead_letters: Callable[[], Writer[DeadLetter]]
    judgements: Callable[[], Writer[Judgement]]
    rule_changes: Callable[[], Writer[RuleChange]]


def kafka_config(settings: Settings) -> dict[str, Any]:
    """Settings of librdkafka: brokers, group, and what `BREAKWATER_KAFKA_CONFIG` adds.

    Raises:
        BadSettingError: the file cannot be read, or librdkafka refuses what is in it.
    """
    config: dict[str, Any] = {}
    if settings.kafka_config is not None:
        try:
            config = tomllib.loads(settings.kafka_config.read_text())
            kafka.check_config(config)
        except (OSError, ValueError) as error:
            raise BadSettingError(f"BREAKWATER_KAFKA_CONFIG: {error}") from None
    return config | {
        "bootstrap.servers": settings.kafka_brokers,
        "group.id": settings.kafka_group,
        "client.id": "breakwater",
    }


class OutboxWriter(Writer[Alert]):
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
        result.append(PagerDutySender(key, settings.pagerduty_url.get_secret_value()))
    return result


def redaction(settings: Settings) -> Redact | None:
    """What goes over texts before they are stored or shown, as the policy says.

    Raises:
        BadSettingError, PolicyError: it cannot be made.
    """
    key = settings.token_key.get_secret_value().encode() if settings.token_key else b""
    treatments = load_policy(settings.policy).file.personal_data
    try:
        return redactor(treatments, key)
    except ValueError as error:
        raise BadSettingError(f"BREAKWATER_TOKEN_KEY: {error}") from None


def open_store(settings: Settings) -> ClickHouseWriter:
    """The store; texts lose their personal data on the way into it as the policy says.

    Raises:
        BadSettingError, PolicyError, StoreError: it cannot be opened.
    """
    return ClickHouseWriter(
        settings.store_dsn, redact=redaction(settings), watch=metrics.watch_insert
    )


def insert_thread(store: ClickHouseWriter) -> Executor:
    """A thread in which rows are inserted.

    A job that has failed does not wait for a server, which may be away. The embedded engine never
    is, and crashes when the process ends in the middle of an insert.
    """
    return ThreadPoolExecutor(1, "store") if store.embedded else DaemonExecutor("store")


def result_files(output: Path) -> list[Path]:
    """Where a run on files writes decisions, reviews, alerts and dead letters."""
    return [output / f"{name}.jsonl" for name in ("decisions", "review", "alerts", "dead_letters")]


def file_sinks(output: Path, store: ClickHouseWriter, settings: Settings) -> Sinks:
    """JSON Lines files in `output`, appended to, and the store."""
    executor = insert_thread(store)
    # Opened here and not in the worker, which builds a writer when the first item comes: a run
    # without alerts leaves an empty file.
    files = result_files(output)
    decisions, reviews = LinesWriter[Decision](files[0]), LinesWriter[ReviewItem](files[1])
    alerts, letters = LinesWriter[Alert](files[2]), LinesWriter[DeadLetter](files[3])
    outbox = open_outbox(output / "outbox.sqlite", settings)
    return Sinks(
        decisions=lambda: decisions,
        reviews=lambda: reviews,
        alerts=lambda: TeeWriter(alerts, GatheringWriter(store.insert_alerts, executor), *outbox),
        dead_letters=lambda: TeeWriter(
            letters, GatheringWriter(store.insert_dead_letters, executor)
        ),
        judgements=lambda: GatheringWriter(store.insert_judgements, executor),
        rule_changes=lambda: GatheringWriter(store.insert_rule_changes, executor),
    )


def kafka_sinks(
    outbox_path: Path,
    store: ClickHouseWriter,
    settings: Settings,
    waiting: Callable[[], None] = lambda: None,
    may_hold: Callable[[], bool] = lambda: False,
) -> Sinks:
    """The topics of Breakwater, and the store; `waiting` is called while one of them is awaited.

    `may_hold`: whether rows on their way to the store may be held over the end of an epoch.
    """
    config = kafka_config(settings)
    executor = insert_thread(store)
    # Behind the rows of judgements, which take seconds on a busy server, an alert at the end of an
    # epoch would hold up the stream. The embedded engine has one thread.
    few = executor if store.embedded else insert_thread(store)
    # Opened here: what an earlier run could not send goes out before the first alert comes.
    outbox = open_outbox(outbox_path, settings)

    def topic(name: str, key: Callable[[M], str]) -> KafkaWriter[M]:
        return KafkaWriter(config, name, key, waiting)

    def table(
        insert: Callable[[Sequence[X]], None], rows: int = settings.store_rows
    ) -> GatheringWriter[X]:
        return GatheringWriter(insert, few, rows, waiting, in_flight=FEW_IN_FLIGHT)

    return Sinks(
        decisions=lambda: topic(kafka.DECISIONS_TOPIC, lambda d: d.content_id),
        # A few of each batch, for people: at once they would take as many requests as decisions do.
        reviews=lambda: KafkaWriter(
            config, kafka.REVIEW_TOPIC, lambda r: r.decision.content_id, waiting, linger_ms=200
        ),
        alerts=lambda: TeeWriter(
            topic(kafka.ALERTS_TOPIC, lambda a: a.alert_id),
            # Before the table: who is on call must not wait for the store.
            *outbox,
            # Few, and the console shows them: they do not wait for the end of an epoch.
            table(store.insert_alerts, rows=1),
        ),
        dead_letters=lambda: TeeWriter(
            DeadLetterWriter(config, waiting), table(store.insert_dead_letters)
        ),
        judgements=lambda: HoldingWriter(
            store.insert_judgements,
            executor,
            Judgement,
            may_hold,
            settings.store_rows,
            waiting,
        ),
        # Written by a thread of its own, which must not speak for the stream (`waiting`).
        rule_changes=lambda: GatheringWriter(store.insert_rule_changes, few),
    )


def open_outbox(path: Path, settings: Settings) -> list[Writer[Alert]]:
    """The outbox at `path`, when Slack or PagerDuty is set; it sends what was left there.

    Raises:
        BadSettingError: the file is no outbox.
    """
    notify = senders(settings)
    for sender in notify:
        metrics.expect_deliveries(sender.name)
    if not notify:
        return []
    try:
        return [OutboxWriter(Outbox(path, notify, on_attempt=metrics.count_delivery))]
    except sqlite3.Error as error:
        raise BadSettingError(
            f"{path} cannot be used as an outbox: {error}; move it away, and its alerts with it"
        ) from None
