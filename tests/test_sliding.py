"""An hour and a day, sliding; and the change of version before a surge."""

from __future__ import annotations

import pytest

from operators.sliding import SlidingCounts, VersionLog

MINUTE = 60.0


@pytest.mark.parametrize(
    ("minute", "hour", "day"),
    [
        (0, 1, 1),
        (59, 60, 60),
        (60, 60, 61),  # the first minute has left the hour
        (24 * 60 - 1, 60, 24 * 60),
        (24 * 60, 60, 23 * 60 + 1),  # the first hour has left the day
    ],
)
def test_views_slide(minute: int, hour: int, day: int) -> None:
    counts = SlidingCounts()
    for number in range(minute + 1):
        counts.add(MINUTE * number, 1)
    assert (counts.last_hour(), counts.last_day()) == (hour, day)


def test_windows_without_an_event_are_zeros_in_the_plot() -> None:
    counts = SlidingCounts()
    for minute, count in ((0, 7), (3, 2), (5, 1)):
        counts.add(MINUTE * minute, count)
    assert counts.windows(MINUTE, 4) == (0, 2, 0, 1)
    assert SlidingCounts().windows(MINUTE, 2) == (0, 0)


def test_a_change_of_version_is_told_for_a_while() -> None:
    log = VersionLog()
    log.observe(0.0, {"rules": "1", "text": "a"})
    assert log.change_before(10.0, 3_600) == ""  # the first is no change
    log.observe(60.0, {"rules": "2", "text": "a"})
    log.observe(120.0, {"rules": "2"})
    assert log.change_before(3_660.0, 3_600) == "rules 1 to 2 at 00:01 UTC"
    assert log.change_before(3_661.0, 3_600) == ""


def test_names_without_end_are_bounded() -> None:
    log = VersionLog()
    for number in range(10_000):
        log.observe(0.0, {f"model{number}": "1"})
    assert len(log._current) <= 64
    log.observe(60.0, {"model0": "2", "model9999": "2"})
    assert log.change_before(60.0, 3_600) == "model0 1 to 2 at 00:01 UTC"
