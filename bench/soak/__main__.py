"""`make soak`: what becomes of posts when parts die, hang or fill up; writes bench/RESULTS-soak.md.

python -m bench.soak [--rate N] [--kills N] [--outage SECONDS] [SCENARIO...]
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.machine import machine
from bench.soak.embedded import full_disk
from bench.soak.reckoning import Reckoning, reckon
from bench.soak.scenarios import OUTAGE_S, SCENARIOS, Scale
from bench.soak.stage import Stage, stage

EMBEDDED = "embedded-disk-full"
NAMES = (*SCENARIOS, EMBEDDED)
RESULTS = Path(__file__).parent.parent / "RESULTS-soak.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(NAMES))
    parser.add_argument("--rate", type=float, default=500.0, help="posts a second")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--outage", type=float, default=OUTAGE_S, help="seconds")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(NAMES):
        parser.error(f"no scenario {', '.join(unknown)}: there are {', '.join(NAMES)}")
    scale = Scale(kills=arguments.kills, outage_s=arguments.outage)
    console = Console()
    rows, fine = [], True
    for name in arguments.scenarios or NAMES:
        begin = time.monotonic()
        with console.status(name):
            row, good = play(name, arguments.rate, scale)
        rows.append(row)
        fine &= good
        console.print(f"{row} ({time.monotonic() - begin:.0f} s)", markup=False, highlight=False)
    if not arguments.scenarios:
        RESULTS.write_text(report(rows, arguments.rate))
    raise SystemExit(0 if fine else 1)


def play(name: str, rate: float, scale: Scale) -> tuple[str, bool]:
    """Run a scenario; its row of the report, and whether nothing was lost or doubled."""
    try:
        if name == EMBEDDED:
            return full_disk()
        with stage(rate, small_disk=name == "disk-full") as at:
            SCENARIOS[name](at, scale)
            found = reckon(at)
            return _row(name, at, found), found.fine
    except (RuntimeError, TimeoutError, OSError) as error:
        return f"| {name} | failed: {' '.join(str(error).split())[:300]} |", False


def _row(name: str, at: Stage, found: Reckoning) -> str:
    counts = (
        found.sent, found.lost, found.doubled, found.miscounted, found.alerts_doubled,
        found.repeated,
    )  # fmt: skip
    told = "; ".join(at.facts)
    memory = f"{at.watch.peak_memory / 1e6:,.0f} MB"
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {memory} | {told} |"


def report(rows: list[str], rate: float) -> str:
    """The page of results."""
    return "\n".join([
        "# What becomes of posts when parts fail\n",
        f"`make soak`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        (f"Two processes under {rate:,.0f} posts a second of the demo's day, all servers on the"
        " same machine.\n"),
        ("Lost: sent and not decided, on the topic or in ClickHouse. Doubled: more than one row"
        " after FINAL."),
        ("Miscounted: authors whose counter differs from the number of their posts. Alerts:"
        " messages that Slack got twice."),
        ("Repeated: decisions that came again on the topic under the same id, which consumers"
        " drop.\n"),
        "| what | sent | lost | doubled | miscounted | alerts | repeated | peak memory | seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *rows,
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
