"""`breakwater demo`: the real flow on a generated day, and what it made of it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.demo_traffic import Planted, day_of_traffic, yesterday
from cli.run import end_interrupted
from console.report import DemoSummary, render_report
from events.encode import encode
from events.identity import label_id
from events.messages import ACTIONS, Alert, Decision, Label
from flows.job import run
from flows.moderation import FILE_EPOCH, file_job
from flows.settings import load_settings
from policy.policy import load_policy

T = TypeVar("T", Decision, Alert)

_LATENCY_EDGES_MS = np.geomspace(1, 10_000, 41)
_SCORE_EDGES = np.linspace(0, 1, 41)


def run_demo(output: Path, posts: int, seed: int) -> None:
    """Generate a day, moderate it, print a summary and write `report.html` into `output`.

    Raises:
        typer.Exit: with 130, when a signal has ended it; there is no report then.
    """
    console = Console()
    settings = load_settings(
        output=output, clickhouse_dsn=None, redis_url=None, kafka_brokers="",
        slack_webhook_url=None, pagerduty_routing_key=None,
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    with _bar(console, "generating a day of traffic", None):
        day = day_of_traffic(yesterday(), posts, seed)
        # Another day in the same store would count twice in the aggregates.
        shutil.rmtree(output / "clickhouse", ignore_errors=True)
        source = output / "posts.jsonl"
        source.write_bytes(b"".join(encode(planted.content) + b"\n" for planted in day))
    with _bar(console, "moderating", source.stat().st_size) as advance:
        job = file_job(str(source), settings, advance, overwrite=True)
        started, clock = datetime.now(UTC), time.perf_counter()
        run(job, epoch=FILE_EPOCH)
        seconds = time.perf_counter() - clock
        if not job.interrupted:
            job.store.insert_labels(_golden_labels(day))
        job.store.close()
    if job.interrupted:
        end_interrupted(output)
    summary = summarize(day, output, started, seconds)
    (output / "report.html").write_text(render_report(summary), encoding="utf-8")
    _print_summary(console, summary, day, output)


def _golden_labels(day: list[Planted]) -> list[Label]:
    """What every twentieth post really is: analysts' questions about quality need some truth."""
    return [
        Label(
            label_id=label_id(planted.content.content_id, 0, "demo", "golden"),
            content_id=planted.content.content_id,
            revision=0,
            reviewer_id="demo",
            action="block" if planted.category else "allow",
            category=planted.category,
            source="golden",
            labeled_at=planted.content.created_at + timedelta(hours=1),
        )
        for planted in day[::20]
    ]


def summarize(day: list[Planted], output: Path, started: datetime, seconds: float) -> DemoSummary:
    """What the files in `output` say of the `day` that was moderated in `seconds`."""
    decisions = list(_read(output / "decisions.jsonl", Decision))
    texts = {planted.content.content_id: planted.content.text for planted in day}
    latencies = np.array([decision.latency_ms for decision in decisions])
    first = day[0].content.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = np.array([(d.created_at - first).total_seconds() // 60 for d in decisions], int)
    actions = np.array([decision.action for decision in decisions])
    policy = load_policy().file.categories
    return DemoSummary(
        started_at=started,
        finished_at=started + timedelta(seconds=seconds),
        decisions=Counter((d.action, d.category) for d in decisions),
        items_per_second=len(decisions) / seconds,
        latency_p50_ms=float(np.quantile(latencies, 0.5)),
        latency_p99_ms=float(np.quantile(latencies, 0.99)),
        latency_edges_ms=_LATENCY_EDGES_MS,
        latency_counts=np.histogram(latencies, _LATENCY_EDGES_MS)[0],
        minutes=[first + timedelta(minutes=minute) for minute in range(24 * 60)],
        volume={
            action: np.bincount(minutes[actions == action], minlength=24 * 60) for action in ACTIONS
        },
        alerts=list(_read(output / "alerts.jsonl", Alert)),
        score_edges=_SCORE_EDGES,
        score_counts={
            category: np.histogram([d.scores[category] for d in decisions], _SCORE_EDGES)[0]
            for category in decisions[0].scores
        },
        thresholds={name: (treated.review, treated.block) for name, treated in policy.items()},
        examples=[(decision, texts[decision.content_id]) for decision in _examples(decisions)],
        facts={
            "machine": f"{platform.machine()}, {_processor()}, Python {platform.python_version()}",
            "command": "breakwater demo",
            "files": str(output),
        },
    )


def _examples(decisions: Iterable[Decision]) -> list[Decision]:
    by_kind: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        by_kind[decision.action, decision.category].append(decision)
    kinds = [kind for kind in sorted(by_kind, reverse=True) if kind[0] != "allow"]
    return [by_kind[kind][len(by_kind[kind]) // 2] for kind in kinds]


def _print_summary(
    console: Console, summary: DemoSummary, day: list[Planted], output: Path
) -> None:
    categories = sorted({category for _, category in summary.decisions if category})
    table = Table("category", "review", "block", title="Decisions", title_justify="left")
    for category in categories:
        counts = [summary.decisions.get((action, category), 0) for action in ("review", "block")]
        table.add_row(category, *(f"{count:,}" for count in counts))
    console.print(table)
    violating = {p.content.content_id: p.category for p in day if p.category}
    decisions = _read(output / "decisions.jsonl", Decision)
    caught = Counter(d.content_id in violating for d in decisions if d.action != "allow")
    console.print(
        f"{summary.total:,} posts, {summary.of_action('allow'):,} allowed."
        f" Of {len(violating):,} planted violations {caught[True]:,} were caught;"
        f" {caught[False]:,} other posts were held back."
    )
    console.print(
        f"{summary.items_per_second:,.0f} posts/s; in batches of 1,000,"
        f" latency P50 {summary.latency_p50_ms:,.0f} ms, P99 {summary.latency_p99_ms:,.0f} ms"
    )
    for alert in summary.alerts:
        if alert.state == "open":
            at = alert.window_end.strftime("%H:%M")
            console.print(f"[bold red]alert[/] {at} ", end="")
            console.print(alert.summary, markup=False, highlight=False)
    console.print(f"report: {output / 'report.html'}   store: {output / 'clickhouse'}")


def _read(path: Path, kind: type[T]) -> Iterator[T]:
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        yield from map(decoder.decode, lines)


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    model = next((line for line in info.splitlines() if line.startswith("model name")), ":")
    return f"{os.cpu_count()} x {model.partition(':')[2].strip()}"


@contextmanager
def _bar(console: Console, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    with Progress(console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
        bar.update(task, total=total or 1, completed=total or 1)
