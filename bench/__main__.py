"""`make bench`: what the chain costs, stage by stage and as a whole; writes bench/RESULTS.md.

python -m bench [--posts N] [--large N] [--data DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import text_models
from bench.chain import Run, measure_run, repeated
from bench.image_rates import rate_table
from bench.machine import machine
from bench.stages import StageCost, measure_stages
from cli.demo_traffic import day_of_traffic, yesterday
from events.messages import Content
from models.text.transformer import TransformerModel

RESULTS = Path(__file__).parent / "RESULTS.md"
_READ = 2_000
"""Texts that the transformer alone is measured on."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000, help="posts of the chain's run")
    parser.add_argument("--large", type=int, default=1_000_000, help="posts of the memory run")
    parser.add_argument("--stage-posts", type=int, default=20_000, help="posts of the stages")
    parser.add_argument(
        "--data", type=Path, help="labelled sets: the text models beside each other"
    )
    arguments = parser.parse_args()
    console = Console()
    if arguments.data:
        # First: the store's engine and a million posts leave threads and a large heap behind.
        with console.status("the text models on the labelled sets"):
            console.print(text_models.write_report(arguments.data), markup=False, highlight=False)
    with console.status("generating a day of traffic"):
        day = [planted.content for planted in day_of_traffic(yesterday(), arguments.stage_posts)]
    with console.status("stage by stage"):
        costs = measure_stages(list(repeated(day, len(day))))
        read = [content.text for content in day[:_READ]]
        transformer = text_models.seconds(TransformerModel().predict, read) / len(read)
    runs = []
    for posts in (arguments.posts, arguments.large):
        with console.status(f"breakwater run on {posts:,} posts"):
            runs.append(measure_run(repeated(day, posts)))
    report = "\n".join([_head(), _stage_table(costs, day, transformer), _run_table(runs)])
    with console.status("images, stage by stage"):
        report += f"\n## Images, a second of one core's processor time\n\n{rate_table()}\n"
    console.print(report, markup=False, highlight=False)
    RESULTS.write_text(report)


def _head() -> str:
    return (
        "# What it costs\n\n"
        f"`make bench`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.\n"
        "Texts: the demo's day of traffic.\n"
    )


def _stage_table(costs: Sequence[StageCost], day: Sequence[Content], transformer: float) -> str:
    """`transformer`: seconds of the transformer for a text."""
    total = sum(cost.seconds for cost in costs)
    bare = sum(cost.bare or 0.0 for cost in costs)
    length = sum(len(content.text) for content in day) / len(day)
    rows = [
        "## Stages\n",
        (
            f"{len(day):,} posts of {length:.0f} characters, batches of 1,000, one thread; CPU,"
            " stages and bare loops in turns.\n"
        ),
        "| stage | texts/s | µs a text | share | bare loop, µs | bare / stage |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_stage_row(cost, len(day), total) for cost in costs),
        (
            f"| **all** | {len(day) / total:,.0f} | {total / len(day) * 1e6:.1f} | 100 % |"
            f" {bare / len(day) * 1e6:.1f} | {bare / total:.0%} |\n"
        ),
        (
            f"The transformer alone takes {transformer * 1e6:,.0f} µs for each of these texts:"
            f" {transformer * len(day) / total:.1f} times as long as the whole chain.\n"
        ),
    ]
    return "\n".join(rows)


def _stage_row(cost: StageCost, posts: int, total: float) -> str:
    each = cost.seconds / posts * 1e6
    beside = ("", "") if cost.bare is None else (
        f"{cost.bare / posts * 1e6:.1f}", f"{cost.bare / cost.seconds:.0%}"
    )  # fmt: skip
    return (
        f"| {cost.stage} | {posts / cost.seconds:,.0f} | {each:.1f} |"
        f" {cost.seconds / total:.0%} | {beside[0]} | {beside[1]} |"
    )


def _run_table(runs: Sequence[Run]) -> str:
    return "\n".join([
        "## The whole job, one process\n",
        "`breakwater run --input` with its embedded store, start-up included.\n",
        "| posts | seconds | posts/s | peak memory |",
        "| ---: | ---: | ---: | ---: |",
        *(
            f"| {run.posts:,} | {run.seconds:.1f} | {run.posts / run.seconds:,.0f} |"
            f" {run.peak_memory / 1e6:,.0f} MB |"
            for run in runs
        ),
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
