"""Series of what people do: clicks, traffic, rides, mentions, sessions."""

from __future__ import annotations

import numpy as np

from bench.series import Rng, Series, correlated, hour_of, onsets_of, row_times, weekday_of


def ad_rate(rng: Rng, name: str) -> Series:
    """Hourly price of clicks or views: a weak daily rhythm, heavy-tailed noise, spikes."""
    n = int(rng.integers(1500, 1700))
    times = row_times(n, 3600, rng)
    base = rng.uniform(0.1, 5)
    rhythm = 1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * (hour_of(times) - 8) / 24)
    values = base * rhythm * np.exp(rng.standard_t(rng.uniform(4, 8), n) * rng.uniform(0.08, 0.25))
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(1, 4))] = base * rng.uniform(3, 8)
    return Series(name, times, values, onsets)


def speed(rng: Rng, name: str) -> Series:
    """Speed on a road, at uneven times: slow at rush hours, and at times all but standing."""
    n = int(rng.integers(1100, 2500))
    times = row_times(n, 300, rng, jitter=1.0)
    hour, workday = hour_of(times), weekday_of(times) < 5
    free, sd = rng.uniform(60, 75), rng.uniform(2, 5)
    rush = (np.exp(-((hour - 8) ** 2) / 2) + np.exp(-((hour - 17.5) ** 2) / 3)) * workday
    values = free - rng.uniform(5, 20) * rush + correlated(n, rng, keep=0.5, sd=sd)
    onsets = onsets_of(n, int(rng.integers(1, 5)), rng)
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
    times = row_times(n, 300, rng, jitter=1.0)
    hour = hour_of(times)
    day = np.clip(np.sin(np.pi * (hour - 5) / 17), 0, None)
    values = rng.gamma(4, 1, n) * (0.4 + rng.uniform(1, 3) * day)
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        values[onset : onset + int(rng.integers(2, 14))] += rng.uniform(15, 40)
    return Series(name, times, values, onsets)


def taxi(rng: Rng, name: str) -> Series:
    """Rides in half an hour: strong daily and weekly rhythm; a holiday, a storm, a great event."""
    n = 10_320
    times = row_times(n, 1800, rng)
    hour, weekend = hour_of(times), weekday_of(times) >= 5
    work = (
        1 + 0.75 * np.sin(2 * np.pi * (hour - 10) / 24) + 0.2 * np.sin(4 * np.pi * (hour - 7) / 24)
    )
    late = 1 + 0.75 * np.sin(2 * np.pi * (hour - 13) / 24)
    slow = 1 + 0.1 * np.sin(np.arange(n) / n * 2 * np.pi + rng.uniform(0, 6))
    values = rng.uniform(5_000, 16_000) * np.where(weekend, late, work) * slow
    values *= 1 + correlated(n, rng, keep=0.8, sd=0.06)
    onsets = onsets_of(n, int(rng.integers(3, 6)), rng)
    for onset in onsets:
        length = int(rng.integers(14, 50))
        values[onset : onset + length] *= rng.choice(
            [rng.uniform(0.05, 0.6), rng.uniform(1.5, 1.9)]
        )
    return Series(name, times, np.round(np.clip(values, 0, None)).astype(np.float64), onsets)


def mentions(rng: Rng, name: str) -> Series:
    """Posts that name a company, in five minutes: bursty counts with a daily rhythm, then news."""
    n = 15_800
    times = row_times(n, 300, rng)
    mean = rng.choice([2.0, 8.0, 25.0, 80.0]) * (
        1 + 0.6 * np.sin(2 * np.pi * (hour_of(times) - 9) / 24)
    )
    values = rng.negative_binomial(rng.uniform(1.5, 5), 0.5, n) * mean / 3
    for burst in rng.integers(0, n, 25):
        length = int(rng.integers(2, 10))
        part = values[burst : burst + length]
        part *= rng.uniform(1.5, 4)
    onsets = onsets_of(n, int(rng.integers(2, 5)), rng)
    for onset in onsets:
        length = int(rng.integers(3, 40))
        peak = mean.max() * rng.uniform(6, 30)
        part = values[onset : onset + length]
        part += peak * np.exp(-np.arange(length) / (length / 2))[: len(part)]
    return Series(name, times, np.round(values).astype(np.float64), onsets)


def sessions(rng: Rng, name: str) -> Series:
    """Sessions a minute with growth and a daily rhythm: an outage, a stuck counter, a rush."""
    n = 8_000
    times = row_times(n, 120, rng)
    trend = np.linspace(1, rng.uniform(1, 1.8), n)
    mean = rng.uniform(50, 400) * trend * (1.2 + np.sin(2 * np.pi * (hour_of(times) - 10) / 24))
    values = rng.poisson(mean).astype(np.float64)
    onsets = onsets_of(n, int(rng.integers(1, 4)), rng)
    for onset in onsets:
        part = values[onset : onset + int(rng.integers(15, 120))]
        what = rng.integers(0, 3)
        part[:] = 0 if what == 0 else part[0] if what == 1 else np.round(part * 1.8)
    return Series(name, times, values, onsets)
