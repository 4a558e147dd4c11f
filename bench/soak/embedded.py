"""A run on a file whose embedded store has no room: it stops with a word, and is done with room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import clickhouse_connect

from bench.chain import repeated
from bench.cluster import ROOT
from bench.soak.stage import disk
from cli.load import demo_mix
from events.encode import encode

POSTS = 40_000


def full_disk() -> tuple[str, bool]:
    """The row of the report, and whether every post has one row in the end.

    Raises:
        OSError: the small disk cannot be mounted.
    """
    with TemporaryDirectory() as temporary:
        source, small = Path(temporary) / "posts.jsonl", Path(temporary) / "small"
        with source.open("wb") as file:
            file.writelines(encode(content) + b"\n" for content in repeated(demo_mix(), POSTS))
        with disk(small, megabytes=24):
            stopped = _run(source, small / "out")
            subprocess.run(["mount", "-o", "remount,size=500m", small], check=True)
            done = _run(source, small / "out")
            client = clickhouse_connect.get_client(dsn=f"chdb://{small / 'out' / 'clickhouse'}")
            counts = client.query(
                "SELECT count(), uniqExact(content_id) FROM moderation.moderation_logs FINAL"
            ).result_rows[0]
            client.close()
    rows, distinct = int(counts[0]), int(counts[1])
    said = stopped.stderr.splitlines()[-1] if stopped.stderr else ""
    facts = f"exit code {stopped.returncode}: {said[:200]}; with room {done.returncode}"
    fine = stopped.returncode == 1 and done.returncode == 0 and rows == distinct == POSTS
    lost, doubled = POSTS - distinct, rows - distinct
    return f"| embedded-disk-full | {POSTS:,} | {lost} | {doubled} | | | | | {facts} |", fine


def _run(source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "run", "--input", source, "--output", output,
         "--overwrite"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
