"""The sink that answers for delivery at the end of an epoch, on the engine itself."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Semaphore

import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.operators import input as op_input
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main, run_main
from servers import free_port

from connectors.local_sink import PARTITIONS, Process, Writer, write
from connectors.writers import (
    EAGER_ROWS,
    FEW_IN_FLIGHT,
    IN_FLIGHT,
    GatheringWriter,
    HoldingWriter,
    TeeWriter,
)


class Recorder(Writer[int]):
    """A writer that remembers what it was asked, in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def write(self, batch: list[int]) -> None:
        self.calls.append(list(batch))

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")

    @property
    def written(self) -> list[int]:
        return [value for call in self.calls if isinstance(call, list) for value in call]


def flow(source: TestingSource, recorder: Recorder, process: Process = Process()) -> Dataflow:
    made = Dataflow("flow")
    write("out", op_input("in", made, source), lambda: recorder, process)
    return made


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_everything_is_written_and_flushed_before_it_is_closed(batch_size: int) -> None:
    recorder = Recorder()
    run_main(flow(TestingSource(range(1500), batch_size), recorder))
    assert sorted(recorder.written) == list(range(1500))
    assert recorder.calls[-2:] == ["flush", "close"]


def test_what_was_not_flushed_is_read_again(tmp_path) -> None:
    """A writer that fails at the end of an epoch keeps its position from being committed."""

    class Failing(Recorder):
        def flush(self) -> None:
            raise OSError("disk full")

    init_db_dir(tmp_path, 1)
    config = RecoveryConfig(str(tmp_path))
    with pytest.raises(BytewaxRuntimeError) as error:
        run_main(flow(TestingSource(range(10), 3), Failing()), recovery_config=config)
    assert str(error.value.__cause__) == "disk full"
    recorder = Recorder()
    run_main(flow(TestingSource(range(10), 3), recorder), recovery_config=config)
    assert sorted(recorder.written) == list(range(10))


@pytest.mark.parametrize("count", [1, 2, 3, 32])
def test_partitions_are_the_same_for_any_number_of_processes(count: int) -> None:
    processes = [Process(index, count) for index in range(count)]
    listed = sorted(name for process in processes for name in process.partitions)
    assert listed == [f"{number:02d}" for number in range(PARTITIONS)]
    assert all(process.partition in process.partitions for process in processes)


def test_a_cluster_can_come_back_with_another_number_of_processes(tmp_path) -> None:
    init_db_dir(tmp_path, 1)
    config = RecoveryConfig(str(tmp_path))
    stopped = TestingSource([1, 2, TestingSource.ABORT(), 3])
    run_main(flow(stopped, Recorder()), epoch_interval=timedelta(0), recovery_config=config)
    recorder = Recorder()
    cluster_main(
        flow(stopped, recorder), [f"127.0.0.1:{free_port()}"], 0, worker_count_per_proc=2,
        epoch_interval=timedelta(0), recovery_config=config,
    )  # fmt: skip
    assert 3 in recorder.written


class Holding(Recorder):
    """Holds the last batch back when an epoch ends."""

    def snapshot(self) -> bytes:
        return bytes(self.written[-1:])

    def resume(self, held: bytes) -> None:
        self.calls.append(f"resume {list(held)}")


class SecondOfTwo(Process):
    """Writes where the second process does."""

    partition = "01"


def test_what_was_held_is_delivered_by_the_next_run_even_one_of_fewer_processes(tmp_path) -> None:
    init_db_dir(tmp_path, 1)
    source = TestingSource([1, 2, TestingSource.ABORT(), 3, TestingSource.ABORT(), 4])

    def run(process: Process) -> list[list[object]]:
        """What each writer was asked for."""
        writers: list[Holding] = []

        def build() -> Holding:
            writers.append(Holding())
            return writers[-1]

        made = Dataflow("flow")
        write("out", op_input("in", made, source), build, process)
        run_main(
            made,
            epoch_interval=timedelta(0),
            recovery_config=RecoveryConfig(str(tmp_path)),
        )
        return sorted((writer.calls for writer in writers), key=str)

    assert run(SecondOfTwo()) == [[[1], [2], "close"]]
    assert run(Process()) == [["resume [2]", "close"], [[3], "close"]]
    [[resumed, *_]] = run(Process())
    assert resumed == "resume [3]", "and no more what the lost process held"


def holding(insert, executor, may_hold=lambda: True) -> HoldingWriter[int]:
    return HoldingWriter(insert, executor, int, may_hold)


def test_a_stream_that_seldom_has_anything_waits_for_no_insert() -> None:
    inserted: list[int] = []
    turns = Semaphore(0)

    def insert(rows: Sequence[int]) -> None:
        turns.acquire(timeout=30)
        inserted.extend(rows)

    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(insert, executor, rows=1, in_flight=FEW_IN_FLIGHT)
        for row in range(IN_FLIGHT + 3):
            writer.write([row])
        assert inserted == [], "all were taken, and none has arrived"
        turns.release(IN_FLIGHT + 3)
        writer.flush()
    assert inserted == list(range(IN_FLIGHT + 3))


def test_rows_on_their_way_are_held_when_an_epoch_ends_and_waited_for_at_the_next() -> None:
    inserted: list[list[int]] = []
    turns = Semaphore(0)

    def insert(rows: Sequence[int]) -> None:
        turns.acquire(timeout=30)
        inserted.append(list(rows))

    with ThreadPoolExecutor(1) as executor:
        writer = holding(insert, executor)
        assert writer.snapshot() == b"", "nothing written"
        writer.write([1, 2])
        first = writer.snapshot()
        assert inserted == [], "nobody waited"
        writer.write([3])
        turns.release()
        second = writer.snapshot()
        assert inserted == [[1, 2]], "what was held an epoch ago was waited for"
        turns.release(9)
        writer.close()
        assert writer.snapshot() == b"", "what is inserted is held no longer"
        assert inserted == [[1, 2], [3]]
        again = holding(insert, executor)
        again.resume(first)
        again.resume(second)
        assert inserted == [[1, 2], [3], [1, 2], [3]]


def test_more_than_may_be_held_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("connectors.writers.HELD_BYTES", 2)
    inserted: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        writer = holding(inserted.extend, executor)
        writer.write([1, 2])
        assert writer.snapshot() == b""
        assert inserted == [1, 2]


def test_nothing_is_held_without_a_recovery_store_or_at_a_stop() -> None:
    inserted: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        writer = holding(inserted.extend, executor, may_hold=lambda: False)
        writer.write([1, 2])
        assert writer.snapshot() == b""
        assert inserted == [1, 2]


def test_gathered_rows_are_inserted_at_the_size_and_at_the_flush() -> None:
    inserts: list[list[int]] = []
    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(lambda rows: inserts.append(list(rows)), executor, rows=10)
        writer.write(list(range(9)))
        assert inserts == []
        writer.write([9])
        writer.write([10])
        writer.flush()
        writer.flush()
        assert inserts == [list(range(10)), [10]]
        writer.write([11])
        writer.close()
    assert inserts[2:] == [[11]]


def test_while_nothing_is_inserted_fewer_rows_are_enough() -> None:
    inserts: list[int] = []
    turns = Semaphore(0)

    def insert(rows: Sequence[int]) -> None:
        inserts.append(len(rows))
        turns.acquire(timeout=30)

    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(insert, executor, now=lambda: 0.0)
        writer.write([0] * (EAGER_ROWS - 1))
        executor.submit(lambda: None).result(30)
        assert inserts == []
        writer.write([0])
        writer.write([0] * EAGER_ROWS)
        writer.write([0])
        turns.release(9)
        writer.flush()
    assert inserts == [EAGER_ROWS, EAGER_ROWS + 1], "the others waited for the first"


def test_an_insert_that_fails_is_raised_at_the_flush() -> None:
    def fail(rows: object) -> None:
        raise OSError("store is gone")

    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(fail, executor)
        writer.write([1])
        with pytest.raises(OSError, match="store is gone"):
            writer.flush()


def test_a_slow_store_holds_the_stream_up_which_says_so_instead_of_filling_the_memory() -> None:
    let_go, inserted = Event(), []

    def insert(rows: Sequence[int]) -> None:
        let_go.wait(30)
        inserted.extend(rows)

    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(insert, executor, rows=1, waiting=let_go.set)
        for row in range(IN_FLIGHT):
            writer.write([row])
        assert not let_go.is_set(), "so many may wait"
        writer.write([IN_FLIGHT])
        assert let_go.is_set()
        writer.flush()
    assert inserted == list(range(IN_FLIGHT + 1))


def test_two_seconds_after_an_insert_rows_are_inserted_however_few() -> None:
    inserts: list[list[int]] = []
    seconds = [0.0]
    with ThreadPoolExecutor(1) as executor:
        writer = GatheringWriter(
            lambda rows: inserts.append(list(rows)), executor, now=lambda: seconds[0]
        )
        for at, row in ((1.9, 1), (2.0, 2), (2.0, 3), (3.9, 4), (4.1, 5), (60.0, 6), (60.1, 7)):
            seconds[0] = at
            writer.write([row])
        executor.submit(lambda: None).result(30)
        assert inserts == [[1, 2], [3, 4, 5], [6]], "a row that comes alone waits for nothing"
        writer.flush()
    assert inserts[3:] == [[7]]


def test_a_tee_does_everything_to_each() -> None:
    recorders = Recorder(), Recorder()
    tee = TeeWriter[int](*recorders)
    tee.write([1])
    tee.flush()
    tee.close()
    assert [recorder.calls for recorder in recorders] == [[[1], "flush", "close"]] * 2
