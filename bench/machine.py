"""The machine that a figure is from, and the clock of its processor."""

from __future__ import annotations

import os
import platform
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")


def machine() -> str:
    """Cores, processor, Python and speed of this machine, as results name it.

    A virtual machine whose neighbours are busy is half as fast. What its host says of that is the
    time that was stolen (https://docs.kernel.org/filesystems/proc.html, /proc/stat), and not all.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")
    loop = min(timeit.repeat("for each in range(1_000_000): total += each", "total = 0", number=1))
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()},"
        f" a million additions in {loop * 1000:.0f} ms{_stolen_share()}"
    )


def _stolen_and_used() -> tuple[int, int]:
    """Ticks of all cores, since the start of the machine, that its host took and that it used."""
    if not _STAT.exists():
        return 0, 0
    user, nice, system, _, _, irq, softirq, stolen = map(int, _STAT.read_text().split()[1:9])
    return stolen, user + nice + system + irq + softirq


_AT_FIRST: Final = _stolen_and_used()


def _stolen_share() -> str:
    """What the host took of the time that was wanted since this module was loaded."""
    stolen, used = (now - then for now, then in zip(_stolen_and_used(), _AT_FIRST, strict=True))
    return f", {stolen / (stolen + used):.0%} of processor time stolen" if stolen else ""


def rate(run: Callable[[], object], number: int, rounds: int = 3) -> float:
    """How many of the `number` things that `run` does a second of processor time: the best round.

    A round before them warms up.
    """
    run()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return number / best
