"""A thread beside the stream: in order, nothing swallowed, not waited for at the end."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from connectors.daemon_executor import DaemonExecutor


def test_one_thing_is_done_after_the_other() -> None:
    executor, done = DaemonExecutor("test"), []
    futures = [executor.submit(done.append, number) for number in range(100)]
    assert [future.result(10) for future in futures] == [None] * 100
    assert done == list(range(100))


def test_what_is_raised_is_told_and_the_next_is_done() -> None:
    executor = DaemonExecutor("test")
    failed, done = executor.submit(int, "x"), executor.submit(int, "7")
    with pytest.raises(ValueError, match="'x'"):
        failed.result(10)
    assert done.result(10) == 7


def test_what_was_cancelled_before_its_turn_is_not_done() -> None:
    executor, done, go = DaemonExecutor("test"), [], threading.Event()
    executor.submit(go.wait)
    assert executor.submit(done.append, 1).cancel()
    go.set()
    executor.submit(int).result(10)
    assert done == []


def test_a_process_ends_while_something_hangs() -> None:
    code = (
        "import threading; from connectors.daemon_executor import DaemonExecutor;"
        "begun = threading.Event();"
        "DaemonExecutor('test').submit(lambda: (begun.set(), threading.Event().wait()));"
        "begun.wait(); raise SystemExit(3)"
    )
    root = Path(__file__).parent.parent
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60, check=False).returncode
        == 3
    )
