"""How fast a replay is on a store of its own making.

    nice python -m bench.queries --rows 1000000 --path /var/tmp/breakwater-1m
    python -m bench.replays --path /var/tmp/breakwater-1m [--rescore]

decides again everything in the store, and prints decisions a second by the clock and by CPU time:
of all threads, and beside it the same columns read and thrown away, which no replay can undercut;
with `--rescore` also with every text scored again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from cli.replay import replay
from cli.rescore import load_rescorer
from connectors.clickhouse import connect
from connectors.decision_log import DecisionLog
from flows.settings import load_settings
from operators.rescore import Rescorer
from policy.policy import load_policy
from policy.taxonomy import CATEGORIES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.replays", description=__doc__)
    parser.add_argument("--path", required=True, help="directory of the embedded store")
    parser.add_argument("--rescore", action="store_true", help="score texts again, too")
    arguments = parser.parse_args()
    client = connect(f"chdb://{arguments.path}")
    log = DecisionLog(client, CATEGORIES, "1970-01-01", "2200-01-01")

    def read_only() -> int:
        return sum(len(chunk.content) for chunk in log.chunks({}, ()))

    def whole(rescorer: Rescorer | None = None) -> int:
        return replay(load_policy(), log, load_settings(), "the built-in one", rescorer).decisions

    runs: list[tuple[str, Callable[[], int]]] = [("reading alone", read_only), ("replay", whole)]
    if arguments.rescore:
        runs.append(("rescored", partial(whole, load_rescorer(load_settings(), None))))
    for name, run in runs:
        decisions, seconds, cpu = _measure(run)
        print(
            f"{name}: {decisions:,} decisions in {seconds:.2f} s ({decisions / seconds:,.0f}/s),"
            f" CPU {cpu:.2f} s ({decisions / cpu:,.0f} a CPU second)"
        )


def _measure(run: Callable[[], int]) -> tuple[int, float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    decisions = run()
    return decisions, time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main()
