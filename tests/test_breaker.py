"""A stage that is down or slow: what the items say, and when it is tried again."""

import threading

import pytest
from builders import item, items

from events.messages import Image, Signal
from operators.breaker import FIRST_PAUSE_S, MAX_PAUSE_S, Breaker, Deadline


class Part:
    """A stage that can be broken, or made to hang until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.broken = False
        self.breaks_on = None
        self.free = threading.Event()
        self.free.set()
        self.over = threading.Event()

    def __call__(self, batch):
        self.calls += 1
        for one in batch:
            one.signals.append(Signal("part", "seen", "spam", 0.5))
        if self.broken or any(one.content.text == self.breaks_on for one in batch):
            raise OSError("no index")
        self.free.wait(30)
        for one in batch:
            one.scores["spam"] = 0.5
        self.over.set()
        return batch


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guarded(part: Part, clock: Clock, deadline_s: float = 30.0, **options) -> Breaker:
    return Breaker("part", part, Deadline(deadline_s), now=clock, **options)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_stage_that_works_is_only_passed_on(part, clock, count: int) -> None:
    out = guarded(part, clock)(items(count))
    assert [one.content.content_id for one in out] == [f"c{n}" for n in range(count)]
    assert all(one.scores == {"spam": 0.5} and one.degraded == [] for one in out)


def test_what_a_broken_stage_half_did_is_not_kept(part, clock) -> None:
    part.broken = True
    out = guarded(part, clock)(items(2))
    assert [(one.degraded, one.signals) for one in out] == [(["part"], [])] * 2


def test_it_is_tried_again_after_growing_pauses_and_not_on_every_batch(part, clock) -> None:
    breaker = guarded(part, clock)
    part.broken = True
    pause = FIRST_PAUSE_S
    breaker(items(1))
    for tries in range(2, 12):
        clock.at += pause - 0.001
        assert breaker(items(1))[0].degraded == ["part"]
        assert part.calls == tries - 1
        clock.at += 0.001
        breaker(items(1))
        assert part.calls == tries
        pause = min(2 * pause, MAX_PAUSE_S)


def test_after_a_success_the_pauses_are_short_again(part, clock) -> None:
    breaker = guarded(part, clock)
    part.broken = True
    for _ in range(5):
        breaker(items(1))
        clock.at += MAX_PAUSE_S
    part.broken = False
    assert breaker(items(1))[0].degraded == []
    part.broken = True
    breaker(items(1))
    clock.at += FIRST_PAUSE_S
    assert not breaker.open


def test_a_stage_that_hangs_is_left_behind_and_touches_nothing(part, clock) -> None:
    breaker = guarded(part, clock, deadline_s=0.01)
    part.free.clear()
    batch = items(2)
    out = breaker(batch)
    assert [one.degraded for one in out] == [["part"]] * 2
    clock.at += MAX_PAUSE_S
    assert breaker.open  # it hangs still: no second one beside it
    assert breaker(items(1))[0].degraded == ["part"]
    assert part.calls == 1
    part.free.set()
    assert part.over.wait(30)
    assert [(one.scores, one.signals) for one in out] == [({}, [])] * 2


def test_it_comes_back_when_it_no_longer_hangs(part, clock) -> None:
    breaker = guarded(part, clock, deadline_s=0.01)
    part.free.clear()
    breaker(items(1))
    part.free.set()
    assert breaker._thread._done.wait(30)
    breaker._deadline = Deadline(30.0)
    clock.at += MAX_PAUSE_S
    assert breaker(items(1))[0].scores == {"spam": 0.5}


@pytest.mark.parametrize("bad", [{0}, {999}, {3, 4, 500}])
def test_a_content_that_breaks_a_stage_is_marked_alone(part, clock, bad: set[int]) -> None:
    part.breaks_on = "poison"
    batch = [item(f"c{n}", text="poison" if n in bad else "fine") for n in range(1000)]
    breaker = guarded(part, clock)
    out = breaker(batch)
    assert [one.content.content_id for one in out] == [f"c{n}" for n in range(1000)]
    assert {n for n, one in enumerate(out) if one.degraded} == bad
    assert all(len(one.signals) == (n not in bad) for n, one in enumerate(out))
    assert part.calls < 80
    assert not breaker.open


def test_a_stage_that_is_tried_again_and_fails_is_not_asked_about_each_item(part, clock) -> None:
    breaker = guarded(part, clock)
    part.broken = True
    breaker(items(1))
    clock.at += FIRST_PAUSE_S
    breaker(items(1000))
    assert part.calls == 2


def test_items_that_are_none_of_its_business_are_not_given_to_it_nor_marked(part, clock) -> None:
    breaker = guarded(part, clock, sees=lambda one: one.content.text != "")
    part.broken = True
    pictures = {0, 3}
    batch = [
        item(f"c{n}", text="", images=[Image("i", uri="file:///x")]) if n in pictures else item()
        for n in range(5)
    ]
    assert breaker(batch[:1])[0] is batch[0]
    assert (part.calls, breaker.open) == (0, False)
    out = breaker(batch)
    assert [bool(one.degraded) for one in out] == [False, True, True, False, True]
    assert [one.content for one in out] == [one.content for one in batch]


def test_what_is_done_without_the_stage(part, clock) -> None:
    def guess(batch):
        for one in batch:
            one.scores["spam"] = 0.1
        return batch

    breaker = guarded(part, clock, without=guess)
    part.broken = True
    for _ in range(2):  # as it fails, and as it is left alone
        assert [one.scores for one in breaker(items(2))] == [{"spam": 0.1}] * 2


def test_a_batch_has_longer_the_more_there_is_to_look_at(part, clock) -> None:
    part.free.clear()
    threading.Timer(0.05, part.free.set).start()
    breaker = Breaker("part", part, Deadline(0.0, item_s=0.1), now=clock)
    assert all(not one.degraded for one in breaker(items(300)))


@pytest.mark.parametrize(("items", "seconds"), [(0, 5.0), (100, 7.0), (2_000, 45.0), (8_000, 45.0)])
def test_a_deadline_grows_up_to_its_bound(items: int, seconds: float) -> None:
    assert Deadline(5.0, 0.02, most_s=45.0).seconds(items) == seconds


def test_a_panic_of_a_library_is_a_failure_like_another(part, clock) -> None:
    class PanicError(BaseException):
        """As pyo3 raises it."""

    def stage(batch):
        if part.broken:
            raise PanicError
        return batch

    breaker = Breaker("part", stage, Deadline(30.0), now=clock)
    part.broken = True
    assert breaker(items(1))[0].degraded == ["part"]
    part.broken, clock.at = False, FIRST_PAUSE_S
    assert breaker(items(1))[0].degraded == []


def test_an_interrupt_is_no_failure_of_the_stage(clock) -> None:
    def stage(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Breaker("part", stage, None, now=clock)(items(1))


def test_a_stage_without_a_deadline_runs_where_it_is_called(clock) -> None:
    threads = []

    def stage(batch):
        threads.append(threading.current_thread())
        raise OSError("no model")

    breaker = Breaker("part", stage, None, now=clock)
    assert breaker(items(1))[0].degraded == ["part"]
    assert breaker(items(1))[0].degraded == ["part"]
    assert threads == [threading.current_thread()]
