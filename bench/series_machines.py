"""Series of machines: load, disks, temperatures, response times."""

from __future__ import annotations

import numpy as np

from bench.series import Rng, Series, correlated, hour_of, onsets_of, row_times


def cpu(rng: Rng, name: str) -> Series:
    """Load of a server: correlated noise, recurring jobs, at times a new level that stays."""
    n = 4032
    times = row_times(n, 300, rng)
    base = rng.uniform(2, 50)
    sd = base * rng.uniform(0.02, 0.12)
    values = base + correlated(n, rng, keep=rng.uniform(0, 0.8), sd=sd)
    if rng.random() < 0.5:  # a job that runs at the same hour
        at = rng.uniform(0, 24)
        values[np.abs(hour_of(times) - at) < 0.3] += base * rng.uniform(0.2, 0.6)
    for spike in rng.integers(0, n, rng.integers(3, 25)):  # bursts that mean nothing
        values[spike : spike + int(rng.integers(1, 3))] += base * rng.uniform(0.1, 0.4)
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
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
    times = row_times(n, 300, rng)
    changes = np.sort(rng.integers(0, n, rng.integers(8, 20)))
    part = np.searchsorted(changes, np.arange(n))
    levels = rng.uniform(10, 60, len(changes) + 1)
    noises = rng.uniform(0.5, 5, len(changes) + 1)
    values = levels[part] + noises[part] * rng.normal(0, 1, n)
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(1, 40))] += rng.choice([-40, 30, 60])
    return Series(name, times, np.clip(values, 0, 100), onsets)


def disk(rng: Rng, name: str) -> Series:
    """Bytes a minute: mostly near nothing with bursts over orders of magnitude."""
    n = 4032
    times = row_times(n, 300, rng)
    values = rng.lognormal(np.log(rng.uniform(1e3, 1e6)), rng.uniform(0.2, 0.7), n)
    busy = rng.random(n) < rng.uniform(0.005, 0.04)
    values[busy] *= rng.uniform(3, 8, int(busy.sum()))
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        if rng.random() < 0.5:
            values[onset : onset + int(rng.integers(1, 6))] = values.max() * rng.uniform(1.3, 4)
        else:
            values[onset : onset + int(rng.integers(20, 120))] *= rng.uniform(3, 8)
    return Series(name, times, values, onsets)


def machine_temperature(rng: Rng, name: str) -> Series:
    """A machine's temperature: wanders slowly, is shut down, fails after a slow decline."""
    n = int(rng.integers(7000, 22_000))
    times = row_times(n, 300, rng)
    values = 85 + np.clip(correlated(n, rng, keep=0.999, sd=6), -15, 12) + rng.normal(0, 0.8, n)
    onsets = onsets_of(n, int(rng.integers(2, 5)), rng)
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
    times = row_times(n, 3600, rng)
    values = (
        70 + correlated(n, rng, keep=0.98, sd=3) + 1.5 * np.sin(2 * np.pi * hour_of(times) / 24)
    )
    values += rng.normal(0, 0.5, n)
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        length = int(rng.integers(12, 120))
        values[onset : onset + length] += rng.choice([-1, 1]) * rng.uniform(6, 15)
    return Series(name, times, values, onsets)


def latency(rng: Rng, name: str) -> Series:
    """Milliseconds of a service: skewed noise, saturation and slow leaks."""
    n = 4032
    times = row_times(n, 300, rng)
    values = rng.uniform(20, 100) * rng.lognormal(0, rng.uniform(0.05, 0.2), n)
    onsets = onsets_of(n, int(rng.integers(1, 3)), rng)
    for onset in onsets:
        length = int(rng.integers(30, 250))
        part = values[onset : onset + length]
        part *= np.linspace(1, rng.uniform(2, 4), length)[: len(part)]
    return Series(name, times, values, onsets)
