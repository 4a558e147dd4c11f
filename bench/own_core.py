"""Latency of a process that has a core to itself; writes bench/RESULTS-own-core.md.

python -m bench.own_core [--seconds N]

`bench.stream` has the job, broker, ClickHouse, Valkey and the load itself on the same two cores. In
earnest a process of the job has its own: here one runs on the first core and all the others on the
second. About six minutes on a quiet machine with two cores or more.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.cluster import cpu_by_role
from bench.machine import machine
from bench.stream import LOAD_HEAD, SHARES, TOPICS, kept_up, load_row, put_load, warm

RESULTS = Path(__file__).parent / "RESULTS-own-core.md"
_MORE = 8_000.0
"""Posts a second, more than a core decides."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.own_core", description=__doc__)
    parser.add_argument("--seconds", type=float, default=35.0, help="of each load: over an epoch")
    seconds = parser.parse_args().seconds
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed")
    os.sched_setaffinity(0, set(cores[1:2]))
    console = Console()
    with console.status("capacity"), warm(alone_on=cores[0]) as (running, warmed):
        capacity = kept_up(running, warmed, _MORE, seconds)
    rows = []
    for share in SHARES:
        with console.status(f"{share:.0%} of {capacity:,.0f} posts/s"):
            report = _loaded(capacity * share, seconds, cores[0])
        rows.append(load_row(f"{share:.0%}", report) + f" {report['busy']:.0%} |")
    page = "\n".join(
        [
            "# A process with a core of its own\n",
            f"`python -m bench.own_core`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
            (
                "One process on one core; broker, ClickHouse, Valkey and the load on another."
                f" {TOPICS} Loads of {seconds:g} s, each over the end of an epoch. Offered more, it"
                f" decides and stores {capacity:,.0f} posts/s. Latency from when a post was due to"
                " its decision, read from the topic; busy: the share of its core that the process"
                " used.\n"
            ),
            f"{LOAD_HEAD} busy |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )
    console.print(page, markup=False, highlight=False)
    RESULTS.write_text(page)


def _loaded(rate: float, seconds: float, core: int) -> dict[str, Any]:
    """The report of a load on one process, alone on `core`; `busy` is its share of it."""
    with warm(alone_on=core) as (running, _):
        before = cpu_by_role()["job"]
        report = put_load(running.brokers, rate, seconds)
        report["busy"] = (cpu_by_role()["job"] - before) / (report["posts"] / rate)
    return report


if __name__ == "__main__":
    main()
