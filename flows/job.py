"""A dataflow with its connections: checked before it starts, ended by SIGTERM, closed after."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from connectors.clickhouse import ClickHouseWriter, StoreError
from connectors.files import end_standard_input
from connectors.kafka import BrokerError
from connectors.local_sink import Process
from connectors.redis_features import FeatureStoreDownError
from connectors.ruleset_store import RulesetStoreDownError
from flows.logs import set_up_logging
from flows.settings import BadSettingError
from flows.stages import StageError
from models.registry import RegistryError
from policy.errors import PolicyError

_log = structlog.get_logger(__name__)

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


def run(job: Job, *, epoch: timedelta, recovery_dir: Path | None = None) -> None:
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
            cli_main(job.flow, epoch_interval=epoch, recovery_config=recovery)
    # The engine lets some errors of a part through as they are.
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise JobFailedError(f"stopped: {str(cause) or type(cause).__name__}") from error


def dataflow_or_exit(make: Callable[[], Job]) -> Dataflow:
    """The dataflow of the job that `make` gives, for a process that `bytewax.run` has started.

    A bad setting or a part that does not answer ends the process with one line and exit code 2.
    """
    set_up_logging()
    try:
        flow = make().flow
    except START_ERRORS as error:
        sys.stderr.write(f"breakwater: {error}\n")
        raise SystemExit(2) from None
    tune_interpreter()
    return flow


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
        make_directory(directory)
        init_db_dir(directory, RECOVERY_PARTITIONS)
    return directory


def stop_on_signal(begun: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT has come since this was called; a second one ends the process.

    So does the first, with 0, while the stream has not `begun`: there is nothing to deliver, and a
    process that waits for the others of its cluster would not ask whether it is to stop.
    """
    stop = threading.Event()

    def finish(number: int) -> None:
        name = signal.Signals(number).name
        if begun():
            _log.info("finishing what is on its way", signal=name)
        else:
            _log.info("nothing was begun", signal=name)
            os._exit(0)

    _set_on_signals(stop, finish)
    return stop.is_set


@contextmanager
def _set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Meanwhile SIGTERM and SIGINT set `stop`, and a second one ends the process."""
    before = _set_on_signals(stop, lambda _: end_standard_input())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _set_on_signals(
    stop: threading.Event, then: Callable[[int], None]
) -> dict[signal.Signals, Any]:
    """Have SIGTERM and SIGINT set `stop`, and a second one end the process; the handlers before.

    `then` is called with the signal's number when `stop` is set.
    """

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)
        then(number)

    return {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}


def process_from_command_line() -> Process:
    """Which process of its cluster this is, by the flags or variables of `bytewax.run`."""
    index = _engine_option("-i", "--process-id") or "0"
    addresses = _engine_option("-a", "--addresses")
    return Process(int(index), max(1, len([a for a in addresses.split(";") if a])))


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


def make_directory(path: Path) -> None:
    """Make `path` where it is missing. Raises BadSettingError: it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettingError(f"{path} cannot be made: {error.strerror}") from None
