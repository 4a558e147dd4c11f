"""Ctrl-C in a run on files: what was taken is delivered, one line says so, the exit code is 130."""

import signal
import subprocess
import time
from pathlib import Path

import bytewax.operators as op
import clickhouse_connect
import pytest
from builders import content
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource
from test_stream import BREAKWATER, ROOT, environment

from connectors.clickhouse import ClickHouseWriter
from events.encode import encode
from flows.job import Job, JobFailedError, run
from flows.moderation import FILE_EPOCH

MANY = 100_000
"""More than a machine decides between the first decision and the signal."""
READ_AT_ONCE = 1000


def posts(count: int) -> bytes:
    return b"".join(encode(content(f"c{number}")) + b"\n" for number in range(count))


@pytest.mark.parametrize(
    ("what", "arguments", "standard_input"),
    [
        ("a file", ["run", "--input", "{home}/posts.jsonl", "--output", "{home}/out"], b""),
        (
            "standard input that says nothing more, in the middle of a line",
            ["run", "--input", "-", "--output", "{home}/out"],
            posts(READ_AT_ONCE) + b'{"content_id": "cut',
        ),
        ("the demo", ["demo", "--posts", f"{MANY // 2}", "--output", "{home}/out"], b""),
    ],
)
def test_what_was_taken_is_delivered(tmp_path: Path, what, arguments, standard_input):
    (tmp_path / "posts.jsonl").write_bytes(posts(MANY))
    process = subprocess.Popen(
        [*BREAKWATER, *(argument.format(home=tmp_path) for argument in arguments)],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(standard_input)
    process.stdin.flush()
    decisions = tmp_path / "out" / "decisions.jsonl"
    wait_for_decisions(decisions, process)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode()
    assert process.wait() == 130, said
    [line] = said.splitlines()
    count = len(decisions.read_bytes().splitlines())
    assert line.startswith(f"breakwater: interrupted: {count:,} decisions ("), what
    assert "0 dead letters, the input was not read to its end" in line
    assert rows(tmp_path / "out") == count


def wait_for_decisions(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or not path.stat().st_size:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows(output: Path) -> int:
    client = clickhouse_connect.get_client(dsn=f"chdb://{output}/clickhouse", database="default")
    [(count,)] = client.query("SELECT count() FROM moderation.moderation_logs FINAL").result_rows
    client.close()
    return count


class WordlessError(Exception):
    """An error without a message."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WordlessError(), "stopped: WordlessError"),
        (WordlessError("x is away"), "stopped: x is away"),
    ],
)
def test_a_failure_is_told_by_its_name_where_it_has_no_words(tmp_path: Path, error, told) -> None:
    def fail(_: int) -> int:
        raise error

    flow = Dataflow("failing")
    op.output(
        "out", op.map("fail", op.input("in", flow, TestingSource([1])), fail), TestingSink([])
    )
    with pytest.raises(JobFailedError, match=f"^{told}$"):
        run(Job(flow, ClickHouseWriter(f"chdb://{tmp_path}")), epoch=FILE_EPOCH)
