"""Fourteen days of violations on a platform, with twenty attacks in them.

The background has a daily and weekly rhythm, growth of a third, noise beyond Poisson that drifts
from hour to hour, spam domains and copied texts that are always there, outages and a half-dead
hour. Attacks come in every shape of the issue; each seed draws other times, sizes and places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from events.messages import AlertKey, Content, Decision, Image
from events.records import Judgement

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
MINUTES: Final = 14 * 1_440
CATEGORIES: Final = {"spam": 6.0, "harassment": 3.0, "hate": 2.0, "sexual": 2.0, "threat": 0.4}
"""Violations a minute on average."""
COMMUNITIES: Final = 30
SHAPES: Final = (
    "one domain", "many domains", "sudden", "slow", "paraphrased", "image", "brigade", "night",
)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """One attack: minutes [start, end) of the simulation and violations a minute at its height."""

    shape: str
    start: int
    end: int
    peak: float
    category: str
    community: str

    def rate(self, minute: int) -> float:
        """Violations a minute it adds."""
        if not self.start <= minute < self.end:
            return 0.0
        if self.shape == "slow":
            return self.peak * min(1.0, (minute - self.start + 1) / 20)
        return self.peak

    def explains(self, key: AlertKey, opened: float) -> bool:
        """Whether an alert opened at that minute is about this attack."""
        return key.category == self.category and self.start - 1 <= opened <= self.end + 10


def attacks(rng: np.random.Generator) -> list[Attack]:
    """Twenty attacks from the second day on, apart from each other."""
    slots = np.linspace(1.6 * 1_440, MINUTES - 400, 21)
    found = []
    for number in range(20):
        shape = SHAPES[number % len(SHAPES)]
        start = int(rng.uniform(slots[number], slots[number + 1] - 250))
        if shape == "night":
            start = start // 1_440 * 1_440 + int(rng.uniform(120, 240))
        category = str(
            rng.choice(["harassment", "hate"] if shape == "brigade" else ["spam", "sexual"])
        )
        community = f"c{rng.integers(COMMUNITIES)}" if shape in ("brigade", "image") else ""
        found.append(
            Attack(
                shape,
                start,
                start + int(rng.integers(20, 120)),
                float(rng.uniform(10, 40)),
                category,
                community,
            )
        )
    return found


class Traffic:
    """The simulation of one seed: batches of judgements in the order of time, a minute each."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.attacks = attacks(self._rng)
        self._outages = self._make_outages()
        self._words = [f"w{number}" for number in range(3_000)]
        self._copied = [self._text(14) for _ in range(40)]
        self._number = 0

    def batches(self) -> Iterator[list[Judgement]]:
        """One batch a minute, in which something was posted."""
        drift = dict.fromkeys(CATEGORIES, 0.0)
        for minute in range(MINUTES):
            up = self._outages.get(minute, 1.0)
            batch: list[Judgement] = []
            if up > 0:
                batch.append(self._judgement(minute, "", "all is well", "a0", "c0"))
            for category, mean in CATEGORIES.items():
                drift[category] = 0.98 * drift[category] + self._rng.normal(0, 0.03)
                rate = mean * _rhythm(minute) * math.exp(drift[category]) * up
                batch += [
                    self._background(minute, category) for _ in range(self._rng.poisson(rate))
                ]
            for attack in self.attacks:
                rate = attack.rate(minute) * up
                batch += [self._violation(minute, attack) for _ in range(self._rng.poisson(rate))]
            if batch:
                yield sorted(batch, key=lambda judgement: judgement.content.created_at)

    def _make_outages(self) -> dict[int, float]:
        found: dict[int, float] = {}
        busy = [(attack.start - 60, attack.end + 60) for attack in self.attacks]
        for share in (0.0, 0.0, 0.0, 0.3):
            while True:
                start = int(self._rng.uniform(1_000, MINUTES - 500))
                length = int(self._rng.uniform(10, 90))
                if all(start + length < left or start > right for left, right in busy):
                    break
            for minute in range(start, start + length):
                found[minute] = share
            for minute in range(start + length, start + length + 20):
                found[minute] = 1.2  # people come back at once
        return found

    def _background(self, minute: int, category: str) -> Judgement:
        rng = self._rng
        kind = rng.random()
        text = self._text(int(rng.integers(4, 25)))
        if kind < 0.4 and category == "spam":
            text += f" http://shop{min(300, rng.zipf(1.4))}.example/{rng.integers(1_000_000)}"
        elif kind < 0.5:
            text = self._copied[min(39, int(rng.zipf(1.5)) - 1)]
        author = f"a{min(40_000, rng.zipf(1.2))}x{rng.integers(50)}"
        community = f"c{int(COMMUNITIES * rng.random() ** 2)}"
        return self._judgement(minute, category, text, author, community)

    def _violation(self, minute: int, attack: Attack) -> Judgement:
        rng = self._rng
        name = f"{attack.shape.replace(' ', '')}{attack.start}"
        text = self._text(12)
        images: list[Image] = []
        if attack.shape in ("one domain", "slow", "night"):
            text += f" https://{name}.example/{rng.integers(1_000_000)}"
        elif attack.shape == "many domains":
            text += f" https://{name}x{rng.integers(400)}.example/"
        elif attack.shape == "paraphrased":
            template = [f"{name}{n}" for n in range(12)]
            for _ in range(3):
                template[int(rng.integers(12))] = str(rng.choice(self._words))
            text = " ".join(template)
        elif attack.shape == "image":
            text, images = "", [Image("i", data=name.encode())]
        author = f"bot{name}x{rng.integers(30 + int(3 * attack.peak))}"
        community = attack.community or f"c{rng.integers(COMMUNITIES)}"
        return self._judgement(minute, attack.category, text, author, community, images)

    def _text(self, length: int) -> str:
        return " ".join(self._words[int(n)] for n in self._rng.integers(0, 3_000, length))

    def _judgement(
        self,
        minute: int,
        category: str,
        text: str,
        author: str,
        community: str,
        images: list[Image] | None = None,
    ) -> Judgement:
        self._number += 1
        at = START + timedelta(minutes=minute, seconds=float(self._rng.uniform(0, 60)))
        content = Content(
            f"p{self._number}", at, author, text=text, images=images or [], community=community
        )
        decision = Decision(
            decision_id=f"d{self._number}",
            content_id=content.content_id,
            revision=0,
            author_id=author,
            community=community,
            kind="post",
            action="block" if category else "allow",
            category=category,
            scores={},
            signals=(),
            final=True,
            mode="live",
            degraded=(),
            policy_version="1",
            ruleset_version="1",
            model_versions={},
            created_at=at,
            decided_at=at,
            latency_ms=1.0,
        )
        return Judgement(content, decision)


def _rhythm(minute: int) -> float:
    hour, day = minute % 1_440 / 60, minute // 1_440
    daily = 1 + 0.7 * math.sin(2 * math.pi * (hour - 9) / 24)
    weekly = 1.35 if day % 7 >= 5 else 1.0
    return daily * weekly * (1 + minute / MINUTES / 3)
