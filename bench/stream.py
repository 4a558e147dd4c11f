"""The stream from Kafka to Kafka with ClickHouse and Valkey; writes bench/RESULTS-stream.md.

With --data, the real mix of labelled comments, bench/RESULTS-stream-real.md.

python -m bench.stream [--posts N] [--seconds N] [--texts FILE | --data DIR]

Throughput with one and two processes over a full topic, CPU by part; then latency under an open
load at shares of what two processes manage, and a burst. About five minutes on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console

from bench.chain import repeated
from bench.cluster import ROOT, TIMED_PARTITIONS, Servers, cluster, cpu_by_role
from bench.machine import machine
from bench.text_models import real_mix
from cli.load import demo_mix, read_texts
from connectors.clickhouse import ClickHouseWriter
from connectors.kafka import CONTENT_TOPIC, DECISIONS_TOPIC
from events.encode import encode
from events.messages import Content
from training.datasets import load

RESULTS = Path(__file__).parent / "RESULTS-stream.md"
REAL_RESULTS = RESULTS.with_name("RESULTS-stream-real.md")
SHARES = (0.3, 0.5, 0.7, 0.9)
BURST_SHARE = 0.3
PATIENCE_S = 240.0
REAL_TEXTS = 20_000
_STORED = "SELECT count() FROM moderation.moderation_logs"
_WARM = 0.1
"""Share of the posts after which the clock starts: starting and warming up are not counted."""


@dataclass(frozen=True)
class Throughput:
    """Posts a second with so many processes, and microseconds of CPU a post by part."""

    processes: int
    rate: float
    cpu: dict[str, float]


def measure_throughput(contents: Sequence[Content], posts: int, processes: int) -> Throughput:
    """Fill the topic with `posts`, then let `processes` empty it.

    Raises:
        RuntimeError: no decision came for `PATIENCE_S`.
    """
    with cluster(processes) as (running, job):
        _fill(running.brokers, contents, posts)
        decided = _Decided(running.brokers)
        job.start()
        decided.wait_for(int(posts * _WARM))
        begin, first, before = time.perf_counter(), decided.count, cpu_by_role()
        decided.wait_for(posts)
        seconds, counted, after = time.perf_counter() - begin, decided.count - first, cpu_by_role()
        job.stop()
    cpu = {role: (after[role] - before.get(role, 0.0)) / counted * 1e6 for role in after}
    return Throughput(processes, counted / seconds, cpu)


def _fill(brokers: str, contents: Sequence[Content], posts: int) -> None:
    producer = Producer(
        {"bootstrap.servers": brokers, "queue.buffering.max.messages": posts + 1, "linger.ms": 50}
    )
    for number, content in enumerate(repeated(contents, posts)):
        producer.produce(CONTENT_TOPIC, encode(content), content.content_id.encode())
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


class _Decided:
    """Counts what is on the decisions topic."""

    def __init__(self, brokers: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "bench", "log_level": 0}
        )
        parts = range(TIMED_PARTITIONS)
        self._consumer.assign([TopicPartition(DECISIONS_TOPIC, part, 0) for part in parts])
        self.count = 0

    def wait_for(self, count: int) -> None:
        changed = time.monotonic()
        while self.count < count:
            found = len(self._consumer.consume(10_000, 0.1))
            self.count += found
            if found:
                changed = time.monotonic()
            elif time.monotonic() - changed > PATIENCE_S:
                raise RuntimeError(f"no decision for {PATIENCE_S:.0f} s after {self.count:,}")


def measure_latency(
    seconds: float, texts: Path | None, closed: float
) -> tuple[float, list[tuple[str, dict[str, Any]]]]:
    """What two processes keep up with, posts/s, and reports at shares of it and a burst.

    `closed`: what they do on a full topic, posts/s; more than they can take of an open load.
    """
    with warm(texts) as (running, warmed):
        capacity = kept_up(running, warmed, closed, seconds, texts)
    found = [(f"{share:.0%}", _loaded(capacity * share, seconds, texts)) for share in SHARES]
    burst = _loaded(capacity * BURST_SHARE, max(seconds, 60.0), texts, "10x5")
    return capacity, [*found, (f"{BURST_SHARE:.0%}, 10x for 5 s", burst)]


def kept_up(
    running: Servers, warmed: int, rate: float, seconds: float, texts: Path | None = None
) -> float:
    """Posts a second that are decided and in ClickHouse of a load of `rate`, which is too much.

    Decided alone would be more than can be kept up: ClickHouse catches up when the load is over.
    `warmed`: posts before it.
    """
    report = put_load(running.brokers, rate, seconds, "", texts)
    seconds_over = _until_stored(running, warmed + report["posts"])
    posts = float(report["posts"])
    return posts / (posts / float(report["decided_per_second"]) + seconds_over)


def _until_stored(running: Servers, posts: int) -> float:
    """Wait until so many decisions are in ClickHouse; seconds it took.

    Raises:
        RuntimeError: they are not there after `PATIENCE_S`.
    """
    begin = time.perf_counter()
    store = ClickHouseWriter(running.clickhouse)
    try:
        while store.client.query(_STORED).result_rows[0][0] < posts:
            if time.perf_counter() - begin > PATIENCE_S:
                raise RuntimeError(f"not stored after {PATIENCE_S:.0f} s")
            time.sleep(0.1)
    finally:
        store.close()
    return time.perf_counter() - begin


def _loaded(rate: float, seconds: float, texts: Path | None, burst: str = "") -> dict[str, Any]:
    """The report of a load on two warm processes.

    The broker looks through all its batches for each fetch: an old one would slow the later loads.
    """
    with warm(texts) as (running, _):
        return put_load(running.brokers, rate, seconds, burst, texts)


@contextmanager
def warm(
    texts: Path | None = None, *, alone_on: int | None = None
) -> Iterator[tuple[Servers, int]]:
    """Two processes that have decided some posts, with servers of their own; how many posts.

    `alone_on`: one process, and on this core.
    """
    with cluster(2 if alone_on is None else 1) as (running, job):
        job.start()
        if alone_on is not None:
            os.sched_setaffinity(job.processes[0].pid, {alone_on})  # its threads inherit it
        yield running, put_load(running.brokers, 500.0, 5.0, "", texts)["posts"]
        job.stop()


def put_load(
    brokers: str, rate: float, seconds: float, burst: str = "", texts: Path | None = None
) -> dict[str, Any]:
    """The report of `breakwater load` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "load", "--json", "--rate", f"{rate:.1f}",
         "--seconds", f"{seconds:g}", "--burst", burst,
         *(["--texts", str(texts)] if texts else [])],
        cwd=ROOT, env={"BREAKWATER_KAFKA_BROKERS": brokers, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, check=False, timeout=seconds + 400,
    )  # fmt: skip
    report: dict[str, Any] = msgspec.json.decode(done.stdout)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stream", description=__doc__)
    parser.add_argument("--posts", type=int, default=150_000, help="posts of each throughput run")
    parser.add_argument("--seconds", type=float, default=35.0, help="of each load: over an epoch")
    parser.add_argument("--texts", type=Path, help="JSON Lines {text}; else the demo's traffic")
    parser.add_argument("--data", type=Path, help="labelled sets: the real mix of their test split")
    parser.add_argument("--no-latency", action="store_true", help="throughput alone")
    arguments = parser.parse_args()
    with TemporaryDirectory() as directory:
        texts, mix = arguments.texts, str(arguments.texts or "the demo's day of traffic")
        if arguments.data:
            texts, mix = Path(directory) / "mix.jsonl", "the real mix of the labelled comments"
            texts.write_bytes(b"\n".join(_lines(real_mix(load(arguments.data), REAL_TEXTS))))
        page = _measure(arguments, texts, mix)
    Console().print(page, markup=False, highlight=False)
    (REAL_RESULTS if arguments.data else RESULTS).write_text(page)


def _lines(texts: Sequence[str]) -> list[bytes]:
    return [msgspec.json.encode({"text": text}) for text in texts]


def _measure(arguments: argparse.Namespace, texts: Path | None, mix: str) -> str:
    contents = read_texts(texts) if texts else demo_mix()
    console, runs = Console(), []
    capacity, loads = 0.0, list[tuple[str, dict[str, Any]]]()
    for processes in (1, 2):
        with console.status(f"throughput of {processes}"):
            runs.append(measure_throughput(contents, arguments.posts, processes))
            console.print(runs[-1])
    if not arguments.no_latency:
        with console.status("latency"):
            capacity, loads = measure_latency(arguments.seconds, texts, runs[-1].rate)
    return report(runs, capacity, loads, contents, mix)


def report(
    runs: Sequence[Throughput],
    capacity: float,
    loads: Sequence[tuple[str, dict[str, Any]]],
    contents: Sequence[Content],
    mix: str,
) -> str:
    """The page of results."""
    length = sum(len(content.text) for content in contents) / len(contents)
    one, two = runs
    roles = sorted({role for run in runs for role in run.cpu} - {"other"})
    page = [
        "# The stream, Kafka to Kafka\n",
        f"`python -m bench.stream`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        (
            f"Texts: {mix}, {length:.0f} characters on average, logged to ClickHouse. {TOPICS}"
            " Broker, ClickHouse, Valkey and the load itself share"
            " the cores with the job; ClickHouse at nice 10: decisions wait for it only where it"
            " falls behind.\n"
        ),
        "## Throughput\n",
        f"| processes | posts/s | {' | '.join(f'{role}, µs CPU a post' for role in roles)} |",
        f"| ---: | ---: |{' ---: |' * len(roles)}",
        *(
            f"| {run.processes} | {run.rate:,.0f} |"
            + "".join(f" {run.cpu.get(role, 0.0):.0f} |" for role in roles)
            for run in runs
        ),
        (
            f"\nTwo processes do {two.rate / one.rate:.2f} times what one does, with the servers on"
            f" the same cores; by their own CPU {2 * one.cpu['job'] / two.cpu['job']:.2f} times:"
            f" the job does {1e6 / two.cpu['job']:,.0f} posts/s a core.\n"
        ),
    ]
    if loads:
        page += [
            "## Latency\n",
            (
                "`breakwater load`, two processes: from when a post was due to its decision, read"
                f" from the topic. Offered more, they decide and store {capacity:,.0f} posts/s of"
                " an open load: its capacity here, with generator and smaller batches. Recovered:"
                " for a second no post waits longer than 200 ms, or than the slowest before the"
                " burst.\n"
            ),
            LOAD_HEAD,
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(load_row(share, load) for share, load in loads),
            "",
        ]
    return "\n".join(page)


TOPICS = f"Topics have {TIMED_PARTITIONS} partitions."
LOAD_HEAD = (
    "| share of capacity | posts/s | lost | P50, ms | P99, ms | P99.9, ms | most, ms |"
    " recovered after, s |"
)


def load_row(share: str, load: dict[str, Any]) -> str:
    waited = load["latency_ms"]
    return (
        f"| {share} | {load['rate']:,.0f} | {load['lost']:,} | {waited['p50']:,.0f} |"
        f" {waited['p99']:,.0f} | {waited['p99.9']:,.0f} | {waited['max']:,.0f} |"
        f" {load.get('recovered_after_s', '')} |"
    )


if __name__ == "__main__":
    main()
