"""`breakwater load`: a set rate of posts onto Kafka, and how long each waits for its decision."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.demo_traffic import day_of_traffic, yesterday
from cli.errors import UsageError
from connectors.load import LoadResult, Phase, due_times, run_load
from events.messages import MAX_TEXT_BYTES, Content
from flows.settings import load_settings
from flows.sinks import kafka_config

_PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9}
_MIX = 20_000
_MAX_POSTS = 50_000_000
_TARGET_S = 0.2
"""What a post may wait. A burst is over when for a second none waits longer, or than before it."""


class _Line(msgspec.Struct):
    text: str
    community: str = ""
    language: str = ""


def put_load(
    rate: float, seconds: float, burst: str, texts: Path | None, *, as_json: bool
) -> LoadResult:
    """Send the load, show how it goes on a terminal's stderr, print the report.

    Raises:
        UsageError: the burst, the file or the brokers' setting cannot be used.
        BrokerError: no broker answers.
    """
    phases = load_phases(rate, seconds, burst)
    settings = load_settings()
    if not settings.kafka_brokers:
        raise UsageError("BREAKWATER_KAFKA_BROKERS is not set: name the brokers to load")
    posts = sum(phase.rate * phase.seconds for phase in phases)
    if posts > _MAX_POSTS:
        raise UsageError(f"{posts:,.0f} posts are too many for one run, {_MAX_POSTS:,} at most")
    due = due_times(phases)
    contents = read_texts(texts) if texts else demo_mix()
    with _progress(len(due)) as progress:
        result = run_load(kafka_config(settings), contents, due, progress=progress)
    report = summarise(result, phases)
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _show(report)
    return result


def load_phases(rate: float, seconds: float, burst: str) -> list[Phase]:
    """The phases of a run: the rate throughout, a burst `TIMESxSECONDS` after a third of it.

    Raises:
        UsageError: the burst cannot be read, or is longer than the rest of the run.
    """
    if not burst:
        return [Phase(rate, seconds)]
    times, mark, length = burst.partition("x")
    try:
        factor, burst_seconds = float(times), float(length)
    except ValueError:
        mark = ""
    if not mark or not 1 <= factor <= 1000 or not 0 < burst_seconds <= seconds / 2:
        raise UsageError(
            f"--burst {burst}: expected TIMESxSECONDS such as 10x5, at most half of --seconds"
        )
    before = seconds / 3
    return [
        Phase(rate, before),
        Phase(rate * factor, burst_seconds),
        Phase(rate, seconds - before - burst_seconds),
    ]


def demo_mix() -> list[Content]:
    """The demo's day of traffic, shuffled: a day's attack would else come within a second."""
    day = [planted.content for planted in day_of_traffic(yesterday(), _MIX)]
    Random(0).shuffle(day)  # noqa: S311 - guards nothing
    return day


def read_texts(path: Path) -> list[Content]:
    """Contents with the texts of a JSON Lines file ({text, community, language}).

    Raises:
        UsageError: it cannot be read, a line is no such object, or no line has a text.
    """
    decode = msgspec.json.Decoder(_Line).decode
    contents = []
    number = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    contents += _content(decode(line), number)
    except OSError as error:
        raise UsageError(f"--texts {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--texts {path}, line {number}: {error}") from None
    if not contents:
        raise UsageError(f"--texts {path}: no line has a text")
    return contents


def _content(line: _Line, number: int) -> list[Content]:
    if not 0 < len(line.text.encode("utf-8", "replace")) <= MAX_TEXT_BYTES:
        return []
    return [
        Content(
            "load",
            datetime.now(UTC),
            f"load-author-{number % 5000}",
            text=line.text,
            community=line.community[:256],
            language=line.language[:35],
        )
    ]


def summarise(result: LoadResult, phases: list[Phase]) -> dict[str, Any]:
    """The report of a run: counts, posts a second, latencies in ms from the due time."""
    latencies = result.latencies * 1000
    arrived = result.arrived[~np.isnan(result.arrived)]
    last = float(arrived.max(initial=0.0))
    report: dict[str, Any] = {
        "posts": len(result.due),
        "lost": result.lost,
        "repeated": result.repeats,
        "rate": round(len(result.due) / sum(phase.seconds for phase in phases), 1),
        "decided_per_second": round(len(arrived) / last, 1) if last else 0.0,
        "generator_behind_ms": round(result.latest * 1000, 1),
        "latency_ms": {
            name: round(float(np.percentile(latencies, percent)), 1)
            for name, percent in _PERCENTILES.items()
        }
        | {"max": round(float(latencies.max()), 1)}
        if len(latencies)
        else {},
    }
    if len(phases) > 1:
        before, over = phases[0].seconds, phases[0].seconds + phases[1].seconds
        usual = max(_TARGET_S, result.slowest(until=before))
        report["usual_ms"] = round(usual * 1000, 1)
        report["recovered_after_s"] = round(result.recovery(over, within=usual), 1)
    return report


def _show(report: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in (report | report["latency_ms"]).items():
        if name != "latency_ms":
            unit = " ms" if name in report["latency_ms"] else ""
            table.add_row(name.replace("_", " "), f"{value:,}{unit}")
    Console().print(table)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        sent = bar.add_task("sent", total=total)
        decided = bar.add_task("decided", total=total)

        def advance(sent_now: int, decided_now: int) -> None:
            bar.update(sent, completed=sent_now)
            bar.update(decided, completed=decided_now)

        yield advance
