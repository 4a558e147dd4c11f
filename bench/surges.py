"""How well and how fast surges, anomalies and drifts are found: `python -m bench.surges [PART…]`.

Parts: `surges` (14 days, 20 attacks), `detect` (the labelled suite, scored as NAB does), `keys`
(the cost of an event with a million keys beside a thousand), `drifts` (12 planted). Each prints a
section of RESULTS-surges.md.
"""

from __future__ import annotations

import argparse
import gc
import pickle
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bench.drifts import drifts
from bench.nab import Scored, score
from bench.surge_suite import HELD_OUT, suite
from bench.surge_traffic import START, Attack, Traffic
from events.messages import Alert, AlertKey
from flows.job import tune_interpreter
from operators.alerts import AlertGrouper, ShardReport
from operators.surge import SHARDS, ShardItem, surge_events
from operators.surge_detector import SurgeDetector
from operators.surge_settings import SurgeSettings
from operators.surge_tally import SurgeEvent, Tick
from operators.surge_windows import SurgeState

UNSEEN: Final = (11, 12, 13, 14, 15)
"""Seeds of simulations that nothing was tuned on; 1 to 4 were."""
TARGET: Final = 5.0
"""Minutes from the beginning of an attack to its alert."""


@dataclass
class Job:
    """The surge step without the engine: what `operators.surge.surge` does with each batch."""

    settings: SurgeSettings = field(default_factory=SurgeSettings)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._states = {shard: SurgeState(self.settings) for shard in SHARDS}
        self._grouper = AlertGrouper(len(SHARDS))

    def take(self, items: list[ShardItem]) -> None:
        """One batch of `surge_events`."""
        shards: defaultdict[str, list[SurgeEvent | Tick]] = defaultdict(list)
        for shard, item in items:
            shards[shard].append(item)
        for shard, values in shards.items():
            state = self._states[shard]
            state.observe(value for value in values if isinstance(value, SurgeEvent))
            for value in values:
                if isinstance(value, Tick):
                    changes = tuple(state.advance(value))
                    report = ShardReport(shard, state.closed_through, changes)
                    self.alerts += self._grouper.observe(report)

    def finish(self) -> None:
        """The end of the stream."""
        for shard, state in self._states.items():
            report = ShardReport(shard, float("inf"), tuple(state.finish()))
            self.alerts += self._grouper.observe(report)
        self.alerts += self._grouper.finish()


@dataclass
class Outcome:
    """What became of the attacks of one simulation."""

    attacks: list[Attack]
    delays: dict[int, float]
    """By number of the attack: minutes from its beginning to its alert."""
    alerts: Counter[int]
    false: list[Alert]


def follow(traffic: Traffic, jobs: list[Job]) -> list[Outcome]:
    """Run every job over the simulation."""
    for batch in traffic.batches():
        items = surge_events(batch)
        for job in jobs:
            job.take(items)
    for job in jobs:
        job.finish()
    return [judge(traffic.attacks, job) for job in jobs]


def judge(attacks: list[Attack], job: Job) -> Outcome:
    """Hold the alerts against the attacks; an alert comes `lateness` after its window has ended."""
    outcome = Outcome(attacks, {}, Counter(), [])
    for alert in job.alerts:
        if alert.state != "open":
            continue
        minute = (alert.window_end - START).total_seconds() / 60
        about = [n for n, a in enumerate(attacks) if a.explains(alert.key, minute)]
        if not about:
            outcome.false.append(alert)
            continue
        said = minute + job.settings.lateness / 60
        outcome.delays.setdefault(about[0], said - attacks[about[0]].start)
        outcome.alerts[about[0]] += 1
    return outcome


def surges(seeds: Iterable[int] = UNSEEN) -> None:
    """Attacks found in simulations that nothing was tuned on."""
    print("## Surges: 14 days, 20 attacks\n")
    print(
        f"| seed | found | within {TARGET:.0f} minutes | false alarms a week |"
        " alerts more than attacks | later or missed: shape, peak a minute, minutes until |"
    )
    print("|---|---|---|---|---|---|")
    false: list[str] = []
    for seed in seeds:
        (outcome,) = follow(Traffic(seed), [Job()])
        print(_row(seed, outcome), flush=True)
        false += [
            f"{seed}: {alert.window_start:%d %H:%M}, {alert.key}, z {alert.z_score}"
            for alert in outcome.false
        ]
    print("\nFalse alarms:", "; ".join(false) or "none", "\n", flush=True)


def _row(seed: int, outcome: Outcome) -> str:
    late = []
    for number, attack in enumerate(outcome.attacks):
        delay = outcome.delays.get(number)
        if delay is None or delay > TARGET:
            shown = "missed" if delay is None else f"{delay:.0f}"
            late.append(f"{attack.shape} {attack.peak:.0f}: {shown}")
    in_time = sum(delay <= TARGET for delay in outcome.delays.values())
    repeated = sum(outcome.alerts.values()) - len(outcome.alerts)
    return (
        f"| {seed} | {len(outcome.delays)} of {len(outcome.attacks)} | {in_time} |"
        f" {len(outcome.false) / 2:.1f} | {repeated} | {', '.join(late)} |"
    )


def detect(rounds: int = 2) -> None:
    """The suite's score at the threshold 0.5, the held-out kinds by themselves."""
    print("## Detect: NAB's scoring, standard profile, threshold 0.5\n")
    print("| series | rows | score |\n|---|---|---|")
    held_out = tuple(kind.__name__ for kind in HELD_OUT)
    parts: list[tuple[str, str, Callable[[str], bool]]] = [
        ("dev", "dev", lambda _: True),
        ("test", "test", lambda _: True),
        ("test, kinds never developed on", "test", lambda name: name.startswith(held_out)),
    ]
    scored: dict[str, list[tuple[str, Scored]]] = {}
    for split in ("dev", "test"):
        scored[split] = []
        for series in suite(split, rounds):
            detector = SurgeDetector(counts=False, memory=8, novelty=True)
            pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
            scores = [detector.update(at, value).anomaly_score for at, value in pairs]
            scored[split].append((series.name, Scored(scores, series.windows())))
    for title, split, chosen in parts:
        few = [item for name, item in scored[split] if chosen(name)]
        rows = sum(len(item.scores) for item in few)
        print(f"| {title} ({len(few)}) | {rows} | {score(few, 0.5):.1f} |")
    print(flush=True)


def keys(events: int = 1_000_000, rate: int = 5_000) -> None:
    """Microseconds an event and a snapshot, by the number of keys; `rate` in events a second."""
    print("## Keys: the cost of an event\n")
    print("| keys | CPU µs an event, snapshots included | snapshot in MB |\n|---|---|---|")
    for count in (1_000, 1_000_000):
        gc.collect()
        tune_interpreter()  # as the job does
        states = [SurgeState(SurgeSettings()) for _ in SHARDS]
        spent, size = 0.0, 0
        for start in range(0, events, rate):
            shards: list[list[SurgeEvent]] = [[] for _ in SHARDS]
            for number in range(start, start + rate):
                # 7919 is a prime: every key comes once before one comes again.
                key, author = number * 7919 % count, f"a{number % 5_000}"
                name = AlertKey("spam", f"d{key}.example")
                event = SurgeEvent(name, number / rate, author, f"c{number}")
                shards[key % len(SHARDS)].append(event)
            begun = time.process_time()
            for state, part in zip(states, shards, strict=True):
                state.observe(part)
                state.advance(Tick(start / rate))
            if start % (10 * rate) == 0:
                # Every tenth second a snapshot of every shard, as the engine takes it.
                size = max(size, sum(len(pickle.dumps(state)) for state in states))
            spent += (time.process_time() - begun) / events * 1e6
        print(f"| {count:,} | {spent:.2f} | {size / 1e6:.1f} |", flush=True)
    print(flush=True)


PARTS: Final[dict[str, Callable[[], None]]] = {
    "surges": surges,
    "detect": detect,
    "keys": keys,
    "drifts": drifts,
}


def main() -> None:
    """Run the parts named on the command line, all without names."""
    parser = argparse.ArgumentParser(prog="python -m bench.surges", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    for name in arguments.parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
