"""`breakwater run`: the main job on a file or on Kafka."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from flows import metrics
from flows.job import run
from flows.moderation import FILE_EPOCH, file_job, kafka_job
from flows.settings import load_settings

INTERRUPTED: Final = 130
"""The exit code of what SIGINT or SIGTERM has ended before the end of its input."""


def run_files(source: str, output: Path | None, *, overwrite: bool) -> None:
    """Everything in `source` through the job into `output`, and a line on what came out.

    Raises:
        typer.Exit: with `INTERRUPTED`, when a signal has ended it.
    """
    settings = load_settings(output=output)
    size = None if source == "-" or not Path(source).is_file() else Path(source).stat().st_size
    with _progress(size) as advance:
        job = file_job(source, settings, advance, overwrite=overwrite)
        run(job, epoch=FILE_EPOCH)
    job.store.close()
    if job.interrupted:
        end_interrupted(settings.output)
    print(f"{metrics.summary()}; results in {settings.output}", file=sys.stderr)


def end_interrupted(output: Path) -> NoReturn:
    """Say what was decided before a signal ended the input, and end as interrupted commands do."""
    told = f"{metrics.summary()}, the input was not read to its end; results in {output}"
    print(f"breakwater: interrupted: {told}", file=sys.stderr)
    raise typer.Exit(INTERRUPTED)


def run_kafka(output: Path | None) -> None:
    """The job on Kafka until it is told to stop."""
    settings = load_settings(output=output)
    job = kafka_job(settings, recovers=settings.recovery_dir is not None)
    epoch = timedelta(seconds=settings.epoch_seconds)
    run(job, epoch=epoch, recovery_dir=settings.recovery_dir)
    job.store.close()


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("moderating", total=size)
        yield lambda read: bar.advance(task, read)
