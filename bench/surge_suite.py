"""A suite of labelled series of many kinds, made here, to develop and judge the surge detector on.

Each kind is a generator with a seed; what a series is like (level, noise, rhythm, what is normal
though it looks odd) and what its anomalies are is drawn anew. `dev` and `test` have different
seeds, and two kinds are in `test` alone. Nothing here is copied from a public benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Rng: TypeAlias = np.random.Generator
START: Final = 1_400_000_000.0


@dataclass(frozen=True)
class Series:
    """A series and where its anomalies begin: `onsets` are row numbers."""

    name: str
    times: Floats
    values: Floats
    onsets: tuple[int, ...]

    def windows(self) -> list[tuple[int, int]]:
        """Rows [left, right] around each anomaly; together a tenth of the series."""
        if not self.onsets:
            return []
        half = int(0.1 * len(self.values) / len(self.onsets) / 2)
        last = len(self.values) - 1
        return [(max(0, onset - half), min(last, onset + half)) for onset in self.onsets]


def _times(n: int, step: float, rng: Rng, *, jitter: float = 0.0) -> Floats:
    steps = step * (1 + jitter * rng.exponential(1.0, n)) if jitter else np.full(n, step)
    return START + float(rng.integers(0, 7 * 86_400)) + np.cumsum(steps)


def _onsets(n: int, count: int, rng: Rng) -> tuple[int, ...]:
    """`count` rows after the warm-up, apart from each other."""
    edges = np.linspace(0.2 * n, 0.95 * n, count + 1)
    gap = 0.25 * (edges[1] - edges[0])
    return tuple(int(rng.uniform(a + gap, b - gap)) for a, b in pairwise(edges))


def _ar(n: int, rng: Rng, *, keep: float, sd: float) -> Floats:
    noise = rng.normal(0, sd * np.sqrt(1 - keep * keep), n)
    out = np.empty(n)
    level = rng.normal(0, sd)
    for i in range(n):
        level = keep * level + noise[i]
        out[i] = level
    return out


def _hour(times: Floats) -> Floats:
    return times % 86_400 / 3_600


def _weekday(times: Floats) -> Floats:
    return (times // 86_400 + 4) % 7


def daily_pulse(rng: Rng, name: str) -> Series:
    """A pulse at the same hours of each day: one day it is higher, lower, missing or longer."""
    n = 4032
    times = _times(n, 300, rng)
    start, length = rng.uniform(6, 12), rng.uniform(4, 9)
    low, high = rng.uniform(0, 40), rng.uniform(60, 100)
    inside = (_hour(times) >= start) & (_hour(times) < start + length)
    noise = rng.uniform(0.01, 0.1) * (high - low)
    values = np.where(inside, high, low).astype(np.float64) + rng.normal(0, noise, n)
    day = int(rng.integers(8, 13))
    days = ((times - times[0]) // 86_400).astype(int)
    pulse = np.flatnonzero(inside & (days == day))
    if len(pulse) == 0:
        pulse = np.flatnonzero(inside & (days == day + 1))
    what = rng.choice(["up", "down", "missing", "flat", "longer"])
    if what == "up":
        values[pulse] += 0.6 * (high - low)
    elif what == "down":
        values[pulse] -= 0.5 * (high - low)
    elif what == "missing":
        values[pulse] -= high - low
    elif what == "flat":
        values[pulse[0] : pulse[0] + 288] = values[pulse[0] - 1]
    else:
        after = slice(pulse[-1], pulse[-1] + 60)
        values[after] += high - low
        return Series(f"{name}_{what}", times, values, (int(pulse[-1]) + 1,))
    return Series(f"{name}_{what}", times, values, (int(pulse[0]),))


def spike_density(rng: Rng, name: str) -> Series:
    """Spikes on a flat line are normal: the anomaly is that they come much more often."""
    n = 4032
    times = _times(n, 300, rng)
    base, height = rng.uniform(0, 50), rng.uniform(20, 80)
    onset = _onsets(n, 1, rng)
    rate = np.full(n, rng.uniform(0.005, 0.03))
    rate[onset[0] : onset[0] + 200] *= rng.uniform(6, 12)
    spikes = rng.random(n) < np.minimum(rate, 0.6)
    values = base + rng.normal(0, 0.5, n) + spikes * height * rng.uniform(0.7, 1.3, n)
    return Series(name, times, values, onset)


def quiet(rng: Rng, name: str) -> Series:
    """Nothing happens: noise, or a daily curve, or a square wave."""
    n = 4032
    times = _times(n, 300, rng)
    what = rng.choice(["noise", "curve", "square"])
    hour = _hour(times)
    shape = {
        "noise": np.zeros(n),
        "curve": 30 * np.sin(2 * np.pi * hour / 24),
        "square": 40.0 * ((hour > 9) & (hour < 18)),
    }[what]
    values = 50 + shape + rng.normal(0, rng.uniform(0.5, 5), n)
    return Series(f"{name}_{what}", times, values, ())


def cpu(rng: Rng, name: str) -> Series:
    """Load of a server: correlated noise, recurring jobs, at times a new level that stays."""
    n = 4032
    times = _times(n, 300, rng)
    base = rng.uniform(2, 50)
    sd = base * rng.uniform(0.02, 0.12)
    values = base + _ar(n, rng, keep=rng.uniform(0, 0.8), sd=sd)
    if rng.random() < 0.5:  # a job that runs at the same hour
        at = rng.uniform(0, 24)
        values[np.abs(_hour(times) - at) < 0.3] += base * rng.uniform(0.2, 0.6)
    for spike in rng.integers(0, n, rng.integers(3, 25)):  # bursts that mean nothing
        values[spike : spike + int(rng.integers(1, 3))] += base * rng.uniform(0.1, 0.4)
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        what = rng.integers(0, 4)
        if what == 0:
            values[onset : onset + int(rng.integers(1, 12))] += base * rng.uniform(0.7, 2)
        elif what == 1:
            values[onset:] += base * rng.uniform(0.3, 0.9) * rng.choice([-0.7, 1])
        elif what == 2:
            values[onset : onset + int(rng.integers(20, 150))] += base * rng.uniform(0.3, 0.9)
        else:
            values[onset : onset + int(rng.integers(5, 60))] *= rng.uniform(0.05, 0.5)
    return Series(name, times, np.clip(values, 0.01, None), onsets)


def regimes(rng: Rng, name: str) -> Series:
    """Load that changes its level and noise many times a week: that is normal there."""
    n = 4032
    times = _times(n, 300, rng)
    changes = np.sort(rng.integers(0, n, rng.integers(8, 20)))
    part = np.searchsorted(changes, np.arange(n))
    levels = rng.uniform(10, 60, len(changes) + 1)
    noises = rng.uniform(0.5, 5, len(changes) + 1)
    values = levels[part] + noises[part] * rng.normal(0, 1, n)
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(1, 40))] += rng.choice([-40, 30, 60])
    return Series(name, times, np.clip(values, 0, 100), onsets)


def disk(rng: Rng, name: str) -> Series:
    """Bytes a minute: mostly near nothing with bursts over orders of magnitude."""
    n = 4032
    times = _times(n, 300, rng)
    values = rng.lognormal(np.log(rng.uniform(1e3, 1e6)), rng.uniform(0.2, 0.7), n)
    busy = rng.random(n) < rng.uniform(0.005, 0.04)
    values[busy] *= rng.uniform(3, 8, int(busy.sum()))
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        if rng.random() < 0.5:
            values[onset : onset + int(rng.integers(1, 6))] = values.max() * rng.uniform(1.3, 4)
        else:
            values[onset : onset + int(rng.integers(20, 120))] *= rng.uniform(3, 8)
    return Series(name, times, values, onsets)


def ad_rate(rng: Rng, name: str) -> Series:
    """Hourly price of clicks or views: a weak daily rhythm, heavy-tailed noise, spikes."""
    n = int(rng.integers(1500, 1700))
    times = _times(n, 3600, rng)
    base = rng.uniform(0.1, 5)
    rhythm = 1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * (_hour(times) - 8) / 24)
    values = base * rhythm * np.exp(rng.standard_t(rng.uniform(4, 8), n) * rng.uniform(0.08, 0.25))
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(1, 4))] = base * rng.uniform(3, 8)
    return Series(name, times, values, onsets)


def speed(rng: Rng, name: str) -> Series:
    """Speed on a road, at uneven times: slow at rush hours, and at times all but standing."""
    n = int(rng.integers(1100, 2500))
    times = _times(n, 300, rng, jitter=1.0)
    hour, workday = _hour(times), _weekday(times) < 5
    free, sd = rng.uniform(60, 75), rng.uniform(2, 5)
    rush = (np.exp(-((hour - 8) ** 2) / 2) + np.exp(-((hour - 17.5) ** 2) / 3)) * workday
    values = free - rng.uniform(5, 20) * rush + _ar(n, rng, keep=0.5, sd=sd)
    onsets = _onsets(n, int(rng.integers(1, 5)), rng)
    for onset in onsets:
        length = int(rng.integers(2, 15))
        drop = free * rng.uniform(0.45, 0.8)
        values[onset : onset + length] -= drop * rng.uniform(
            0.8, 1, values[onset : onset + length].shape
        )
    return Series(name, times, np.clip(values, 0, None), onsets)


def occupancy(rng: Rng, name: str) -> Series:
    """How full a road or queue is, in percent: near nothing at night, noisy by day, then a jam."""
    n = int(rng.integers(2300, 2600))
    times = _times(n, 300, rng, jitter=1.0)
    hour = _hour(times)
    day = np.clip(np.sin(np.pi * (hour - 5) / 17), 0, None)
    values = rng.gamma(4, 1, n) * (0.4 + rng.uniform(1, 3) * day)
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(2, 14))] += rng.uniform(15, 40)
    return Series(name, times, values, onsets)


def machine_temperature(rng: Rng, name: str) -> Series:
    """A machine's temperature: wanders slowly, is shut down, fails after a slow decline."""
    n = int(rng.integers(7000, 22_000))
    times = _times(n, 300, rng)
    values = 85 + np.clip(_ar(n, rng, keep=0.999, sd=6), -15, 12) + rng.normal(0, 0.8, n)
    onsets = _onsets(n, int(rng.integers(2, 5)), rng)
    for onset in onsets:
        length = int(rng.integers(30, 300))
        depth = rng.uniform(15, 70)
        if rng.random() < 0.6:
            fall = np.minimum(1, np.arange(length) / rng.uniform(3, 40))
        else:
            fall = np.arange(length) / length
        part = values[onset : onset + length]
        part -= depth * fall[: len(part)]
    return Series(name, times, values, onsets)


def room_temperature(rng: Rng, name: str) -> Series:
    """Hourly temperature of a room: wanders, a weak daily curve, and a system that fails."""
    n = int(rng.integers(5000, 7500))
    times = _times(n, 3600, rng)
    values = 70 + _ar(n, rng, keep=0.98, sd=3) + 1.5 * np.sin(2 * np.pi * _hour(times) / 24)
    values += rng.normal(0, 0.5, n)
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        length = int(rng.integers(12, 120))
        values[onset : onset + length] += rng.choice([-1, 1]) * rng.uniform(6, 15)
    return Series(name, times, values, onsets)


def taxi(rng: Rng, name: str) -> Series:
    """Rides in half an hour: strong daily and weekly rhythm; a holiday, a storm, a great event."""
    n = 10_320
    times = _times(n, 1800, rng)
    hour, weekend = _hour(times), _weekday(times) >= 5
    work = (
        1 + 0.75 * np.sin(2 * np.pi * (hour - 10) / 24) + 0.2 * np.sin(4 * np.pi * (hour - 7) / 24)
    )
    late = 1 + 0.75 * np.sin(2 * np.pi * (hour - 13) / 24)
    slow = 1 + 0.1 * np.sin(np.arange(n) / n * 2 * np.pi + rng.uniform(0, 6))
    values = rng.uniform(5_000, 16_000) * np.where(weekend, late, work) * slow
    values *= 1 + _ar(n, rng, keep=0.8, sd=0.06)
    onsets = _onsets(n, int(rng.integers(3, 6)), rng)
    for onset in onsets:
        length = int(rng.integers(14, 50))
        values[onset : onset + length] *= rng.choice(
            [rng.uniform(0.05, 0.6), rng.uniform(1.5, 1.9)]
        )
    return Series(name, times, np.round(np.clip(values, 0, None)).astype(np.float64), onsets)


def mentions(rng: Rng, name: str) -> Series:
    """Posts that name a company, in five minutes: bursty counts with a daily rhythm, then news."""
    n = 15_800
    times = _times(n, 300, rng)
    mean = rng.choice([2.0, 8.0, 25.0, 80.0]) * (
        1 + 0.6 * np.sin(2 * np.pi * (_hour(times) - 9) / 24)
    )
    values = rng.negative_binomial(rng.uniform(1.5, 5), 0.5, n) * mean / 3
    for burst in rng.integers(0, n, 25):
        length = int(rng.integers(2, 10))
        part = values[burst : burst + length]
        part *= rng.uniform(1.5, 4)
    onsets = _onsets(n, int(rng.integers(2, 5)), rng)
    for onset in onsets:
        length = int(rng.integers(3, 40))
        peak = mean.max() * rng.uniform(6, 30)
        part = values[onset : onset + length]
        part += peak * np.exp(-np.arange(length) / (length / 2))[: len(part)]
    return Series(name, times, np.round(values).astype(np.float64), onsets)


def latency(rng: Rng, name: str) -> Series:
    """Milliseconds of a service: skewed noise, saturation and slow leaks."""
    n = 4032
    times = _times(n, 300, rng)
    values = rng.uniform(20, 100) * rng.lognormal(0, rng.uniform(0.05, 0.2), n)
    onsets = _onsets(n, int(rng.integers(1, 3)), rng)
    for onset in onsets:
        length = int(rng.integers(30, 250))
        part = values[onset : onset + length]
        part *= np.linspace(1, rng.uniform(2, 4), length)[: len(part)]
    return Series(name, times, values, onsets)


def sessions(rng: Rng, name: str) -> Series:
    """Sessions a minute with growth and a daily rhythm: an outage, a stuck counter, a rush."""
    n = 8_000
    times = _times(n, 120, rng)
    trend = np.linspace(1, rng.uniform(1, 1.8), n)
    mean = rng.uniform(50, 400) * trend * (1.2 + np.sin(2 * np.pi * (_hour(times) - 10) / 24))
    values = rng.poisson(mean).astype(np.float64)
    onsets = _onsets(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        part = values[onset : onset + int(rng.integers(15, 120))]
        what = rng.integers(0, 3)
        part[:] = 0 if what == 0 else part[0] if what == 1 else np.round(part * 1.8)
    return Series(name, times, values, onsets)


Kind: TypeAlias = Callable[[Rng, str], Series]

KINDS: Final[tuple[Kind, ...]] = (
    daily_pulse, spike_density, quiet, cpu, regimes, disk, ad_rate, speed, occupancy,
    machine_temperature, room_temperature, taxi, mentions,
)  # fmt: skip
HELD_OUT: Final[tuple[Kind, ...]] = (latency, sessions)
"""Kinds that no choice was made on."""
SHARES: Final[dict[Kind, int]] = {daily_pulse: 2, cpu: 3, mentions: 2}
"""How many of each kind for one round; one where nothing is said."""


def suite(split: str, rounds: int = 2) -> list[Series]:
    """The series of `dev` or `test`, always the same."""
    first, kinds = (0, KINDS) if split == "dev" else (1_000, KINDS + HELD_OUT)
    found = []
    for number, kind in enumerate(kinds):
        for copy in range(rounds * SHARES.get(kind, 1)):
            rng = np.random.default_rng([first, number, copy])
            found.append(kind(rng, f"{kind.__name__}_{copy}"))
    return found
