"""Guardrails on automatic blocks: past a daily quota or a share of traffic, a human decides.

A rule or model gone wrong blocks thousands before anybody looks. Each category and rule has a
number of automatic blocks a day, and all together have a share of an hour's decisions; what is past
them is reviewed instead and an alert opens (after the quotas of Bluesky's automod).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, Protocol

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream, operator

from events.block_count import BlockCount, Rank
from events.identity import alert_id
from events.messages import Alert, AlertKey, Decision
from events.records import Judgement
from operators.quota_alerts import once

RULE_STAGES: Final = frozenset({"rules", "hash"})
MAX_EXAMPLES: Final = 5

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)

Ranks = dict[str, Rank]
"""Of a block, by counter."""


class QuotaLedger(Protocol):
    """Counters by day that all workers share."""

    def count(
        self, day: str, blocks: Sequence[BlockCount], traffic: Mapping[str, int]
    ) -> tuple[list[Ranks], dict[str, int]]:
        """Count on `day` (YYYY-MM-DD): the ranks of each block, and the totals of `traffic`.

        A block counts once under each of its counters and keeps its rank, whoever counts it again
        within a day. A quick answer has the rank that its final one would get. `traffic` adds up
        however often it comes.

        Raises:
            ConnectionError: the ledger does not answer; it is unknown whether it counted.
        """
        ...


class LocalLedger:
    """The ledger of one process, which lives and dies with it; `connectors.redis_ledger` is shared.

    Keeps two days and the ranks of the last `MAX_RANKS` blocks and counters.
    """

    MAX_RANKS = 50_000

    def __init__(self) -> None:
        self._days: dict[str, Counter[str]] = {}
        self._ranks: OrderedDict[tuple[str, int, str], Rank] = OrderedDict()

    def count(
        self, day: str, blocks: Sequence[BlockCount], traffic: Mapping[str, int]
    ) -> tuple[list[Ranks], dict[str, int]]:
        """See `QuotaLedger.count`."""
        total = self._days.setdefault(day, Counter())
        ranks = [{name: self._rank(one, name, day) for name in one.counters} for one in blocks]
        total.update(traffic)
        for old in sorted(self._days)[:-2]:
            del self._days[old]
        while len(self._ranks) > self.MAX_RANKS:
            self._ranks.popitem(last=False)
        return ranks, {name: total[name] for name in traffic}

    def _rank(self, block: BlockCount, name: str, day: str) -> Rank:
        identity = (block.content_id, block.revision, name)
        if identity in self._ranks:
            return self._ranks[identity]
        rank = Rank(day, self._days[day][name] + 1)
        if block.final:
            self._days[day][name] += 1
            self._ranks[identity] = rank
        return rank


@dataclass(frozen=True)
class _Block:
    """An automatic block, with the limits it is held against and its ranks, by counter."""

    decision: Decision
    limits: Mapping[str, int]
    ranks: Ranks

    @property
    def past(self) -> list[str]:
        """The counters of which it is past the limit."""
        return [name for name, limit in self.limits.items() if self.ranks[name].number > limit]


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
        self._day = ""
        self._told: set[str] = set()
        """Ids of the alerts of `_day`."""

    def limit(self, quotas: Mapping[str, int], max_share: float) -> None:
        """Hold to other limits from the next batch on; another thread may call."""
        self._quotas, self._max_share = quotas, max_share

    def __call__(self, judgements: Sequence[Judgement]) -> list[Judgement | Alert]:
        """The judgements in order, blocks past a limit as reviews, and the alerts that open.

        An alert comes once from each worker that has something to say of it.
        """
        out: list[Judgement | Alert] = []
        for hour, group in groupby(judgements, lambda judgement: _hour(judgement.decision)):
            out += self._hold(list(group), hour)
        return out

    def _hold(self, judgements: list[Judgement], hour: datetime) -> Iterator[Judgement | Alert]:
        acting = [judgement.decision for judgement in judgements if _acts(judgement.decision)]
        traffic = {
            f"decisions:{hour:%H}": sum(judgement.decision.final for judgement in judgements),
            f"blocks:{hour:%H}": sum(decision.final for decision in acting),
        }
        blocks, totals = self._count(hour, acting, traffic)
        seen, blocked = totals.values()
        flooded = seen >= self._min_decisions and blocked > self._max_share * seen
        refused = [block for block in blocks if flooded or block.past]
        held = {id(block.decision) for block in refused}
        for judgement in judgements:
            yield _as_review(judgement) if id(judgement.decision) in held else judgement
        alerts = self._used_up(refused)
        if flooded and refused:
            alerts.append(self._flood(seen, blocked, refused, hour))
        for alert in alerts:
            if alert.alert_id not in self._told:
                self._told.add(alert.alert_id)
                yield alert

    def _count(
        self, hour: datetime, acting: Sequence[Decision], traffic: Mapping[str, int]
    ) -> tuple[list[_Block], dict[str, int]]:
        day = f"{hour:%Y-%m-%d}"
        if day != self._day:
            self._day, self._told = day, set()
        limits = [self._limits(decision) for decision in acting]
        counts = [
            BlockCount(decision.content_id, decision.revision, tuple(names), decision.final)
            for decision, names in zip(acting, limits, strict=True)
        ]
        ranks, totals = self._own_ledger.count(day, counts, traffic)
        with suppress(ConnectionError):
            ranks, totals = self._ledger.count(day, counts, traffic)
        return [_Block(*each) for each in zip(acting, limits, ranks, strict=True)], totals

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

    def _used_up(self, refused: Sequence[_Block]) -> list[Alert]:
        """An alert for each quota that some are past, of the day on which they were counted."""
        past: dict[tuple[str, str], list[_Block]] = {}
        for block in refused:
            for name in block.past:
                past.setdefault((name, block.ranks[name].day), []).append(block)
        alerts = []
        for name, day in sorted(past):
            blocks = past[name, day]
            kind, _, what = name.partition(":")
            quota = blocks[-1].limits[name]
            alerts.append(
                _opened(
                    AlertKey(blocks[0].decision.category, f"quota:{name}"),
                    (datetime.fromisoformat(day).replace(tzinfo=UTC), _DAY),
                    (max(block.ranks[name].number for block in blocks), quota),
                    blocks,
                    f"Daily quota of {quota} automatic blocks for {kind} {what} is used up",
                )
            )
        return alerts

    def _flood(self, seen: int, blocked: int, refused: Sequence[_Block], hour: datetime) -> Alert:
        summary = f"{blocked / seen:.0%} of this hour's {seen} decisions were blocks"
        numbers = (blocked, self._max_share * seen)
        return _opened(AlertKey("", "quota:share"), (hour, _HOUR), numbers, refused, summary)


def _opened(
    key: AlertKey,
    window: tuple[datetime, timedelta],
    numbers: tuple[float, float],
    refused: Sequence[_Block],
    summary: str,
) -> Alert:
    """An alert over `window` (its start and length), with what was observed and expected."""
    start, length = window
    decisions = [block.decision for block in refused]
    return Alert(
        alert_id=alert_id("health", key, start),
        kind="health",
        state="open",
        severity="error",
        key=key,
        window_start=start,
        window_end=start + length,
        observed=float(numbers[0]),
        expected=float(numbers[1]),
        z_score=0.0,
        distinct_authors=len({decision.author_id for decision in decisions}),
        examples=tuple(decision.content_id for decision in decisions[:MAX_EXAMPLES]),
        summary=f"{summary}: further ones go to review",
    )


def _as_review(judgement: Judgement) -> Judgement:
    decision = msgspec.structs.replace(judgement.decision, action="review")
    return msgspec.structs.replace(judgement, decision=decision)


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
def hold_quota(
    step_id: str, up: Stream[Judgement], quota: BlockQuota, finish_at_eof: bool = False
) -> QuotaOut:
    """Bytewax shell of `BlockQuota`."""
    held = op.flat_map_batch("hold", up, quota)
    judgements = op.flat_map_batch(
        "judgements", held, lambda batch: [x for x in batch if isinstance(x, Judgement)]
    )
    alerts = op.flat_map_batch(
        "alerts", held, lambda batch: [x for x in batch if isinstance(x, Alert)]
    )
    return QuotaOut(judgements, once("open", alerts, finish_at_eof))
