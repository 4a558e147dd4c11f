"""Windows of event time and the surges of single keys."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace

import pytest

from events.messages import AlertKey
from operators.sketch import DistinctSketch
from operators.surge_settings import KeySurge, SurgeSettings
from operators.surge_tally import EventClock, SurgeEvent, Tick
from operators.surge_windows import SurgeState

KEY = AlertKey("spam", "evil.example")
START = 1_772_409_600.0
SETTINGS = SurgeSettings(warm_up=10)


def events(
    minute: float, count: int, *, authors: int = 100, key: AlertKey = KEY
) -> list[SurgeEvent]:
    return [
        SurgeEvent(
            key, START + 60 * minute + 50 * n / max(1, count), f"a{n % authors}", f"c{minute}-{n}"
        )
        for n in range(count)
    ]


def tick(minute: float) -> Tick:
    number = int(START // 60 + minute)
    return Tick(START + 60 * minute, {number: 1, number - 1: 1})


def run(
    counts: Iterable[int],
    *,
    authors: int = 100,
    settings: SurgeSettings = SETTINGS,
    finish: bool = True,
) -> list[KeySurge]:
    """The changes of a state that sees a minute of each count, on a stream that never stops."""
    state = SurgeState(settings)
    changes: list[KeySurge] = []
    for minute, count in enumerate(counts):
        state.observe(events(minute, count, authors=authors))
        changes += state.advance(tick(minute + 1))
    return changes + (state.finish() if finish else [])


def opened(changes: list[KeySurge]) -> list[float]:
    """Minutes at which surges opened."""
    return [(change.opened_at - START) / 60 for change in changes if change.state == "open"]


QUIET = [0] * 30


@pytest.mark.parametrize(
    ("counts", "minutes"),
    [
        ([*QUIET, 40, 40, 40], [30]),  # out of nothing
        ([*QUIET, 40, 0, 0], [30]),  # one window is enough
        ([20] * 60, []),  # steady
        ([20] * 60 + [80] * 5, [60]),  # four times the usual
        ([20] * 60 + [0] * 3 + [20] * 5, []),  # a short silence
        ([20] * 60 + [0] * 100 + [20] * 5, [160]),  # after a long one it is no longer the usual
        ([400] * 60 + [480] * 20, []),  # a fifth more, however significant: below the least effect
        ([*QUIET, 3, 4, 3, 4, 3, 3], []),  # of four authors
        ([*QUIET, 5, 0, 0], []),  # few
        (
            [*QUIET, 5, 6, 6, 6, 6, 6, 6, 6],
            [30],
        ),  # a small one adds up; it is told from its first window
        ([40] * 5, []),  # in the warm-up
        ([], []),
    ],
    ids=str,
)
def test_when_a_surge_opens(counts: list[int], minutes: list[float]) -> None:
    assert opened(run(counts)) == minutes


@pytest.mark.parametrize(("authors", "opens"), [(1, False), (4, False), (5, True), (100, True)])
def test_few_authors_are_no_surge(authors: int, opens: bool) -> None:
    assert bool(opened(run([*QUIET, 60, 60], authors=authors))) is opens


@pytest.mark.parametrize(("few", "opens"), [(1, False), (4, False), (5, True)])
def test_what_few_authors_repeat_among_many_others_is_no_surge(few: int, opens: bool) -> None:
    category = AlertKey("spam")
    state = SurgeState(SETTINGS)
    changes: list[KeySurge] = []
    for minute in range(90):
        usual = [
            SurgeEvent(category, START + 60 * minute + n, f"other{minute}-{n}", f"o{minute}-{n}")
            for n in range(4)
        ]
        flood = events(minute, 40, authors=few, key=category) if minute >= 60 else []
        state.observe(usual + flood)
        changes += state.advance(tick(minute + 1))
    assert bool(opened(changes)) is opens


def test_a_surge_is_followed_to_its_end() -> None:
    changes = run([*QUIET, 40, 60, 50, *([0] * 30)])
    states = [change.state for change in changes]
    assert states == ["open", *["update"] * (len(states) - 2), "resolved"]
    assert changes[0].window_end == START + 31 * 60
    end = changes[-1]
    assert (end.observed, DistinctSketch(hashes=end.authors).count()) == (150, 60)
    assert end.opened_at == START + 30 * 60
    assert end.window_end <= START + (33 + 2 * SETTINGS.quiet) * 60
    assert end.examples[0].content_id == "c30-0"
    assert len(end.examples) == SETTINGS.examples


@pytest.mark.parametrize(("after", "over"), [(28, False), (24, True)])
def test_a_surge_is_over_below_half_of_the_least_z_score(after: int, over: bool) -> None:
    changes = run([20] * 60 + [80] * 5 + [after] * 30, finish=False)
    assert (changes[-1].state == "resolved") is over


def test_the_baseline_does_not_learn_from_what_it_alarms_on() -> None:
    changes = run([*QUIET, *([60] * 40)], finish=False)
    assert changes[-1].expected < 3 * len(changes)


def test_what_stays_becomes_the_usual() -> None:
    changes = run([*QUIET, *([60] * 100)], settings=replace(SETTINGS, longest=50), finish=False)
    assert [change.state for change in changes if change.state != "update"] == ["open", "resolved"]


@pytest.mark.parametrize(("changed_at", "told"), [(25, True), (None, False)])
def test_a_surge_after_a_change_of_version_says_so_and_is_sooner_the_usual(
    changed_at: int | None, told: bool
) -> None:
    state = SurgeState(replace(SETTINGS, longest=200))
    changes: list[KeySurge] = []
    for minute, count in enumerate([*QUIET, *([60] * 100)]):
        version = "2" if changed_at is not None and minute >= changed_at else "1"
        state.observe(events(minute, count))
        changes += state.advance(tick(minute + 1)._replace(versions=(("rules", version),)))
    assert changes[0].state == "open"
    assert changes[0].changed == ("rules 1 to 2 at 00:26 UTC" if told else "")
    assert ("resolved" in {change.state for change in changes}) is told


def test_a_surge_shows_its_last_windows_hour_and_day() -> None:
    counts = [*([3, 1] * 45), *([40] * 3)]
    opened = next(c for c in run(counts) if c.state == "open")
    assert opened.recent == (1, *([3, 1] * 14), 40)
    assert opened.last_hour == 1 + 29 * 4 + 40
    assert opened.last_day == 45 * 4 + 40


def test_an_interrupted_surge_is_one_surge() -> None:
    assert opened(run([*QUIET, *([50, 0, 0, 50] * 5)])) == [30]


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_the_size_of_batches_makes_no_difference(pieces: int) -> None:
    every = [
        event for minute, n in enumerate([*QUIET, 40, 60, 0, 0]) for event in events(minute, n)
    ]
    state = SurgeState(SETTINGS)
    changes: list[KeySurge] = state.advance(tick(0))
    for start in range(0, len(every), pieces):
        batch = every[start : start + pieces]
        state.observe(batch)
        changes += state.advance(Tick(batch[-1].at))
    assert opened(changes + state.finish()) == [30]


@pytest.mark.parametrize(
    ("posted", "opens"),
    [
        (range(45), [40]),  # the stream is as old as what was posted, under whatever key
        (range(38, 45), []),  # it has only begun
        ([0, *range(38, 45)], [40]),
        ([-500, *range(38, 45)], []),  # a clock that is wrong makes no past
    ],
)
def test_the_warm_up_begins_with_the_stream_though_a_key_comes_later_in_its_first_batch(
    posted: Iterable[int], opens: list[float]
) -> None:
    state = SurgeState(SETTINGS)
    state.observe(events(40, 40))
    first = int(START // 60)
    changes = state.advance(Tick(tick(45).at, {first + minute: 1 for minute in posted}))
    assert opened(changes + state.finish()) == opens


def test_events_out_of_order_within_the_lateness_count() -> None:
    state = SurgeState(SETTINGS)
    for minute in range(30):
        state.advance(tick(minute))
    state.observe(events(31, 5))
    state.advance(tick(31.5))
    state.observe(events(30, 40))
    assert state.odd["late"] == 0
    assert opened(state.advance(tick(32)) + state.finish())[0] == 30


def test_events_after_their_window_are_counted_as_late() -> None:
    state = SurgeState(SETTINGS)
    state.advance(tick(0))
    state.advance(tick(30))
    state.observe(events(10, 50))
    assert state.odd["late"] == 50
    assert state.finish() == []


def test_a_message_from_the_far_future_breaks_no_key() -> None:
    state = SurgeState(SETTINGS)
    changes: list[KeySurge] = []
    for minute, count in enumerate([*QUIET, 40, 40]):
        if minute == 20:
            state.observe(events(1e7, 3))
            changes += state.advance(Tick(START + 6e8))
        state.observe(events(minute, count))
        changes += state.advance(tick(minute + 1))
    assert state.odd["future"] == 3
    assert opened(changes + state.finish()) == [30]


def test_the_clock_follows_a_stream_that_has_moved() -> None:
    clock = EventClock(max_jump=3_600)
    seen = [clock.observe(Tick(at)) for at in (0, 10, 1e6, 20, 1e6, 1e6 + 1, 1e6 + 2, 5)]
    assert seen == [0, 10, 10, 20, 20, 20, 1e6 + 2, 1e6 + 2]


def test_a_backfill_does_not_stop_the_clock_for_what_is_posted_meanwhile() -> None:
    clock = EventClock(max_jump=3_600)
    clock.observe(Tick(60 * 2_000))
    # A hundred contents of yesterday in each tick, and one of now.
    seen = [clock.observe(Tick(60 * 500, {500: 100, minute: 1})) for minute in range(2_001, 2_006)]
    assert seen == [60 * minute for minute in (2_000, 2_000, 2_003, 2_004, 2_005)]


def test_a_clock_that_is_ahead_moves_no_stream_that_moves_by_itself() -> None:
    clock = EventClock(max_jump=3_600)
    for minute in range(100):
        clock.observe(Tick(60 * minute, {minute: 9, minute + 30: 1}))
        clock.observe(Tick(60 * minute - 1, {minute: 9, minute + 30: 1}))
    assert clock.now == 60 * 99


def test_after_an_outage_the_usual_is_no_surge() -> None:
    state = SurgeState(SETTINGS)
    changes: list[KeySurge] = []
    # Two hours in which nothing at all was posted: no events and no ticks either.
    for minute in [*range(120), *range(240, 300)]:
        state.observe(events(minute, 30, key=AlertKey("spam")))
        changes += state.advance(tick(minute + 1))
    assert changes + state.finish() == []


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    counts = [*QUIET, 40, 60, 50, *([0] * 30)]
    for cut in (0, 10, 31, 45):
        state = SurgeState(SETTINGS)
        changes: list[KeySurge] = []
        for minute, count in enumerate(counts):
            if minute == cut:
                state = pickle.loads(pickle.dumps(state))
            state.observe(events(minute, count))
            changes += state.advance(tick(minute + 1))
        assert changes + state.finish() == run(counts)


def test_single_events_survive_snapshots_and_become_tallies() -> None:
    state = SurgeState(SETTINGS)
    for n in range(5):
        key = AlertKey("spam", f"d{n}.example")
        state.observe(events(0, 1, key=key))
        state = pickle.loads(pickle.dumps(state))
        state.observe(events(0, n, key=key))
        state = pickle.loads(pickle.dumps(state))
    (window,) = state._windows.values()
    assert sorted(window.single) == [AlertKey("spam", "d0.example")]
    assert [tally.count for tally in window.several.values()] == [2, 3, 4, 5]


def test_a_flood_of_keys_is_bounded_and_hides_no_surge() -> None:
    settings = replace(SETTINGS, max_keys=100)
    state = SurgeState(settings)
    changes: list[KeySurge] = []
    for minute in range(33):
        state.observe(events(minute, 40 if minute >= 30 else 0))
        for n in range(1_000):
            state.observe(
                [SurgeEvent(AlertKey("spam", f"{minute}-{n}"), START + 60 * minute, "a", "c")]
            )
        assert all(len(window) <= 100 for window in state._windows.values())
        changes += state.advance(tick(minute + 1))
    assert opened(changes) == [30]
    assert state.odd["dropped"] > 0
    assert len(state._keys) <= 100


def test_times_without_end_open_a_bounded_number_of_windows() -> None:
    state = SurgeState(replace(SETTINGS, max_windows=50))
    state.advance(tick(0))
    for hour in range(1_000):
        state.observe(events(hour * 1e4, 1))
    assert len(state._windows) == 50
    assert state.odd["dropped"] == 950
