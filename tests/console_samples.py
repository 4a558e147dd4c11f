"""What the tests of the console work with: a queue, a desk over it, answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from clickhouse_samples import AT, blocked
from msgspec import structs

from console.data import Overview, WaitingItem, answers_wanted
from console.desk import Desk
from events.messages import Alert, AlertKey, Appeal, Evidence, Label, Signal
from events.records import Judgement
from policy.policies import Policies
from policy.policy import load_policy

POLICY = load_policy()
POLICIES = Policies(POLICY)
ONCE, TWICE = (
    next(f"c{n}" for n in range(100) if answers_wanted((f"c{n}", 0)) == wanted) for wanted in (1, 2)
)

HOSTILE = "</p><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"


def waiting(
    content_id: str, category: str = "spam", score: float = 0.5, **changes: Any
) -> Judgement:
    """A decision that a person should look at."""
    made: dict[str, Any] = {
        "action": "review",
        "scores": {category: score, "spam": 0.2} | {category: score},
        "signals": (Signal("text_score", "text-fast", category, score),),
    }
    return blocked(content_id, category, **(made | changes))


def review_item(content_id: str, text: str = "hello", images: int = 0) -> WaitingItem:
    decision = waiting(content_id).decision
    return WaitingItem(decision=decision, text=text, priority=1.0, reason="policy", images=images)


def appeal(content_id: str, appeal_id: str = "a1", **changes: Any) -> Appeal:
    """What the author of a content says against the decision on it."""
    made: dict[str, Any] = {"user_id": "author", "statement": "it was a joke", "appealed_at": AT}
    return Appeal(appeal_id=appeal_id, content_id=content_id, **(made | changes))


def appealed_item(content_id: str, **changes: Any) -> WaitingItem:
    return structs.replace(
        review_item(content_id), reason="appeal", appeal=appeal(content_id, **changes)
    )


class Shelf:
    """A store of given items, in order; what is labelled is taken off by the test."""

    def __init__(self, *ids: str) -> None:
        self.items = [review_item(content_id) for content_id in ids]

    def waiting(self, limit: int, reviewer: str) -> list[WaitingItem]:
        return self.items[:limit]

    def count_waiting(self) -> int:
        return len(self.items)

    def overview(self, hours: float) -> Overview:
        return Overview(since=AT, until=AT)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def desk_of(*ids: str, hold_s: float = 0.0) -> tuple[Desk, list[Label], Clock]:
    sent: list[Label] = []
    clock = Clock()
    return Desk(Shelf(*ids), sent.append, clock, hold_s), sent, clock


def at(desk: Desk, reviewer: str) -> str:
    item = desk.current(reviewer)
    return item.decision.content_id if item else ""


def signal_at(*spans: tuple[int, int], rule: str = "r", field: str = "text") -> Signal:
    return Signal("regex", rule, "spam", 0.9, tuple(Evidence(field, s, e) for s, e in spans))


def surge(state: str, minute: int, signature: str = "claim-prize.example") -> Alert:
    return Alert(
        alert_id="alert-1",
        kind="surge",
        state=state,  # type: ignore[arg-type]
        severity="critical",
        key=AlertKey("spam", signature, "pets"),
        window_start=AT + timedelta(minutes=minute),
        window_end=AT + timedelta(minutes=minute + 5),
        observed=90,
        expected=2.5,
        z_score=20,
        distinct_authors=40,
        examples=("b1",),
        summary="spam surged",
    )
