"""A step that fails says which and why, in one process and in a cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from servers import free_port

ROOT = Path(__file__).parent.parent

FLOW = """
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from connectors.local_sink import Process, Writer, write
from flows.failures import log_failures
from flows.logs import set_up_logging

FAILING = "{failing}"

def fail_in(place):
    if place == FAILING:
        raise ValueError("the reason")

class Part(StatefulSourcePartition):
    def __init__(self): self.left = 3
    def next_batch(self):
        fail_in("source")
        if not self.left: raise StopIteration
        self.left -= 1
        return [self.left]
    def snapshot(self): return None

class Source(FixedPartitionedSource):
    def list_parts(self): return ["0"]
    def build_part(self, step_id, part, resume): return Part()

class Logic(StatefulBatchLogic):
    def on_batch(self, values):
        fail_in("state")
        return values, self.RETAIN
    def snapshot(self): return None

class FailingWriter(Writer):
    def write(self, batch): fail_in("sink")
    def flush(self): pass
    def close(self): fail_in("sink")

def mapped(batch):
    fail_in("map")
    return [("key", item) for item in batch]

def build():
    set_up_logging()
    flow = Dataflow("flow")
    keyed = op.flat_map_batch("map", op.input("source", flow, Source()), mapped)
    kept = op.stateful_batch("state", keyed, lambda resume: Logic())
    write("sink", kept, FailingWriter, Process())
    return log_failures(flow)
"""


def run(tmp_path: Path, failing: str, *cluster: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "failing_flow.py").write_text(FLOW.replace("{failing}", failing))
    return subprocess.run(
        [sys.executable, "-m", "bytewax.run", "failing_flow:build()", *cluster],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def told(stderr: str) -> list[dict]:
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("failing", ["source", "map", "state", "sink"])
def test_a_process_of_a_cluster_says_which_step_failed_and_why(tmp_path, failing: str) -> None:
    done = run(tmp_path, failing, "-i", "0", "-a", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0
    [line] = told(done.stderr)
    assert (line["event"], line["step"].startswith(f"flow.{failing}")) == ("step failed", True)
    assert "ValueError: the reason" in line["exception"]


def test_a_sink_that_fails_again_when_it_is_closed_does_not_abort_the_process(tmp_path) -> None:
    done = run(tmp_path, "sink")
    assert done.returncode == 1, "and not -6, a panic in a destructor"
    [line] = told(done.stderr)
    assert (line["event"], line["step"].startswith("flow.sink")) == ("step failed", True)


def test_a_flow_that_ends_says_nothing(tmp_path) -> None:
    done = run(tmp_path, "nowhere", "-i", "0", "-a", f"127.0.0.1:{free_port()}")
    assert (done.returncode, done.stderr) == (0, "")
