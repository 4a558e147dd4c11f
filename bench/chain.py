"""The whole job on a file: posts a second and peak memory, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from events.encode import encode
from events.messages import Content

PEAK: Final = 10_000.0
"""Posts a second at the peak of the design load."""


@dataclass(frozen=True)
class Run:
    """One run of `breakwater run --input`: start-up included in the seconds, memory in bytes."""

    posts: int
    seconds: float
    peak_memory: int


def repeated(contents: Sequence[Content], count: int) -> Iterator[Content]:
    """`count` contents over and over from `contents`, with ids and times of their own.

    They were posted at `PEAK`, the last one just now: a batch is of seconds, as it is in earnest,
    and not of all the minutes of the day.
    """
    first = datetime.now(UTC) - timedelta(seconds=count / PEAK)
    for number in range(count):
        content = contents[number % len(contents)]
        at = first + timedelta(seconds=number / PEAK)
        yield msgspec.structs.replace(content, content_id=f"bench-{number}", created_at=at)


def measure_run(contents: Iterable[Content]) -> Run:
    """Run the job on `contents` and wait for its end; raises when it fails."""
    with TemporaryDirectory() as directory:
        source = Path(directory) / "posts.jsonl"
        posts = 0
        with source.open("wb") as file:
            for content in contents:
                file.write(encode(content) + b"\n")
                posts += 1
        # Of a small process: the peak of one that is started counts from that of who started it.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as small:
            seconds, peak_memory = small.submit(_run, source, Path(directory) / "out").result()
    return Run(posts, seconds, peak_memory)


def _run(source: Path, output: Path) -> tuple[float, int]:
    """Seconds and bytes that the job takes for the posts in `source`."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "run", "--input", source, "--output", output],
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("breakwater run failed")
    # Linux reports kilobytes.
    return time.perf_counter() - start, usage.ru_maxrss * 1024
