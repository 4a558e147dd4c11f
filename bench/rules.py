"""What the rules stage costs by the size of its rule set; writes bench/RESULTS-rules.md.

python -m bench.rules [--posts N]

Patterns and keywords are made up from syllables. Short ones are found inside of words too, where
the stage has to refuse them: candidates are what the scan finds, matches what the stage reports.
The bare loop is Hyperscan's scan over the same database and texts, its matches thrown away. All
times are CPU time of the process, so that a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.machine import machine
from cli.demo_traffic import day_of_traffic, yesterday
from events.messages import Position
from operators.item import Item
from operators.normalize import Normalizer
from operators.regex_match import RuleMatcher
from policy.rules import parse_rules

T = TypeVar("T")

RESULTS = Path(__file__).parent / "RESULTS-rules.md"
SIZES = ((10, 10), (100, 100), (1_000, 10_000), (10_000, 100_000))
"""Patterns and keywords of each rule set; the second is what the last is held against."""
BATCH = 1000
ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """CPU seconds; `stage` and `bare` for all texts once, `urgent` for one more rule beside."""

    patterns: int
    keywords: int
    parse: float
    compile: float
    urgent: float
    stage: float
    bare: float
    candidates: int
    matches: int


def measure(items: Sequence[Item], patterns: int, keywords: int) -> Cost:
    """The cost of a rule set of this size on `items`, which are normalized."""
    texts = {"large.yaml": _rule_file(patterns, keywords)}
    parse, rules = _timed(lambda: parse_rules(texts))
    compiling, matcher = _timed(lambda: RuleMatcher(rules))
    more = texts | {"urgent.yaml": "rules: [{id: u, category: spam, score: 0.9, pattern: zebra}]"}
    urgent, _ = _timed(lambda: RuleMatcher(parse_rules(more, rules), matcher))
    stage = min(_timed(lambda: _pass(matcher, items))[0] for _ in range(ROUNDS))
    matches = sum(len(item.signals) for item in items)
    databases = [d for layer in matcher.compiled.layers for d in layer.databases.values()]
    ready = [item.normalized.text.encode() for item in items if item.normalized is not None]

    candidates = 0

    def count(*_: object) -> None:
        nonlocal candidates
        candidates += 1

    def scan(found: Callable[..., None] = _ignore) -> None:
        for database in databases:
            # The library beneath the stage.
            bare_scan, scratch = database._database.scan, database._scratch()  # noqa: SLF001
            for text in ready:
                bare_scan(text, match_event_handler=found, scratch=scratch)

    bare = min(_timed(scan)[0] for _ in range(ROUNDS))
    scan(count)
    return Cost(patterns, keywords, parse, compiling, urgent, stage, bare, candidates, matches)


def _pass(matcher: RuleMatcher, items: Sequence[Item]) -> None:
    for item in items:
        item.signals.clear()
    for start in range(0, len(items), BATCH):
        matcher(list(items[start : start + BATCH]))


def _ignore(*_: object) -> None:
    """A match that nobody asks about."""


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    begun = time.process_time()
    result = call()
    return time.process_time() - begun, result


def _rule_file(patterns: int, keywords: int) -> str:
    rng = random.Random(3)
    rules = [
        f"  - {{id: p{number}, category: spam, score: 0.7, pattern: '{_pattern(rng, number)}'}}"
        for number in range(patterns)
    ]
    words: set[str] = set()
    while len(words) < keywords:
        first = _word(rng, rng.randint(2, 5))
        words.add(first if rng.random() < 0.5 else f"{first} {_word(rng, rng.randint(2, 5))}")
    listed = sorted(words)
    share = max(1, keywords // 100)
    for start in range(0, keywords, share):
        some = ", ".join(f'"{word}"' for word in listed[start : start + share])
        rules.append(f"  - {{id: k{start}, category: hate, score: 0.7, keywords: [{some}]}}")
    return "\n".join(["rules:", *rules])


def _pattern(rng: random.Random, number: int) -> str:
    first, second = _word(rng, 3), _word(rng, 3)
    shapes = (
        rf"\b{first}[sz]?\b",
        rf"\b{first}\b.{{0,40}}\b{second}\b",
        rf"{first}(?:ing|ed|er)? {second}",
        rf"\b{first[:4]}[0o]{second}\.(?:com|top|xyz)\b",
    )
    return shapes[number % len(shapes)]


def _word(rng: random.Random, syllables: int) -> str:
    return "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(syllables))


def _report(costs: Sequence[Cost], items: Sequence[Item]) -> str:
    each = 1e6 / len(items)
    base = next(cost for cost in costs if (cost.patterns, cost.keywords) == SIZES[1])
    rows = [
        f"| {c.patterns:,} | {c.keywords:,} | {c.stage * each:.2f} | {c.stage / base.stage:.2f} |"
        f" {c.bare * each:.2f} | {c.bare / c.stage:.0%} | {c.candidates:,} |"
        f" {c.matches:,} | {c.parse:.1f} | {c.compile:.1f} | {c.urgent * 1000:.0f} |"
        for c in costs
    ]
    return "\n".join([
        "# What rules cost by their number\n",
        f"`python -m bench.rules`, {machine()}.",
        f"{len(items):,} posts of the demo's day, normalized, batches of {BATCH:,}; CPU time, the",
        f"best of {ROUNDS}. An urgent rule is one more file beside the set: parsed and compiled.\n",
        ("| patterns | keywords | stage, µs a text | to 100, 100 | bare scan, µs | bare / stage |"
        " candidates | matches | parse, s | compile, s | urgent rule, ms |"),
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rules", description=__doc__)
    parser.add_argument("--posts", type=int, default=20_000)
    arguments = parser.parse_args()
    day = day_of_traffic(yesterday(), arguments.posts)
    items = [Item(planted.content, Position(file="bench", line=1), 0.0) for planted in day]
    Normalizer()(items)
    costs = []
    for size in SIZES:
        costs.append(measure(items, *size))
        report = _report(costs, items) if len(costs) > 1 else ""
    print(report)
    RESULTS.write_text(report)


if __name__ == "__main__":
    main()
