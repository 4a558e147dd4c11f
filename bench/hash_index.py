"""The hash index at its size: `python -m bench.hash_index [--entries 10_000_000]`.

Prints a paragraph for bench/RESULTS-images.md. Random PDQ hashes, distance 31; rates by processor
time; needs 3 GB of memory and disk for 10 million.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from bench.machine import machine, rate
from models.image.hash_index import HashIndex
from models.image.hashes import PDQ_BYTES, Hashes
from operators.image_hash import PDQ_DISTANCE

BATCHES: Final = (64, 8, 1)
_QUERIES: Final = 2_048


def lookups(index: HashIndex, queries: Hashes, batch: int) -> float:
    """How many a second of processor time in batches of `batch`."""
    asked = queries[: _QUERIES if batch > 1 else _QUERIES // 8]

    def run() -> None:
        for first in range(0, len(asked), batch):
            index.search(asked[first : first + batch], PDQ_DISTANCE)

    return rate(run, len(asked), rounds=5)


def report(entries: int) -> str:
    """An index of so many random hashes, built, saved, mapped and asked."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 256, (entries, PDQ_BYTES), np.uint8)
    queries = hashes[random.integers(0, entries, _QUERIES)]
    wall, cpu = time.perf_counter(), time.process_time()
    index = HashIndex.build(hashes, PDQ_DISTANCE)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with TemporaryDirectory() as directory:
        saved = Path(directory) / "index"
        index.save(saved)
        size = sum(file.stat().st_size for file in saved.iterdir())
        rows = [
            f"| {where} | "
            + " | ".join(f"{lookups(one, queries, batch):,.0f}" for batch in BATCHES)
            + " |"
            for where, one in (("in memory", index), ("mapped", HashIndex.open(saved)))
        ]
    told = (
        f"`python -m bench.hash_index --entries {entries}`, {datetime.now(UTC):%Y-%m-%d}, one of "
        f"{machine()}. Built in {wall:.0f} s ({cpu:.0f} s of processor time, {peak / 1e9:.1f} GB "
        f"at most); {size / 1e9:.2f} GB saved and mapped. Look-ups a second of processor time:\n"
    )
    columns = "| | " + " | ".join(f"batches of {batch}" for batch in BATCHES) + " |"
    return "\n".join([told, columns, "|---" * (1 + len(BATCHES)) + "|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    print(report(parser.parse_args().entries))


if __name__ == "__main__":
    main()
