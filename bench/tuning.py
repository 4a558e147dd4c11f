"""What each knob costs: latency and CPU of the stream with one setting changed at a time.

python -m bench.tuning [--rate N] [--seconds N]        writes bench/RESULTS-tuning.md

About a minute a row, six rows; a load lasts longer than the longest epoch.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench.cluster import cluster, cpu_by_role
from bench.machine import machine
from bench.stream import put_load

RESULTS = Path(__file__).parent / "RESULTS-tuning.md"

CASES: Final[tuple[tuple[str, dict[str, str], int], ...]] = (
    ("as it is: epoch of 30 s", {}, 30),
    ("epoch of 10 s", {}, 10),
    ("epoch of 1 s", {}, 1),
    ("BREAKWATER_BATCH=250", {"BREAKWATER_BATCH": "250"}, 30),
    ("BREAKWATER_BATCH=1000", {"BREAKWATER_BATCH": "1000"}, 30),
    ("BREAKWATER_STORE_ROWS=1000", {"BREAKWATER_STORE_ROWS": "1000"}, 30),
)
"""Name, settings, and seconds of an epoch."""


def measure(
    settings: dict[str, str], epoch_s: int, rate: float, seconds: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """The report of a load on two processes, and microseconds of CPU a post by part."""
    with cluster(2, settings, epoch_s=epoch_s) as (running, job):
        job.start()
        put_load(running.brokers, rate, 5.0)
        before = cpu_by_role()
        report = put_load(running.brokers, rate, seconds)
        after = cpu_by_role()
    cpu = {role: (after[role] - before.get(role, 0)) / report["posts"] * 1e6 for role in after}
    return report, cpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tuning", description=__doc__)
    parser.add_argument("--rate", type=float, default=2000.0, help="posts a second")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each load")
    arguments = parser.parse_args()
    console, rows = Console(), []
    for name, settings, epoch_s in CASES:
        with console.status(name):
            load, cpu = measure(settings, epoch_s, arguments.rate, arguments.seconds)
        waited = load["latency_ms"]
        rows.append(
            f"| {name} | {waited['p50']:,.0f} | {waited['p99']:,.0f} | {waited['p99.9']:,.0f} |"
            f" {cpu['job']:.0f} | {cpu['clickhouse']:.0f} |"
        )
        console.print(rows[-1], markup=False, highlight=False)
    RESULTS.write_text(
        "# What each knob costs\n\n"
        f"`python -m bench.tuning`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.\n"
        f"Two processes, {arguments.rate:,.0f} posts a second for {arguments.seconds:.0f} s, all"
        " servers on the same machine. Latency in ms from when a post was due to its decision read"
        " from the topic; CPU in µs a post, idling included.\n\n"
        "| what | P50 | P99 | P99.9 | job, CPU | ClickHouse, CPU |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    main()
