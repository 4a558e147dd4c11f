"""The way back: what people say, into the store and to the models' next training.

    labels -> decode -> human_labels
                 |          |
            dead letters    consensus -> true labels

`build` is pure; `build_from_env` connects it to Kafka and ClickHouse, for
`python -m bytewax.run flows.feedback:build_from_env`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source

from connectors import kafka
from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import KafkaSource, KafkaWriter
from connectors.local_sink import Place, Writer, write
from connectors.writers import GatheringWriter, TeeWriter
from events.decode import DecodeError, Decoder
from events.messages import DeadLetter, Label, Raw
from flows.health import Heartbeat, serve_health
from flows.job import START_ERRORS, Job, place_from_command_line, stop_on_signal
from flows.settings import BadSettingError, Settings, load_settings
from flows.sinks import kafka_config
from operators.consensus import consensus


@dataclass(frozen=True)
class FeedbackSinks:
    """What builds the writer of each output, called in the worker that writes."""

    labels: Callable[[], Writer[Label]]
    """Every label as it was given."""
    true_labels: Callable[[], Writer[Label]]
    """The settled answer on each content; a later one replaces an earlier one of its label_id."""
    dead_letters: Callable[[], Writer[DeadLetter]]


class LabelDecoder:
    """Raw messages to labels; what does not decode becomes a dead letter."""

    def __init__(self) -> None:
        self._decode = Decoder(Label)

    def __call__(self, batch: list[Raw]) -> list[Label | DeadLetter]:
        """A label or a dead letter for each message, in order."""
        return [self._one(raw) for raw in batch]

    def _one(self, raw: Raw) -> Label | DeadLetter:
        try:
            return self._decode(raw.value)
        except DecodeError as error:
            return DeadLetter(
                raw=raw.value,
                error=str(error),
                stage="decode_label",
                source=raw.position,
                failed_at=datetime.now(UTC),
            )


def build(
    source: Source[Raw],
    sinks: FeedbackSinks,
    *,
    place: Place = Place(),
    confidence: float = 0.9,
) -> Dataflow:
    """The feedback dataflow of one process; `confidence` settles a true label, see `consensus`."""
    flow = Dataflow("feedback")
    decoded = op.flat_map_batch("decode", op.input("read", flow, source), LabelDecoder())
    labels = op.flat_map_batch(
        "labels", decoded, lambda batch: [x for x in batch if isinstance(x, Label)]
    )
    letters = op.flat_map_batch(
        "dead_letters", decoded, lambda batch: [x for x in batch if isinstance(x, DeadLetter)]
    )
    write("write_labels", labels, sinks.labels, place)
    write("write_dead_letters", letters, sinks.dead_letters, place)
    write("write_true_labels", consensus("consensus", labels, confidence), sinks.true_labels, place)
    return flow


def feedback_sinks(settings: Settings, store: ClickHouseWriter) -> FeedbackSinks:
    """Labels into the store, true labels onto their topic, dead letters to both."""
    executor = ThreadPoolExecutor(1, "labels")
    config = kafka_config(settings)

    def dead_letters() -> Writer[DeadLetter]:
        topic: Writer[DeadLetter] = KafkaWriter(
            config, kafka.DEAD_LETTER_TOPIC, lambda d: f"{d.source.topic}/{d.source.partition}"
        )
        return TeeWriter(topic, GatheringWriter(store.insert_dead_letters, executor))

    return FeedbackSinks(
        labels=lambda: GatheringWriter[Label](store.insert_labels, executor),
        true_labels=lambda: KafkaWriter[Label](
            config, kafka.TRUE_LABELS_TOPIC, lambda label: label.content_id
        ),
        dead_letters=dead_letters,
    )


def feedback_job(settings: Settings, place: Place = Place()) -> Job:
    """The feedback dataflow on Kafka and a ClickHouse server, under a consumer group of its own.

    Raises:
        BadSettingError, BrokerError, StoreError: it cannot start.
    """
    if not settings.kafka_brokers:
        raise BadSettingError("BREAKWATER_KAFKA_BROKERS is not set: labels come from Kafka")
    if settings.clickhouse_dsn is None:
        raise BadSettingError(
            "BREAKWATER_CLICKHOUSE_DSN is not set: the embedded engine belongs to the job alone,"
            " labels need a ClickHouse server"
        )
    config = kafka_config(settings)
    kafka.check_topics(config)
    store = ClickHouseWriter(settings.clickhouse_dsn.get_secret_value())
    store.check_schema()
    heartbeat = Heartbeat()
    if settings.metrics_port is not None:
        serve_health(settings.metrics_host, settings.metrics_port, heartbeat)
    source = KafkaSource(
        config | {"group.id": f"{settings.kafka_group}-feedback"},
        kafka.LABELS_TOPIC,
        stop_on_signal(heartbeat),
    )
    return Job(build(source, feedback_sinks(settings, store), place=place), store)


def build_from_env() -> Dataflow:
    """The dataflow on Kafka and ClickHouse, as the settings in the environment say.

    A bad setting or a part that does not answer ends the process with one line and exit code 2.
    """
    try:
        return feedback_job(load_settings(), place_from_command_line()).flow
    except START_ERRORS as error:
        sys.stderr.write(f"breakwater: {error}\n")
        raise SystemExit(2) from None
