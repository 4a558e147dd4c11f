"""Plain shapes: a pulse a day, spikes on a line, nothing at all."""

from __future__ import annotations

import numpy as np

from bench.series import Rng, Series, hour_of, onsets_of, row_times


def daily_pulse(rng: Rng, name: str) -> Series:
    """A pulse at the same hours of each day: one day it is higher, lower, missing or longer."""
    n = 4032
    times = row_times(n, 300, rng)
    start, length = rng.uniform(6, 12), rng.uniform(4, 9)
    low, high = rng.uniform(0, 40), rng.uniform(60, 100)
    inside = (hour_of(times) >= start) & (hour_of(times) < start + length)
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
    times = row_times(n, 300, rng)
    base, height = rng.uniform(0, 50), rng.uniform(20, 80)
    onset = onsets_of(n, 1, rng)
    rate = np.full(n, rng.uniform(0.005, 0.03))
    rate[onset[0] : onset[0] + 200] *= rng.uniform(6, 12)
    spikes = rng.random(n) < np.minimum(rate, 0.6)
    values = base + rng.normal(0, 0.5, n) + spikes * height * rng.uniform(0.7, 1.3, n)
    return Series(name, times, values, onset)


def quiet(rng: Rng, name: str) -> Series:
    """Nothing happens: noise, or a daily curve, or a square wave."""
    n = 4032
    times = row_times(n, 300, rng)
    what = rng.choice(["noise", "curve", "square"])
    hour = hour_of(times)
    shape = {
        "noise": np.zeros(n),
        "curve": 30 * np.sin(2 * np.pi * hour / 24),
        "square": 40.0 * ((hour > 9) & (hour < 18)),
    }[what]
    values = 50 + shape + rng.normal(0, rng.uniform(0.5, 5), n)
    return Series(f"{name}_{what}", times, values, ())
