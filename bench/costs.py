"""Cost against size: rules, hashes, keys of surges, length of texts.

python -m bench.costs [--most-hashes N]      writes bench/RESULTS-costs.md and docs/costs.svg

By processor time of one thread, so that a busy machine counts less. About three minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from bench.machine import machine
from bench.svg import Curve, plot
from cli.demo_traffic import day_of_traffic, yesterday
from events.messages import AlertKey, Content, Position
from flows.job import tune_interpreter
from flows.settings import load_settings
from flows.stages import load_stages
from models.image.hash_index import HashIndex
from operators.image_hash import PDQ_DISTANCE
from operators.item import Item
from operators.surge_settings import SurgeSettings
from operators.surge_tally import SurgeEvent, Tick
from operators.surge_windows import SurgeState
from policy.compiled import CompiledRules
from policy.rules import Rule, RuleFile, RuleSet

RESULTS = Path(__file__).parent / "RESULTS-costs.md"
PLOT = Path(__file__).parent.parent / "docs" / "costs.svg"

RULES: Final = (10, 100, 1_000, 10_000)
HASHES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
KEYS: Final = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS: Final = (10, 100, 1_000, 10_000, 60_000)
_EVENTS: Final = 200_000


@dataclass(frozen=True)
class Cost:
    """Microseconds an item at each size."""

    what: str
    size: str
    item: str
    points: list[tuple[int, float]]


def rules(texts: Sequence[str]) -> Cost:
    """Matching a text against so many rules, half keywords and half patterns."""

    def at(count: int) -> float:
        made = tuple(
            Rule(id=f"rule-{n}", category="spam", score=0.9, **_rule(n)) for n in range(count)
        )
        compiled = CompiledRules(RuleSet((RuleFile("bench", "bench", made),), "bench"))
        return _each(lambda: [compiled.match(text) for text in texts], len(texts))

    return Cost("Rules", "rules", "text", [(count, at(count)) for count in RULES])


def _rule(number: int) -> dict[str, Any]:
    # Words that hardly any text has, as those of real rules are.
    word = "".join(chr(97 + number // 26**place % 26) for place in range(4))
    if number % 2:
        return {"keywords": (f"zq{word} offer", f"{word}qz.example")}
    return {"pattern": rf"\bzq{word}\s+(?:now|today)\b"}


def hashes(most: int) -> Cost:
    """Looking a PDQ hash up among so many, at the distance of the job."""
    rng = np.random.default_rng(8)
    queries = rng.integers(0, 256, (200, 32), np.uint8)

    def at(count: int) -> float:
        index = HashIndex.build(rng.integers(0, 256, (count, 32), np.uint8), PDQ_DISTANCE)
        return _each(lambda: index.search(queries, PDQ_DISTANCE), len(queries))

    return Cost("Hashes", "PDQ hashes", "look-up", [(n, at(n)) for n in HASHES if n <= most])


def keys() -> Cost:
    """Counting a violation when so many keys take turns in a window."""

    def at(count: int) -> float:
        state = SurgeState(SurgeSettings())
        events = [
            SurgeEvent(AlertKey("spam", f"site-{n % count}"), 60.0 * (n * 5 // _EVENTS), "a", "c")
            for n in range(max(_EVENTS, count))
        ]

        def run() -> None:
            for start in range(0, len(events), 1_000):
                part = events[start : start + 1_000]
                state.observe(part)
                state.advance(Tick(part[-1].at))

        return _each(run, len(events), rounds=1)

    return Cost("Keys", "keys", "violation", [(count, at(count)) for count in KEYS])


def lengths(texts: Sequence[str]) -> Cost:
    """All stages from hash lists to the decision, for texts of so many characters."""
    stages = load_stages(load_settings(redis_url=None))
    everything = " ".join(texts)
    while len(everything) < 4 * max(LENGTHS):
        everything += everything
    tune_interpreter()

    def at(length: int) -> float:
        count = max(20, min(1_000, 400_000 // length))
        now = datetime.now(UTC)
        room = len(everything) - length
        cut = [everything[n * 997 % room :][:length] for n in range(count)]
        contents = [Content(f"c{n}", now, "a", text=text) for n, text in enumerate(cut)]
        return _each(
            lambda: stages.judge([Item(content, Position(), 0.0) for content in contents]), count
        )

    return Cost("Length", "characters", "text", [(length, at(length)) for length in LENGTHS])


def _each(work: Callable[[], object], count: int, rounds: int = 3) -> float:
    """Microseconds of CPU an item, the least of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--most-hashes", type=int, default=HASHES[-1])
    arguments = parser.parse_args()
    # Everyday talk: what a violation costs more is the transformer's, and hides the length.
    day = day_of_traffic(yesterday(), 5_000)
    texts = [planted.content.text for planted in day if not planted.category]
    console, costs = Console(), []
    measures: dict[str, Callable[[], Cost]] = {
        "rules": lambda: rules(texts),
        "hashes": lambda: hashes(arguments.most_hashes),
        "keys": keys,
        "length": lambda: lengths(texts),
    }
    for name, measure in measures.items():
        with console.status(name):
            costs.append(measure())
        console.print(costs[-1])
    RESULTS.write_text(_page(costs))
    PLOT.write_text(
        plot([Curve(c.what, c.size, f"µs a {c.item}", c.points) for c in costs], "Cost and size")
    )


def _page(costs: Sequence[Cost]) -> str:
    page = [
        "# Cost and size\n",
        f"`python -m bench.costs`, {datetime.now(UTC):%Y-%m-%d}, {machine()};",
        "microseconds of CPU of one thread. The plots are in docs/costs.svg.\n",
    ]
    for cost in costs:
        page += [
            f"## {cost.what}\n",
            f"| {cost.size} | {' | '.join(f'{size:,}' for size, _ in cost.points)} |",
            f"| --- |{' ---: |' * len(cost.points)}",
            f"| µs a {cost.item} | {' | '.join(f'{each:,.1f}' for _, each in cost.points)} |\n",
        ]
    return "\n".join(page)


if __name__ == "__main__":
    main()
