"""The main job: from a post to a decision, a log row and an alert.

    source -> decode -> enrich -> hash match -> normalize -> rules -> text model -> fusion -> decide
                 |                                                 |               |           |
            dead letters              quick answer <- with images -+-> in a thread +           |
                                                    decisions, reviews, store, surges -> alerts

`build` is pure; the jobs connect it to files or to Kafka, ClickHouse and Redis as the settings say:
`breakwater run`, or `python -m bytewax.run flows.moderation:build_from_env`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream, operator
from bytewax.inputs import Source

from connectors.daemon_executor import DaemonExecutor
from connectors.files import LinesSource
from connectors.kafka import CONTENT_TOPIC, check_topics
from connectors.kafka_source import KafkaSource
from connectors.local_sink import Process, write
from connectors.ruleset_store import RULESET_KINDS
from events.messages import Alert
from events.records import Judgement, Raw
from flows import metrics
from flows.failures import log_failures
from flows.health import Heartbeat, serve_health
from flows.job import (
    Job,
    dataflow_or_exit,
    make_directory,
    process_from_command_line,
    recovers_by_command_line,
    stop_on_signal,
)
from flows.metrics import growing, timed, timed_stage
from flows.rule_log import RuleLog
from flows.settings import BadSettingError, Settings, load_settings
from flows.sinks import (
    Sinks,
    file_sinks,
    kafka_config,
    kafka_sinks,
    open_store,
    redaction,
    result_files,
)
from flows.stages import NamedStage, Stages, live_store, load_stages
from operators.alerts import severity_by
from operators.decode import decode
from operators.drift import drift, drift_samples
from operators.drift_monitor import DriftSettings
from operators.image_backlog import see_images
from operators.item import Item, Stage
from operators.picture_bytes import drop_picture_bytes
from operators.quota import hold_quota
from operators.surge import surge, surge_events
from operators.surge_settings import SurgeSettings
from operators.video import judge_videos
from policy.personal_data import Redact

FILE_EPOCH: Final = timedelta(seconds=10)
"""Nobody waits for a file's last second: the store gets large inserts."""


def build(
    source: Source[Raw],
    sinks: Sinks,
    stages: Stages,
    *,
    redact: Redact | None = None,
    process: Process = Process(),
    ends: bool = True,
    on_wait: Callable[[], None] = lambda: None,
) -> Dataflow:
    """The moderation dataflow of one process of a cluster.

    `redact` takes out of texts what alerts must not show. `ends`: the end of the input is the end
    of the stream (a file), so open alerts are resolved there; otherwise it is a stop, and they go
    on from the recovery store. `on_wait` is called each second while the stream waits for images.
    """
    flow = Dataflow("moderation")
    raw = op.flat_map_batch("count_batch", op.input("read", flow, source), metrics.count_batch)
    decoder = stages.decoder.decoder
    decoding = growing(metrics.UNKNOWN_FIELDS, lambda: decoder.unknown_fields, stages.decoder)
    decoded = decode("decode", raw, timed("decode", decoding))
    judged = judge("judge", decoded.messages, stages, on_wait, ends)
    judgements = judged.judgements

    # The engine runs steps in the order in which they stand here: the answers go out first.
    verdicts = judge_videos("judge_videos", judgements, stages.gravity, finish_at_eof=ends)
    logged = op.merge("merge_verdicts", judgements, verdicts)
    decisions = op.flat_map_batch("decision", logged, lambda js: [j.decision for j in js])
    write("write_decisions", decisions, sinks.decisions, process)
    reviews = op.flat_map_batch("pick_reviews", judgements, stages.review_picker)
    write("write_reviews", reviews, sinks.reviews, process)

    def in_force() -> str:
        return stages.policy().version

    violating = partial(surge_events, redact=redact, policy_version=in_force)
    violations = op.flat_map_batch("count_violations", judgements, violating)
    severity_of = severity_by(stages.policy)
    surges = surge("find_surges", violations, SurgeSettings(), severity_of, finish_at_eof=ends)
    sampling = partial(drift_samples, policy_version=in_force)
    samples = op.flat_map_batch("sample_drift", judgements, sampling)
    op.flat_map_batch("count_odd_events", surges.reports, metrics.count_odd_events)
    drifts = drift("find_drift", samples, DriftSettings(), finish_at_eof=ends)
    alerts = op.merge("merge_alerts", surges.alerts, drifts, judged.alerts)
    alerts = op.flat_map_batch("count_alerts", alerts, metrics.count_alerts)
    write("write_alerts", alerts, sinks.alerts, process)

    shadow = op.merge("merge_shadow", logged, judged.shadow)
    stored = op.flat_map_batch("drop_picture_bytes", shadow, drop_picture_bytes)
    write("count_authors", judgements, lambda: stages.author_counter, process)
    write("write_judgements", stored, sinks.judgements, process)
    letters = op.flat_map_batch("count_letters", decoded.dead_letters, metrics.count_dead_letters)
    write("write_dead_letters", letters, sinks.dead_letters, process)
    return log_failures(flow)


@dataclass(frozen=True)
class JudgeOut:
    """Streams of `judge`."""

    judgements: Stream[Judgement]
    """Live ones: what the outputs act on."""
    alerts: Stream[Alert]
    """Of the guardrails."""
    shadow: Stream[Judgement]
    """Of what is in shadow: to be stored and nothing else."""


@operator
def judge(
    step_id: str,
    up: Stream[Item],
    stages: Stages,
    on_wait: Callable[[], None] = lambda: None,
    ends: bool = False,
) -> JudgeOut:
    """Every stage between decoding and the outputs; `on_wait` and `ends` as in `build`."""
    enricher = stages.enricher
    enriching = growing(metrics.REPEATS, lambda: enricher.repeats, enricher)
    items = op.flat_map_batch("enrich", up, timed_stage("enrich", enriching))
    for name, stage in stages.reading:
        items = op.flat_map_batch(name, items, timed_stage(name, stage))
    beside, see = DaemonExecutor("images"), _in_turn(stages.seeing)
    seen = see_images("see_images", items, see, stages.at_once, beside, on_wait)
    items = seen.items
    for name, stage in stages.concluding:
        items = op.flat_map_batch(name, items, timed_stage(name, stage))
    final = op.flat_map_batch("decide", items, timed("decide", stages.decider))
    shadow = op.flat_map_batch("decide_shadow", items, timed("decide_shadow", stages.shadow))
    judgements = op.merge("both_answers", seen.quick, final)
    held = hold_quota("quota", judgements, stages.block_quota, ends)
    counted = op.flat_map_batch("count", held.judgements, metrics.count_judgements)
    return JudgeOut(counted, held.alerts, shadow)


def _in_turn(stages: Sequence[NamedStage]) -> Stage:
    """The stages as one."""
    clocked = [timed_stage(name, stage) for name, stage in stages]

    def see(items: list[Item]) -> list[Item]:
        for stage in clocked:
            items = stage(items)
        return items

    return see


def file_job(
    source: str,
    settings: Settings,
    progress: Callable[[int], None] = lambda _: None,
    *,
    overwrite: bool = False,
) -> Job:
    """JSON Lines from the file `source` (`-`: standard input) to files in the output directory.

    `progress` is told the bytes read. `overwrite`: the results of an earlier run are replaced.
    SIGTERM and SIGINT end the input while it runs; what was read by then is delivered.

    Raises:
        BadSettingError, PolicyError, StoreError, FeatureStoreDownError: it cannot start.
    """
    if source != "-":
        _check_readable(Path(source))
    # Brokers may be set for another job: of a file no share is held to what is usual on Kafka.
    settings = settings.model_copy(update={"kafka_brokers": ""})
    make_directory(settings.output)
    if not overwrite:
        _check_without_results(settings.output)
    store = open_store(settings)
    store.apply_schema()
    sinks = file_sinks(settings.output, store, settings)
    stop = threading.Event()
    flow = build(
        LinesSource(source, stop.is_set, progress),
        sinks,
        _open_stages(settings, sinks),
        redact=redaction(settings),
    )
    if overwrite:
        # Last: a run that cannot start replaces nothing.
        for path in result_files(settings.output):
            os.truncate(path, 0)
    return Job(flow, store, stop)


def kafka_job(settings: Settings, process: Process = Process(), *, recovers: bool) -> Job:
    """The topics of Breakwater to the topics of Breakwater.

    SIGTERM and SIGINT end the input; what is on its way is delivered before the process exits.
    `recovers`: it will run with a recovery store.

    Raises:
        BadSettingError, and the others of START_ERRORS: it cannot start.
    """
    if not settings.kafka_brokers:
        raise BadSettingError(
            "BREAKWATER_KAFKA_BROKERS is not set: name the brokers, or a file with --input"
        )
    config = kafka_config(settings)
    check_topics(config)
    make_directory(settings.output)
    store = open_store(settings)
    store.check_schema()
    heartbeat = Heartbeat()
    stopping = stop_on_signal(lambda: heartbeat.started)
    if settings.metrics_port is not None:
        serve_health(settings.metrics_host, settings.metrics_port, heartbeat)
    outbox = settings.output / f"outbox-{process.index}.sqlite"

    def may_hold() -> bool:
        return recovers and not stopping()

    sinks = kafka_sinks(outbox, store, settings, heartbeat.wait, may_hold)
    flow = build(
        KafkaSource(
            config,
            CONTENT_TOPIC,
            stopping,
            metrics.observe_lag,
            heartbeat.polled,
            settings.batch,
        ),
        sinks,
        _open_stages(settings, sinks),
        redact=redaction(settings),
        process=process,
        ends=False,
        on_wait=heartbeat.wait,
    )
    return Job(flow, store)


def build_from_env() -> Dataflow:
    """The dataflow on Kafka, ClickHouse and Redis, as the settings in the environment say.

    A bad setting or a part that does not answer ends the process with one line and exit code 2.
    """
    process, recovers = process_from_command_line(), recovers_by_command_line()
    return dataflow_or_exit(lambda: kafka_job(load_settings(), process, recovers=recovers))


def _open_stages(settings: Settings, sinks: Sinks) -> Stages:
    """The stages, which follow what is pushed, and the log of the pushes."""
    stages = load_stages(settings, follow=True)
    if settings.redis_url is not None:
        for kind in RULESET_KINDS:
            RuleLog(live_store(settings, kind), sinks.rule_changes()).start()
    return stages


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise BadSettingError(f"--input: {path} is not a file; `--input -` reads a pipe")
    try:
        path.open("rb").close()
    except OSError as error:
        raise BadSettingError(f"--input: {path} cannot be read: {error.strerror}") from None


def _check_without_results(output: Path) -> None:
    if any(path.exists() and path.stat().st_size for path in result_files(output)):
        raise BadSettingError(
            f"{output} holds the results of an earlier run:"
            " name another --output, or replace them with --overwrite"
        )
