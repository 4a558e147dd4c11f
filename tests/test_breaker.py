"""A stage that is down or slow: what the items say, and when it is tried again."""

import threading

import pytest
from builders import items

from events.messages import Signal
from operators.breaker import FIRST_PAUSE_S, MAX_PAUSE_S, Breaker


class Part:
    """A stage that can be broken, or made to hang until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.broken = False
        self.free = threading.Event()
        self.free.set()
        self.over = threading.Event()

    def __call__(self, batch):
        self.calls += 1
        for one in batch:
            one.signals.append(Signal("part", "seen", "spam", 0.5))
        if self.broken:
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


def guarded(part: Part, clock: Clock, deadline_s: float = 30.0) -> Breaker:
    return Breaker("part", part, deadline_s, now=clock)


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
    hanging = breaker._hanging
    part.free.set()
    hanging.join()
    breaker._deadline_s = 30.0
    clock.at += MAX_PAUSE_S
    assert breaker(items(1))[0].scores == {"spam": 0.5}
