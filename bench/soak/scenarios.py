"""The scenarios of `make soak`: each breaks one thing under load, and leaves the rest to `reckon`.

How much of each is `Scale`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.soak.stage import Stage
from connectors.redis_breaker import MAX_PAUSE_S

OUTAGE_S = 60.0
Play = Callable[[Stage, "Scale"], None]


@dataclass(frozen=True)
class Scale:
    """How much of each: the full soak, or the small one of a test."""

    kills: int = 50
    outage_s: float = OUTAGE_S
    settle_s: float = 5.0


def kills(at: Stage, scale: Scale) -> None:
    """`kill -9` of every process at random points of the stream."""
    rng = random.Random(8)
    for _ in range(scale.kills):
        at.ready()
        time.sleep(rng.uniform(0.0, 4.0))
        at.cluster.kill()
        at.cluster.start()
    at.facts.append(f"{scale.kills} kills")


def one_of_two(at: Stage, scale: Scale) -> None:
    """`kill -9` of one process: the other must end too, so that a supervisor starts both."""
    at.ready()
    time.sleep(scale.settle_s)
    first, second = at.cluster.processes
    first.kill()
    first.wait()
    begin = time.monotonic()
    try:
        code = second.wait(90)
        at.facts.append(
            f"the other ended by itself after {time.monotonic() - begin:.1f} s ({code})"
        )
    except subprocess.TimeoutExpired:
        at.facts.append("the other went on by itself for 90 s")
    at.cluster.kill()
    at.cluster.start()


def drain(at: Stage, scale: Scale) -> None:
    """SIGTERM under load: what was taken is delivered, the exit code is 0."""
    for _ in range(3):
        at.ready()
        time.sleep(scale.settle_s)
        begin = time.monotonic()
        codes = at.cluster.stop()
        at.facts.append(f"exit codes {codes} after {time.monotonic() - begin:.1f} s")
        at.cluster.start()


def rescale(at: Stage, scale: Scale) -> None:
    """Stopped and started with 1, 3 and 2 processes, once killed instead of stopped."""
    for number, count in enumerate((1, 3, 2)):
        at.ready()
        time.sleep(scale.settle_s)
        if number == 1:
            at.cluster.kill()
        else:
            at.cluster.stop()
        at.cluster.resize(count)
        at.cluster.start()
    at.facts.append("2, 1, 3, 2 processes")


def recovery_gone(at: Stage, scale: Scale) -> None:
    """Killed, and the recovery store deleted: the group's offsets say where to go on."""
    at.ready()
    time.sleep(scale.settle_s + 5)
    at.cluster.kill()
    shutil.rmtree(at.cluster.recovery)
    at.cluster.make_recovery_store()
    at.cluster.start()


def hang(name: str) -> Play:
    """A server that takes connections and says nothing for a minute (SIGSTOP)."""

    def play(at: Stage, scale: Scale) -> None:
        at.ready()
        time.sleep(scale.settle_s)
        pid = at.servers.pids[name]
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        time.sleep(scale.outage_s)
        os.kill(pid, signal.SIGCONT)
        _probes(at, begin)
        _restart_the_dead(at)

    play.__doc__ = f"{name} hangs for a minute."
    return play


def slack_down(at: Stage, scale: Scale) -> None:
    """Slack answers 503 for a minute: alerts wait in the outbox."""
    at.ready()
    # Baselines take some days of the stream, a third of a minute each, before anything alarms.
    _wait_for_message(at, 0)
    before = len(at.slack.messages)
    at.slack.down = True
    time.sleep(scale.outage_s)
    at.slack.down = False
    _wait_for_message(at, before)
    at.facts.append(f"{before} messages before it, the first one held came after it")


def _wait_for_message(at: Stage, known: int, patience_s: float = 400.0) -> None:
    deadline = time.monotonic() + patience_s
    while len(at.slack.messages) <= known:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Slack got no message beyond {known} in {patience_s:.0f} s")
        time.sleep(0.5)


def full_disk(at: Stage, scale: Scale) -> None:
    """No space left for the recovery store and the outbox: it stops, and goes on with space."""
    at.ready()
    time.sleep(scale.settle_s)
    ballast = at.directory / "state" / "ballast"
    begin = time.monotonic()
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        except OSError as error:
            at.facts.append(f"full: {error.strerror}")
    time.sleep(scale.outage_s)
    ballast.unlink()
    _probes(at, begin)
    _restart_the_dead(at)


def _probes(at: Stage, begin: float) -> None:
    """What /readyz and /livez said from `begin` (monotonic seconds) on, for the report."""
    for name, seen in (("ready", at.watch.ready), ("alive", at.watch.alive)):
        said = [status == 200 for when, statuses in seen if when > begin for status in statuses]
        share = sum(said) / len(said) if said else 0.0
        at.facts.append(f"{name} {share:.0%} of the outage")


def _restart_the_dead(at: Stage) -> None:
    """What a supervisor does: when a process has ended, start its cluster again."""
    # A Redis that did not answer is asked again by then, and authors are counted.
    time.sleep(MAX_PAUSE_S + 5)
    codes = [process.poll() for process in at.cluster.processes]
    if any(code is not None for code in codes):
        at.facts.append(f"processes ended {codes} and were started again")
        at.cluster.kill()
        at.cluster.start()


SCENARIOS: dict[str, Play] = {
    "kills": kills,
    "one-of-two": one_of_two,
    "drain": drain,
    "rescale": rescale,
    "recovery-gone": recovery_gone,
    "broker-hangs": hang("broker"),
    "clickhouse-hangs": hang("clickhouse"),
    "valkey-hangs": hang("valkey"),
    "slack-down": slack_down,
    "disk-full": full_disk,
}
