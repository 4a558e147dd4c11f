"""The way back: what people say, into the store and to the models' next training.

    labels  -> decode -> human_labels -> consensus -> true labels
    reports -> decode -> user_reports, surges -> alerts
    appeals -> decode -> appeals
                 |
            dead letters

`build` is pure; `build_from_env` connects it to Kafka and ClickHouse, for
`python -m bytewax.run flows.feedback:build_from_env`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source

from connectors import kafka
from connectors.clickhouse import ClickHouseWriter, connect
from connectors.dead_letters import DeadLetterWriter
from connectors.kafka import KafkaWriter
from connectors.kafka_source import KafkaSource
from connectors.local_sink import Process, Writer, write
from connectors.reported_content import PATIENCE_S, ReportedContents
from connectors.writers import GatheringWriter, TeeWriter
from events.encode import Message
from events.messages import Alert, Appeal, DeadLetter, Label, UserReport
from events.records import Raw
from flows import metrics
from flows.failures import log_failures
from flows.health import Heartbeat, serve_health
from flows.job import Job, dataflow_or_exit, process_from_command_line, stop_on_signal
from flows.live_policy import LivePolicy
from flows.settings import BadSettingError, Settings, load_settings
from flows.sinks import insert_thread, kafka_config, open_outbox, open_store
from flows.stages import live_store
from operators.alerts import SeverityOf, severity_by
from operators.consensus import consensus
from operators.decode import MessageDecoder, decode
from operators.surge import Lookup, nothing_known, report_events, surge
from operators.surge_settings import SurgeSettings

X = TypeVar("X", bound=Message)


@dataclass(frozen=True)
class FeedbackSinks:
    """What builds the writer of each output, called in the worker that writes."""

    labels: Callable[[], Writer[Label]]
    """Every label as it was given."""
    user_reports: Callable[[], Writer[UserReport]]
    appeals: Callable[[], Writer[Appeal]]
    true_labels: Callable[[], Writer[Label]]
    """The settled answer on each content; a later one replaces an earlier one of its label_id."""
    dead_letters: Callable[[], Writer[DeadLetter]]
    alerts: Callable[[], Writer[Alert]]


@dataclass(frozen=True)
class FeedbackSources:
    """Where messages of each kind are read."""

    labels: Source[Raw]
    user_reports: Source[Raw]
    appeals: Source[Raw]


def build(
    sources: FeedbackSources,
    sinks: FeedbackSinks,
    *,
    process: Process = Process(),
    confidence: float = 0.9,
    severity_of: SeverityOf = lambda _: "error",
    lookup: Lookup = nothing_known,
) -> Dataflow:
    """The feedback dataflow of one process.

    `confidence` settles a true label, see `consensus`; `severity_of` rates surges of reports, which
    are counted by what `lookup` knows of the contents, too.
    """
    flow = Dataflow("feedback")
    labels = decode(
        "decode",
        op.input("read", flow, sources.labels),
        MessageDecoder(Label, "decode_label"),
    )
    reports = decode(
        "decode_reports",
        op.input("read_reports", flow, sources.user_reports),
        MessageDecoder(UserReport, "decode_user_report"),
    )
    appeals = decode(
        "decode_appeals",
        op.input("read_appeals", flow, sources.appeals),
        MessageDecoder(Appeal, "decode_appeal"),
    )
    true_labels = consensus("consensus", labels.messages, confidence)
    letters = op.merge(
        "dead_letters", labels.dead_letters, reports.dead_letters, appeals.dead_letters
    )
    letters = op.flat_map_batch("count_letters", letters, metrics.count_dead_letters)
    write("write_labels", labels.messages, sinks.labels, process)
    write("write_user_reports", reports.messages, sinks.user_reports, process)
    count = partial(report_events, lookup=lookup)
    counted = op.flat_map_batch("count_reports", reports.messages, count)
    surges = surge("find_surges", counted, SurgeSettings(), severity_of, finish_at_eof=False)
    op.flat_map_batch("count_odd_events", surges.reports, metrics.count_odd_events)
    alerts = op.flat_map_batch("count_alerts", surges.alerts, metrics.count_alerts)
    write("write_alerts", alerts, sinks.alerts, process)
    write("write_appeals", appeals.messages, sinks.appeals, process)
    write("write_dead_letters", letters, sinks.dead_letters, process)
    write("write_true_labels", true_labels, sinks.true_labels, process)
    return log_failures(flow)


def feedback_sinks(
    settings: Settings,
    store: ClickHouseWriter,
    process: Process = Process(),
    waiting: Callable[[], None] = lambda: None,
) -> FeedbackSinks:
    """What people say into the store, true labels onto their topic, dead letters to both.

    Alerts go where the main job's go, through an outbox of their own. `waiting` is called while
    Kafka or the store is awaited.
    """
    executor = insert_thread(store)
    config = kafka_config(settings)
    outbox = open_outbox(settings.output / f"outbox-feedback-{process.index}.sqlite", settings)

    def topic(name: str, key: Callable[[X], str]) -> KafkaWriter[X]:
        return KafkaWriter(config, name, key, waiting)

    def table(insert: Callable[[Sequence[X]], None]) -> GatheringWriter[X]:
        return GatheringWriter(insert, executor, waiting=waiting)

    return FeedbackSinks(
        labels=lambda: table(store.insert_labels),
        user_reports=lambda: table(store.insert_user_reports),
        appeals=lambda: table(store.insert_appeals),
        true_labels=lambda: topic(kafka.TRUE_LABELS_TOPIC, lambda label: label.content_id),
        dead_letters=lambda: TeeWriter(
            DeadLetterWriter(config, waiting), table(store.insert_dead_letters)
        ),
        alerts=lambda: TeeWriter(
            topic(kafka.ALERTS_TOPIC, lambda alert: alert.alert_id),
            *outbox,
            table(store.insert_alerts),
        ),
    )


def feedback_job(settings: Settings, process: Process = Process()) -> Job:
    """The feedback dataflow on Kafka and a ClickHouse server, under a consumer group of its own.

    Raises:
        BadSettingError, BrokerError, PolicyError, RulesetStoreDownError, StoreError: it cannot
            start.
    """
    if not settings.kafka_brokers:
        raise BadSettingError("BREAKWATER_KAFKA_BROKERS is not set: feedback comes from Kafka")
    if settings.clickhouse_dsn is None:
        raise BadSettingError(
            "BREAKWATER_CLICKHOUSE_DSN is not set: the embedded engine belongs to the job alone,"
            " feedback needs a ClickHouse server"
        )
    config = kafka_config(settings)
    kafka.check_topics(config)
    store = open_store(settings)
    store.check_schema()
    heartbeat = Heartbeat()
    stopping = stop_on_signal(lambda: heartbeat.started)
    if settings.metrics_port is not None:
        serve_health(settings.metrics_host, settings.metrics_port, heartbeat)
    config |= {"group.id": f"{settings.kafka_group}-feedback"}
    source = partial(KafkaSource, config, stopping=stopping, on_poll=heartbeat.polled)
    sources = FeedbackSources(
        labels=source(topic=kafka.LABELS_TOPIC),
        user_reports=source(topic=kafka.USER_REPORTS_TOPIC),
        appeals=source(topic=kafka.APPEALS_TOPIC),
    )
    sinks = feedback_sinks(settings, store, process, heartbeat.wait)
    policy = LivePolicy(settings.policy, live_store(settings, "policy"))
    if settings.redis_url is not None:
        policy.follow()
    severity_of = severity_by(lambda: policy.current.live)
    lookup = ReportedContents(connect(settings.store_dsn, answer_timeout_s=PATIENCE_S))
    flow = build(sources, sinks, process=process, severity_of=severity_of, lookup=lookup)
    return Job(flow, store)


def build_from_env() -> Dataflow:
    """The dataflow on Kafka and ClickHouse, as the settings in the environment say.

    A bad setting or a part that does not answer ends the process with one line and exit code 2.
    """
    return dataflow_or_exit(lambda: feedback_job(load_settings(), process_from_command_line()))
