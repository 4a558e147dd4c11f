"""The machine that a figure is from, and the clock of its processor."""

from __future__ import annotations

import os
import platform
import time
import timeit
from collections.abc import Callable
from pathlib import Path


def machine() -> str:
    """Cores, processor, Python and speed of this machine, as results name it.

    A virtual machine whose neighbours are busy is half as fast, and says nothing of it.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")
    loop = min(timeit.repeat("for each in range(1_000_000): total += each", "total = 0", number=1))
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()},"
        f" a million additions in {loop * 1000:.0f} ms"
    )


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
