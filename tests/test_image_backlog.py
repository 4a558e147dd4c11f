"""Two answers: at once by the text, for good when the images are seen, and none of them lost."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from builders import decision
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main
from image_items import item as image_item
from msgspec import structs

from events.messages import Signal
from events.records import Judgement
from operators import image_backlog
from operators.image_backlog import ImageBacklog, lane_of, see_images
from operators.item import Item

DEADLINE = 30.0


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def item(number: int, *images: bytes) -> Item:
    made = image_item(*images)
    made.content = structs.replace(made.content, content_id=f"c{number}")
    return made


def pictured(count: int) -> list[Item]:
    return [item(number, b"picture") for number in range(count)]


def see(items: list[Item]) -> list[Item]:
    for one in items:
        one.signals.append(Signal("image", "seen", "", 0.0))
    return items


def at_once(items: list[Item]) -> list[Judgement]:
    for one in items:
        one.signals.append(Signal("image", "quick", "", 0.0))
    return [Judgement(one.content, decision(one.content.content_id, final=False)) for one in items]


def ids(items) -> list[str]:
    return [one.content.content_id for one in items]


class Held:
    """Stages of images that finish nothing before they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, items: list[Item]) -> list[Item]:
        assert self.go.wait(DEADLINE)
        return see(items)


class TestBacklog:
    @pytest.mark.parametrize("count", [0, 1, 2, 1000])
    def test_all_come_out_seen_and_in_order(self, executor, count):
        backlog = ImageBacklog(see, executor)
        backlog.add(pictured(count))
        done = backlog.finish()
        assert ids(done) == [f"c{number}" for number in range(count)]
        assert all([signal.rule for signal in one.signals] == ["seen"] for one in done)
        assert backlog.waiting == ()

    def test_what_waits_is_as_it_came_even_while_it_is_looked_at(self, executor):
        held = Held()
        backlog = ImageBacklog(held, executor)
        given = pictured(3)
        backlog.add(given)
        assert backlog.take() == []
        assert ids(backlog.waiting) == ["c0", "c1", "c2"]
        held.go.set()
        assert all(one.signals for one in backlog.finish())
        assert [one.signals for one in given] == [[], [], []]

    @pytest.mark.parametrize(
        "size", [1, image_backlog.MAX_WAITING_BYTES + 1], ids=["many", "large"]
    )
    def test_when_too_much_waits_the_stream_waits(self, executor, size):
        backlog = ImageBacklog(see, executor)
        count = 1 if size > 1 else image_backlog.MAX_WAITING_ITEMS + 1
        backlog.add([item(number, b"x" * size) for number in range(count)])
        assert backlog.take()
        assert len(backlog.waiting) <= image_backlog.MAX_WAITING_ITEMS

    def test_who_waits_is_told_of(self, executor, monkeypatch):
        monkeypatch.setattr(image_backlog, "_PATIENCE_S", 0.01)
        held = Held()
        backlog = ImageBacklog(held, executor, on_wait=held.go.set)
        backlog.add(pictured(1))
        assert ids(backlog.finish()) == ["c0"], "let go by the call"

    def test_what_fails_stops_the_stream_and_stays_waiting(self, executor):
        def broken(_: list[Item]) -> list[Item]:
            raise RuntimeError("a stage that should not raise")

        backlog = ImageBacklog(broken, executor)
        backlog.add(pictured(1))
        with pytest.raises(RuntimeError):
            backlog.finish()
        assert ids(backlog.waiting) == ["c0"]

    def test_what_waits_survives_a_snapshot(self, executor):
        held = Held()
        before = ImageBacklog(held, executor)
        before.add(pictured(5))
        saved = pickle.dumps(before.waiting)
        held.go.set()
        after = ImageBacklog(see, executor)
        after.add(pickle.loads(saved))
        assert after.finish() == before.finish()


def flow(source, executor, sink, see=see) -> Dataflow:
    made = Dataflow("test")
    out = see_images("see", op.input("in", made, source), see, at_once, executor)
    op.output("out", op.merge("both", out.quick, out.items), sink)
    return made


def told(out: list[Item | Judgement], content_id: str) -> list[str]:
    """What came out for a content, in order."""
    return [
        "quick" if isinstance(one, Judgement) else ",".join(s.rule for s in one.signals)
        for one in out
        if one.content.content_id == content_id
    ]


class TestStream:
    @pytest.mark.parametrize("batch", [1, 2, 1000])
    def test_images_get_two_answers_and_text_passes(self, executor, batch):
        items = [item(n, b"picture") if n % 3 == 0 else item(n) for n in range(100)]
        out: list[Item | Judgement] = []
        run_main(flow(TestingSource(items, batch), executor, TestingSink(out)))
        for n in range(100):
            assert told(out, f"c{n}") == (["quick", "seen"] if n % 3 == 0 else [""])

    def test_the_quick_answer_and_other_texts_do_not_wait_for_images(self, executor):
        held = Held()

        class Sink(list):
            """Lets the images go when all else is out."""

            def __iadd__(self, batch):
                self.extend(batch)
                return self

            def extend(self, batch):
                super().extend(batch)
                if {"quick", ""} <= {word for n in range(2) for word in told(self, f"c{n}")}:
                    held.go.set()

        out = Sink()
        source = TestingSource([item(0, b"picture"), item(1)])
        run_main(flow(source, executor, TestingSink(out), held))
        assert told(out, "c0") == ["quick", "seen"]

    def test_a_crash_loses_no_final_answer(self, executor, tmp_path):
        held = Held()
        items = pictured(20)
        source = TestingSource([*items[:10], TestingSource.ABORT(), *items[10:]], 1)
        init_db_dir(tmp_path, 1)
        out: list[Item | Judgement] = []
        for _ in range(2):
            run_main(
                flow(source, executor, TestingSink(out), held),
                epoch_interval=timedelta(0),
                recovery_config=RecoveryConfig(str(tmp_path)),
            )
            # Nothing was seen before the crash: what is now, was in the snapshot.
            held.go.set()
        for n in range(20):
            assert told(out, f"c{n}")[-1] == "seen"
            assert told(out, f"c{n}").count("seen") == 1


def test_edits_of_a_content_share_a_lane() -> None:
    assert lane_of("c1") == lane_of("c1")
    assert len({lane_of(f"c{n}") for n in range(1000)}) == len(image_backlog.LANES)
