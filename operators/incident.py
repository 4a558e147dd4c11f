"""One attack: the surging keys it touches, which of them names it, and when it is worth a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from events.identity import alert_id
from events.messages import AlertKey
from operators.sketch import DistinctSketch
from operators.surge_settings import KeySurge

MAX_MEMBERS: Final = 256
"""Keys that an incident remembers; it needs no more to know what belongs to it."""
OUTGROWN: Final = 2.0
"""How many times the excess of the key that names an incident makes another one worth a word."""


@dataclass(slots=True)
class Incident:
    """What one alert tells of, from its first window to its end."""

    alert_id: str
    primary: KeySurge
    """The key that names it."""
    members: dict[AlertKey, KeySurge]
    active: set[AlertKey]
    said: int
    """What the last message about it counted."""
    top: KeySurge | None = None
    """What else the last message told of, see `_leader`."""
    over_at: float = math.inf
    """When its last key calmed down, Unix seconds."""
    _before: KeySurge | None = None
    """What its primary key did before it flared up again."""

    @classmethod
    def of(cls, group: Sequence[KeySurge]) -> Incident:
        """The incident of keys that opened together, named after the narrowest that holds most."""
        most = max(map(_excess, group))
        telling = [c for c in group if _excess(c) >= 0.6 * most]
        primary = max(telling, key=lambda c: (_narrowness(c.key), _excess(c), c.key))
        opened_at = datetime.fromtimestamp(primary.opened_at, UTC)
        members = {change.key: change for change in group[:MAX_MEMBERS]} | {primary.key: primary}
        incident = cls(
            alert_id("surge", primary.key, opened_at),
            primary,
            members,
            set(members),
            primary.observed,
        )
        incident.top = incident._leader()
        return incident

    def take(self, change: KeySurge) -> None:
        """What one of its keys does now, or that another key belongs to it."""
        if change.key not in self.members and len(self.members) >= MAX_MEMBERS:
            return
        self.members[change.key] = change
        if change.state == "resolved":
            self.active.discard(change.key)
        else:
            self.active.add(change.key)
        self.over_at = math.inf if self.active else change.window_end
        if change.key == self.primary.key:
            if change.state == "open":
                self._before = self.primary
            self.primary = _continued(self._before, change)

    def has_news(self, growth: float) -> bool:
        """Whether it has grown `growth` times since it was told, or another key leads."""
        if self.primary.observed >= growth * self.said:
            return True
        leader = self._leader()
        if leader is None or self.top is None:
            return leader is not None
        if leader.key == self.top.key:
            # A campaign that leads a broad surge grows with it.
            named = bool(self.primary.key.signature)
            return named and leader.observed >= growth * self.top.observed
        return leader.observed >= 1.5 * self.members[self.top.key].observed

    def tell(self) -> None:
        """It is being told as it stands."""
        self.said = self.primary.observed
        self.top = self._leader()

    def _leader(self) -> KeySurge | None:
        """The campaign with most of the excess, where the incident is not named after one.

        Where it is: the key that has outgrown it, for a campaign may change its text every minute.
        """
        named = bool(self.primary.key.signature)
        others = (self.members[key] for key in self.active if key.signature or named)
        leader = max(others, key=lambda c: (_excess(c), c.key), default=None)
        if leader is not None and named and _excess(leader) < OUTGROWN * _excess(self.primary):
            return None
        return leader


def _excess(surge: KeySurge) -> float:
    return surge.observed - surge.expected


def _continued(before: KeySurge | None, change: KeySurge) -> KeySurge:
    """`change` with what was counted before the lull."""
    if before is None:
        return change
    authors = DistinctSketch(hashes=before.authors)
    authors.update(DistinctSketch(hashes=change.authors))
    return replace(
        change,
        opened_at=before.opened_at,
        observed=before.observed + change.observed,
        expected=before.expected + change.expected,
        z_score=max(before.z_score, change.z_score),
        authors=authors.hashes(),
        examples=before.examples,
    )


def _narrowness(key: AlertKey) -> tuple[bool, bool, bool, bool]:
    """One reported content names best; a link, hash or image better than the wording around it."""
    named = bool(key.signature)
    one = key.signature.startswith("content:")
    return named, one, bool(key.community), named and not key.signature.startswith("text:")
