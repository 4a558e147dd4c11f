"""A dataflow with its connections: checked before it starts, ended by SIGTERM, closed after."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.files import LinesSource, end_standard_input
from connectors.kafka import CONTENT_TOPIC, BrokerError, check_topics
from connectors.kafka_source import KafkaSource
from connectors.local_sink import Place
from connectors.redis_features import FeatureStoreDownError
from connectors.ruleset_store import RulesetStoreDownError
from flows import metrics
from flows.health import Heartbeat, serve_health
from flows.moderation import build
from flows.settings import BadSettingError, Settings
from flows.sinks import file_sinks, kafka_config, kafka_sinks, open_store, result_files
from flows.stages import StageError
from models.registry import RegistryError
from policy.errors import PolicyError

log = logging.getLogger(__name__)

START_ERRORS = (
    RulesetStoreDownError,
    BadSettingError,
    BrokerError,
    FeatureStoreDownError,
    PolicyError,
    RegistryError,
    StageError,
    StoreError,
)
"""What keeps a job from starting; each says in one line what to do."""


class JobFailedError(RuntimeError):
    """The job had to stop; what was not delivered is read again by the next run."""


FILE_EPOCH = timedelta(seconds=10)
"""Nobody waits for a file's last second: the store gets large inserts."""
RECOVERY_PARTITIONS = 8
_STOP_SIGNALS = signal.SIGTERM, signal.SIGINT


@dataclass(frozen=True)
class Job:
    """A dataflow that is ready to run, and its store."""

    flow: Dataflow
    store: ClickHouseWriter
    stop: threading.Event | None = None
    """Set by SIGTERM or SIGINT while it runs, and the input ends there; None: it sees to itself."""

    @property
    def interrupted(self) -> bool:
        """Whether a signal has ended the input."""
        return self.stop is not None and self.stop.is_set()


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
    _make_directory(settings.output)
    if not overwrite:
        _check_without_results(settings.output)
    store = open_store(settings)
    store.apply_schema()
    sinks = file_sinks(settings.output, store, settings)
    stop = threading.Event()
    flow = build(LinesSource(source, stop.is_set, progress), sinks, settings)
    if overwrite:
        # Last: a run that cannot start replaces nothing.
        for path in result_files(settings.output):
            os.truncate(path, 0)
    return Job(flow, store, stop)


def kafka_job(settings: Settings, place: Place = Place(), *, recovers: bool) -> Job:
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
    _make_directory(settings.output)
    store = open_store(settings)
    store.check_schema()
    heartbeat = Heartbeat()
    if settings.metrics_port is not None:
        serve_health(settings.metrics_host, settings.metrics_port, heartbeat)
    outbox = settings.output / f"outbox-{place.index}.sqlite"
    stopping = stop_on_signal()

    def may_hold() -> bool:
        return recovers and not stopping()

    flow = build(
        KafkaSource(
            config,
            CONTENT_TOPIC,
            stopping,
            metrics.observe_lag,
            heartbeat.polled,
            settings.batch,
        ),
        kafka_sinks(outbox, store, settings, heartbeat.wait, may_hold),
        settings,
        place=place,
        ends=False,
        on_wait=heartbeat.wait,
    )
    return Job(flow, store)


def run(
    job: Job,
    *,
    epoch: timedelta,
    recovery_dir: Path | None = None,
    process_id: int | None = None,
    addresses: list[str] | None = None,
) -> None:
    """Run the dataflow to its end in this thread.

    Raises:
        JobFailedError: a part failed for good.
    """
    recovery = None
    if recovery_dir is not None:
        recovery = RecoveryConfig(recovery_store(recovery_dir), timedelta(0))
    tune_interpreter()
    try:
        # An exception out of a signal's handler would be a panic of the engine.
        with _set_by_signals(job.stop) if job.stop is not None else nullcontext():
            cli_main(
                job.flow,
                process_id=process_id,
                addresses=addresses,
                epoch_interval=epoch,
                recovery_config=recovery,
            )
    # The engine lets some errors of a part through as they are.
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        log.debug("the dataflow failed", exc_info=error)
        raise JobFailedError(f"stopped: {str(cause) or type(cause).__name__}") from error


def tune_interpreter() -> None:
    """Scan for cycles rarely, and never what is loaded by now; let threads take turns quickly.

    Batches of items are many objects without cycles, and a scan goes over all that are on their
    way: with the default thresholds for a quarter of the time, with a scan each 100,000 objects,
    half a backlog's batch, for 7 % of it and up to 80 ms at once. A million are hardly ever on
    their way, and bound what cycles could hold. And the thread that stores rows holds the
    interpreter for tenths of a second: a stage that comes back from a library would wait 5 ms for
    its turn each time (P99 of 2,400 posts/s: 200 ms with 0.5 ms, 223 with 5).
    """
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 20)
    sys.setswitchinterval(0.0005)


def recovery_store(directory: Path) -> Path:
    """`directory` as a recovery store; it is made when it is not there."""
    if not any(directory.glob("part-*.sqlite3")):
        _make_directory(directory)
        init_db_dir(directory, RECOVERY_PARTITIONS)
    return directory


def stop_on_signal() -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT has come since this was called; a second one ends the process."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        log.info("%s: finishing what is on its way", signal.Signals(number).name)
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in _STOP_SIGNALS:
        signal.signal(number, on_signal)

    return stop.is_set


@contextmanager
def _set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Meanwhile SIGTERM and SIGINT set `stop`, and a second one ends the process."""

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)
        end_standard_input()

    before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def place_from_command_line() -> Place:
    """This process's place in its cluster, by the flags or variables of `bytewax.run`."""
    index = _engine_option("-i", "--process-id") or "0"
    addresses = _engine_option("-a", "--addresses")
    return Place(int(index), max(1, len([a for a in addresses.split(";") if a])))


def recovers_by_command_line() -> bool:
    """Whether `bytewax.run` was given a recovery store, by its flag or variable."""
    return bool(_engine_option("-r", "--recovery-directory"))


def _engine_option(short: str, name: str) -> str:
    """What `bytewax.run` was given as `name`, by flag or by variable; "" for nothing."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(short, name, dest="value")
    known, _ = parser.parse_known_args()
    variable = f"BYTEWAX_{name.lstrip('-').replace('-', '_').upper()}"
    return known.value or os.environ.get(variable, "")


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise BadSettingError(f"--input: {path} is not a file")
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


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettingError(f"{path} cannot be made: {error.strerror}") from None
