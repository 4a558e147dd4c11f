"""When a key surges, and what is said of one that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from events.messages import AlertKey, AlertState
from operators.surge_tally import Example

Odd: TypeAlias = Literal["late", "future", "dropped"]
"""Why an event is not simply counted: its window had closed; it is further ahead of the clock than
`max_jump` and waits; there were too many open windows, or keys in one.
"""


@dataclass(frozen=True, slots=True)
class SurgeSettings:
    """What is a surge. Times are seconds of event time, the other lengths are windows."""

    window: float = 60.0
    lateness: float = 60.0
    """How long a window stays open for events that come out of order."""
    max_jump: float = 3600.0
    """A clock further ahead than this must be confirmed by two more, so that one wrong one does no
    harm.
    """
    warm_up: int = 30
    """Windows at the start of the stream that are learned from and never alarmed on."""
    min_z: float = 5.0
    """Least z-score of a signature: a campaign is new, there is little to confuse it with."""
    min_broad_z: float = 5.5
    """Least z-score of a whole category or community, whose usual wanders more."""
    min_effect: float = 0.25
    min_count: int = 6
    """Least count in the last five windows."""
    min_authors: int = 5
    """Least different authors in these: one retrying client is no surge, nor what fewer repeat
    among the others of a category.
    """
    quiet: int = 10
    """Windows in a row below half of the least z-score after which a surge is over."""
    longest: int = 1440
    """Windows after which a surge is the new normal: it is closed and learned from."""
    remember: int = 120
    """Windows without an event after which a key is forgotten."""
    max_keys: int = 16_384
    """Keys held by a shard in a window, and keys with a baseline: the least used make room."""
    max_windows: int = 4_096
    """Windows open at once: only times from the far future open so many."""
    examples: int = 5
    plot: int = 30
    """Windows that an alert shows."""
    fresh: float = 3600.0
    """A version that changed so long before a surge may have made it: the alert says so, and if it
    lasts as long again, it is the new usual.
    """


@dataclass(frozen=True, slots=True)
class KeySurge:
    """The surge of one key, as it stood when window `window_end` closed (Unix seconds)."""

    key: AlertKey
    state: AlertState
    opened_at: float
    window_end: float
    observed: int
    expected: float
    z_score: float
    authors: tuple[int, ...]
    """Hashes of a `DistinctSketch`."""
    examples: tuple[Example, ...]
    recent: tuple[int, ...] = ()
    """Counts of the last windows, the oldest first."""
    last_hour: int = 0
    last_day: int = 0
    changed: str = ""
    """The version that changed shortly before it."""
