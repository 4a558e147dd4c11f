"""Guardrails on automatic blocks: past a daily quota or a share of traffic, a human decides.

A rule or model gone wrong blocks thousands before anybody looks. Each category and rule has a
number of automatic blocks a day, and all together have a share of an hour's decisions; what is past
them is reviewed instead and an alert opens (after the quotas of Bluesky's automod).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, Protocol

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream, operator

from events.identity import alert_id
from events.messages import Alert, AlertKey, Decision, Judgement

RULE_STAGES: Final = frozenset({"rules", "hash"})
MAX_EXAMPLES: Final = 5

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


class QuotaLedger(Protocol):
    """Counters by day that all workers share."""

    def add(self, day: str, counts: Mapping[str, int]) -> dict[str, int]:
        """Add to the counters of `day` (YYYY-MM-DD) and return their totals.

        Raises:
            ConnectionError: the ledger does not answer; it is unknown whether it counted.
        """
        ...


class LocalLedger:
    """The ledger of one process; a shared one is `connectors.redis_ledger`. Keeps two days."""

    def __init__(self, snapshot: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._days = {day: Counter(counts) for day, counts in (snapshot or {}).items()}

    def snapshot(self) -> dict[str, dict[str, int]]:
        """What `LocalLedger(snapshot)` goes on from."""
        return {day: dict(counts) for day, counts in self._days.items()}

    def add(self, day: str, counts: Mapping[str, int]) -> dict[str, int]:
        """See `QuotaLedger.add`."""
        total = self._days.setdefault(day, Counter())
        total.update(counts)
        for old in sorted(self._days)[:-2]:
            del self._days[old]
        return {name: total[name] for name in counts}


class BlockQuota:
    """Turns automatic blocks past a limit into reviews, and says so once by an alert.

    Days and hours are those of `decided_at` (UTC). Shadow decisions neither count nor change; a
    quick answer changes and leaves the counting to the final one. While the ledger is down each
    worker counts for itself.

    Args:
        quotas: blocks a day by category; a category that is missing has no quota.
        ledger: where the counts are kept.
        rule_quota: blocks a day that a rule's signals may take part in, None without a quota.
        max_share: largest share of an hour's decisions that may be blocks.
        min_decisions: decisions of the hour before its share says anything.
    """

    def __init__(
        self,
        quotas: Mapping[str, int],
        ledger: QuotaLedger,
        *,
        rule_quota: Callable[[str], int | None] = lambda _: None,
        max_share: float = 0.5,
        min_decisions: int = 1_000,
    ) -> None:
        self._quotas = quotas
        self._ledger = ledger
        self._own_ledger = LocalLedger()
        self._rule_quota = rule_quota
        self._max_share = max_share
        self._min_decisions = min_decisions
        self._open: list[Alert] = []

    def limit(self, quotas: Mapping[str, int], max_share: float) -> None:
        """Hold to other limits from the next batch on; another thread may call."""
        self._quotas, self._max_share = quotas, max_share

    def __call__(self, judgements: Sequence[Judgement]) -> list[Judgement | Alert]:
        """The judgements in order, blocks past a limit as reviews, and the alerts that change."""
        out: list[Judgement | Alert] = []
        for hour, group in groupby(judgements, lambda judgement: _hour(judgement.decision)):
            out += self._resolve(hour)
            out += self._hold(list(group), hour)
        return out

    def _hold(self, judgements: list[Judgement], hour: datetime) -> Iterator[Judgement | Alert]:
        blocks = [judgement.decision for judgement in judgements if _acts(judgement.decision)]
        limits = {id(decision): self._limits(decision) for decision in blocks}
        counts = dict.fromkeys((name for names in limits.values() for name in names), 0)
        for decision in blocks:
            for name in limits[id(decision)]:
                counts[name] += decision.final
        traffic = {
            f"decisions:{hour:%H}": sum(judgement.decision.final for judgement in judgements),
            f"blocks:{hour:%H}": sum(decision.final for decision in blocks),
        }
        totals = self._add(hour, counts | traffic)
        room = {
            name: quota - (totals[name] - counts[name])
            for names in limits.values()
            for name, quota in names.items()
        }
        flooded = self._flooded(totals, hour)
        refused: list[Decision] = []
        for judgement in judgements:
            names = limits.get(id(judgement.decision))
            if names is None:
                yield judgement
                continue
            fits = not flooded and all(room[name] > 0 for name in names)
            for name in names:
                room[name] -= judgement.decision.final
            if fits:
                yield judgement
            else:
                refused.append(judgement.decision)
                review = msgspec.structs.replace(judgement.decision, action="review")
                yield msgspec.structs.replace(judgement, decision=review)
        yield from self._alerts(limits.values(), counts, totals, refused, hour)
        # The first of all workers that meets the flood opens its alert.
        if flooded and blocks and self._add(hour, {f"flood:{hour:%H}": 1})[f"flood:{hour:%H}"] == 1:
            yield self._open_flood(totals, refused, hour)

    def _limits(self, decision: Decision) -> dict[str, int]:
        """The quotas that a block is held against, by the name of their counter."""
        limits = {}
        if decision.category in self._quotas:
            limits[f"category:{decision.category}"] = self._quotas[decision.category]
        for signal in decision.signals:
            if signal.stage in RULE_STAGES and signal.category == decision.category:
                quota = self._rule_quota(signal.rule)
                if quota is not None:
                    limits[f"rule:{signal.rule}"] = quota
        return limits

    def _add(self, hour: datetime, counts: Mapping[str, int]) -> dict[str, int]:
        day = f"{hour:%Y-%m-%d}"
        own = self._own_ledger.add(day, counts)
        try:
            return self._ledger.add(day, counts)
        except ConnectionError:
            return own

    def _flooded(self, totals: Mapping[str, int], hour: datetime) -> bool:
        decisions, blocks = totals[f"decisions:{hour:%H}"], totals[f"blocks:{hour:%H}"]
        return decisions >= self._min_decisions and blocks > self._max_share * decisions

    def _alerts(
        self,
        limits: Iterable[Mapping[str, int]],
        counts: Mapping[str, int],
        totals: Mapping[str, int],
        refused: Sequence[Decision],
        hour: datetime,
    ) -> Iterator[Alert]:
        quotas = {name: quota for names in limits for name, quota in names.items()}
        day = hour.replace(hour=0)
        for name, quota in sorted(quotas.items()):
            # True for one batch of all workers' only: the one that crosses the line.
            if totals[name] - counts[name] <= quota < totals[name]:
                over = [one for one in refused if name in self._limits(one)]
                kind, _, what = name.partition(":")
                key = AlertKey(over[0].category if over else what, f"quota:{name}")
                summary = f"Daily quota of {quota} automatic blocks for {kind} {what} is used up"
                yield self._opened(key, (day, day + _DAY), (totals[name], quota), over, summary)

    def _open_flood(
        self, totals: Mapping[str, int], refused: Sequence[Decision], hour: datetime
    ) -> Alert:
        decisions, blocks = totals[f"decisions:{hour:%H}"], totals[f"blocks:{hour:%H}"]
        summary = f"{blocks / decisions:.0%} of this hour's {decisions} decisions were blocks"
        numbers = (blocks, self._max_share * decisions)
        key = AlertKey("", "quota:share")
        return self._opened(key, (hour, hour + _HOUR), numbers, refused, summary)

    def _opened(
        self,
        key: AlertKey,
        window: tuple[datetime, datetime],
        numbers: tuple[float, float],
        refused: Sequence[Decision],
        summary: str,
    ) -> Alert:
        alert = Alert(
            alert_id=alert_id("health", key, window[0]),
            kind="health",
            state="open",
            severity="error",
            key=key,
            window_start=window[0],
            window_end=window[1],
            observed=float(numbers[0]),
            expected=float(numbers[1]),
            z_score=0.0,
            distinct_authors=len({decision.author_id for decision in refused}),
            examples=tuple(decision.content_id for decision in refused[:MAX_EXAMPLES]),
            summary=f"{summary}: further ones go to review",
        )
        self._open.append(alert)
        return alert

    def _resolve(self, hour: datetime) -> Iterator[Alert]:
        """The end of alerts whose day or hour is over."""
        over = [alert for alert in self._open if alert.window_end <= hour]
        self._open = [alert for alert in self._open if alert.window_end > hour]
        for alert in over:
            yield msgspec.structs.replace(alert, state="resolved")


def _acts(decision: Decision) -> bool:
    return decision.action == "block" and decision.mode == "live"


def _hour(decision: Decision) -> datetime:
    return decision.decided_at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class QuotaOut:
    """What `hold_quota` gives: judgements with blocks past a limit as reviews, and alerts."""

    judgements: Stream[Judgement]
    alerts: Stream[Alert]


@operator
def hold_quota(step_id: str, up: Stream[Judgement], quota: BlockQuota) -> QuotaOut:
    """Bytewax shell of `BlockQuota`."""
    held = op.flat_map_batch("hold", up, quota)
    judgements = op.flat_map_batch(
        "judgements", held, lambda batch: [x for x in batch if isinstance(x, Judgement)]
    )
    alerts = op.flat_map_batch(
        "alerts", held, lambda batch: [x for x in batch if isinstance(x, Alert)]
    )
    return QuotaOut(judgements, alerts)
