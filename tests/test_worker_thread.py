"""What is local to the engine's thread lasts from one batch to the next."""

import threading

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from connectors.worker_thread import keep_thread_state


@pytest.mark.parametrize(
    ("what", "kept", "found"),
    [
        # When this one fails the engine does it itself, and `keep_thread_state` can go.
        ("the engine alone forgets", False, [0, 0, 0, 0]),
        ("a state that is kept lasts", True, [0, 1, 2, 3]),
    ],
)
def test_a_worker_thread_keeps_what_is_local_to_it(what: str, kept: bool, found: list[int]) -> None:
    local = threading.local()

    def earlier_calls(item: int) -> int:
        if kept:
            keep_thread_state()
        count: int = getattr(local, "count", 0)
        local.count = count + 1
        return count

    out: list[int] = []
    flow = Dataflow("local")
    items = op.input("in", flow, TestingSource(range(4), batch_size=1))
    op.output("out", op.map("count", items, earlier_calls), TestingSink(out))
    # In a thread of the engine's own: `run_main` takes the caller's.
    cluster_main(flow, [], 0)
    assert out == found, what
