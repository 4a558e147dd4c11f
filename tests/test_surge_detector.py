"""What is usual, how far from it, and what never happened before."""

from __future__ import annotations

import math
import pickle
import random

import pytest

from bench.nab import Scored, raw_score, score
from operators.rhythm import DAY, Rhythm
from operators.surge_detector import Reading, SurgeDetector
from operators.tail import MOST, WARM_UP, Tail


def poisson(rng: random.Random, mean: float) -> int:
    threshold, count, product = math.exp(-mean), 0, rng.random()
    while product > threshold:
        count += 1
        product *= rng.random()
    return count


def last(values: list[float], detector: SurgeDetector | None = None) -> Reading:
    detector = detector or SurgeDetector()
    return [detector.update(60.0 * n, value) for n, value in enumerate(values)][-1]


@pytest.mark.parametrize("mean", [0.2, 2, 20, 200])
def test_poisson_counts_of_any_mean_have_small_z_scores(mean: float) -> None:
    rng, detector = random.Random(1), SurgeDetector()
    readings = [detector.update(60.0 * n, poisson(rng, mean)) for n in range(2_000)]
    assert max(reading.z_score for reading in readings[100:]) < 6
    assert 0.6 * mean < readings[-1].expected < 1.4 * mean + 0.2


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ([20.0] * 100 + [20.0], -0.1, 0.1),
        ([20.0] * 100 + [60.0], 6, 8),
        ([20.0] * 100 + [0.0], -9, -6),
        ([0.0] * 100 + [3.0], 3, 3.5),  # a Poisson count of mean 0.2
        ([7.0], 0, 0),  # the first
    ],
)
def test_z_scores_of_counts(values: list[float], least: float, most: float) -> None:
    assert least <= last(values).z_score <= most


def test_a_small_shift_that_stays_adds_up() -> None:
    assert last([20.0] * 100 + [36.0]).z_score < 4
    assert last([20.0] * 100 + [36.0] * 5).z_score > 5


def test_a_key_known_to_be_new_expects_nothing() -> None:
    reading = SurgeDetector(usual=0.0).update(0.0, 20.0)
    assert reading.expected == pytest.approx(0.0)
    assert reading.z_score > 6


def test_nothing_is_learned_without_learn() -> None:
    detector = SurgeDetector()
    expected = last([20.0] * 100, detector).expected
    for n in range(100):
        assert detector.update(60.0 * n, 500.0, learn=False).expected == pytest.approx(expected)


def test_the_rhythm_of_a_day_is_expected() -> None:
    detector = SurgeDetector(rhythm=True)
    largest = 0.0
    for minute in range(5 * 1_440):
        usual = 80.0 if 9 * 60 <= minute % 1_440 < 17 * 60 else 10.0
        reading = detector.update(60.0 * minute, usual)
        if minute > 2 * 1_440:
            largest = max(largest, reading.z_score)
    assert largest < 3
    assert detector.update(60.0 * 5 * 1_440, 80.0).z_score > 6  # by day usual, not at midnight


def test_the_rhythm_of_a_week_is_expected() -> None:
    detector = SurgeDetector(rhythm=True)
    noon: dict[tuple[int, int], Reading] = {}
    for quarter in range(4 * 24 * 7 * 5):
        week, hour = divmod(quarter / 4, 168)
        busy = 5 * 24 + 12 <= hour < 5 * 24 + 16  # the sixth day of the week, noon to four
        reading = detector.update(1_772_409_600 + 900.0 * quarter, 80.0 if busy else 20.0)
        if hour % 24 == 12:
            noon[int(week), int(hour // 24)] = reading
    assert noon[0, 5].z_score > 6  # never seen before
    assert noon[4, 5].z_score < 3
    assert noon[4, 5].expected > 3 * noon[4, 4].expected
    assert noon[4, 4].expected == pytest.approx(20, rel=0.1)  # the day before as ever


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(batch: int) -> None:
    rng = random.Random(5)
    values = [rng.gauss(50, 2) for _ in range(1_500)]
    detector = SurgeDetector(counts=False, memory=8, rhythm=True, novelty=True)
    whole = SurgeDetector(counts=False, memory=8, rhythm=True, novelty=True)
    for n, value in enumerate(values):
        if n % batch == 0 and n < 1_200:
            detector = pickle.loads(pickle.dumps(detector)) if n % 100 == 0 else detector
        assert detector.update(600.0 * n, value) == whole.update(600.0 * n, value)


@pytest.mark.parametrize(
    ("scale", "offset"), [(1.0, 0.0), (1e-6, 0.0), (1e9, 0.0), (1.0, -1e4), (-1.0, 0.0)]
)
def test_anomaly_scores_need_no_scale(scale: float, offset: float) -> None:
    rng = random.Random(2)
    values = [rng.gauss(50, 2) for _ in range(1_000)] + [75.0]
    detector = SurgeDetector(counts=False, memory=8, novelty=True)
    assert last([scale * value + offset for value in values], detector).anomaly_score > 0.5


def test_a_constant_series_is_calm_until_it_moves() -> None:
    detector = SurgeDetector(counts=False, memory=8, novelty=True)
    assert all(detector.update(60.0 * n, 5.0).anomaly_score == 0 for n in range(500))
    assert detector.update(60.0 * 500, 5.1).anomaly_score > 0.5


def test_tails_know_what_is_rare() -> None:
    rng, tail = random.Random(3), Tail()
    for _ in range(20_000):
        tail.learn(rng.expovariate(1.0))
    assert tail.surprise(1.0) == 0.0
    # -log10 of exp(-9.2) is 4.
    assert 3 < tail.surprise(9.2) < 5
    assert tail.surprise(1e9) <= MOST


def test_a_tail_says_nothing_before_its_warm_up() -> None:
    tail = Tail()
    for n in range(WARM_UP - 1):
        tail.learn(float(n))
        assert tail.surprise(1e9) == 0.0


def day_of_hours() -> Rhythm:
    """The hours of two days, each with its number as its value."""
    rhythm = Rhythm(DAY, 24)
    for hour in range(48):
        rhythm.learn(3_600.0 * hour, float(hour % 24))
    return rhythm


@pytest.mark.parametrize(
    ("hour", "value", "usual"),
    [
        (5.5, 9.0, 5.0),  # the middle of an hour is its mean
        (5.75, 9.0, 5.25),  # from there on the line to the next hour
        (5.75, 5.1, 5.1),  # or anything between line and mean
        (5.75, 0.0, 5.0),
        (5.0, 0.0, 4.5),  # between two hours
        (0.0, 12.0, 11.5),  # over midnight
    ],
)
def test_the_usual_of_an_hour(hour: float, value: float, usual: float) -> None:
    assert day_of_hours().usual(3_600 * hour, value) == pytest.approx(usual)


def test_a_rhythm_knows_a_part_after_it_has_passed() -> None:
    rhythm = day_of_hours()
    assert rhythm.usual(3_600.0 * 23.4, 0.0, periods=2) is None  # its second is not over
    rhythm.shift(2.0)
    assert rhythm.usual(3_600.0 * 5.5, 0.0) == 7.0


def test_a_rhythm_of_departures_begins_with_none_and_believes_slowly() -> None:
    rhythm = Rhythm(DAY, 24, zeros=1)
    assert rhythm.usual(1_800.0, 0.0) == 0.0
    for hour in range(25):
        rhythm.learn(3_600.0 * hour, 4.0)
    assert rhythm.usual(1_800.0, 9.0) == pytest.approx(2.0)


def test_an_hour_that_was_never_learned_is_no_surge() -> None:
    """A gap in the rhythm, as an attack or outage leaves one, once made everything a surge."""
    detector = SurgeDetector(rhythm=True)
    largest = 0.0
    for minute in range(3 * 1_440):
        known = not 660 <= minute < 800
        largest = max(largest, detector.update(60.0 * minute, 20.0, learn=known).z_score)
    assert largest < 3


def test_a_detector_can_be_told_the_new_usual() -> None:
    detector = SurgeDetector(rhythm=True)
    assert last([20.0] * 1_600, detector).expected == pytest.approx(20.0, abs=1)
    detector.settle(90.0)
    assert abs(detector.update(60.0 * 1_600, 90.0).z_score) < 0.5


def test_silent_windows_at_once_are_about_what_they_are_one_by_one() -> None:
    one, all_at_once = SurgeDetector(usual=4.0), SurgeDetector(usual=4.0)
    for minute in range(30):
        one.update(60.0 * minute, 0.0)
    all_at_once.rest(30)
    expected = [detector.update(1_800.0, 8.0).expected for detector in (one, all_at_once)]
    assert expected[0] == pytest.approx(expected[1], abs=0.3)


@pytest.mark.parametrize(
    ("fires", "worth"),
    [
        ([], -1.0),  # a missed window
        ([400], 1.0),  # at its first row
        ([400, 450], 1.0),  # the first counts
        ([499], 0.0),  # at its last row: nearly nothing
        ([400, 300], 0.89),  # one false alarm
        ([900], -1.11),  # far behind
        ([10], -1.0),  # in the probation
    ],
)
def test_the_benchs_scoring(fires: list[int], worth: float) -> None:
    scores = [1.0 if row in fires else 0.0 for row in range(1_000)]
    assert raw_score(Scored(scores, [(400, 499)]), 0.5) == pytest.approx(worth, abs=0.04)


def test_the_benchs_scale_is_0_to_100() -> None:
    perfect = Scored([float(row == 400) for row in range(1_000)], [(400, 499)])
    assert score([perfect], 0.5) == pytest.approx(100, abs=0.1)
    assert score([perfect], 2.0) == 0
