"""A suite of labelled series of many kinds, made here, to develop and judge the surge detector on.

Each kind is a generator with a seed; what a series is like (level, noise, rhythm, what is normal
though it looks odd) and what its anomalies are is drawn each time. `dev` and `test` have different
seeds, and two kinds are in `test` alone. Nothing here is copied from a public benchmark.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bench.series import Kind, Series
from bench.series_machines import cpu, disk, latency, machine_temperature, regimes, room_temperature
from bench.series_people import ad_rate, mentions, occupancy, sessions, speed, taxi
from bench.series_shapes import daily_pulse, quiet, spike_density

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
