"""The machine that a figure is from, and the clock of its processor."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path


def machine() -> str:
    """Cores, processor and Python of this machine, as results name it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


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
