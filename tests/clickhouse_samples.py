"""Judgements for tests of the store, made from a few words each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from events.identity import decision_id
from events.messages import Content, Decision, Signal
from events.records import Judgement, ModelOutput

AT = datetime(2026, 11, 17, 10, 0, tzinfo=UTC)


def judgement(content_id: str = "c1", *, text: str = "hello", **changes: Any) -> Judgement:
    """An allowed post of author `u1`, its decision changed by `changes`."""
    content = Content(
        content_id=content_id,
        created_at=changes.get("created_at", AT),
        author_id=changes.get("author_id", "u1"),
        revision=changes.get("revision", 0),
        author_created_at=AT - timedelta(days=2),
        community=changes.get("community", "pets"),
        text=text,
    )
    decision = Decision(
        decision_id=decision_id(content_id, content.revision, mode=changes.get("mode", "live")),
        content_id=content_id,
        revision=content.revision,
        author_id=content.author_id,
        community=content.community,
        kind=content.kind,
        action="allow",
        category="",
        scores={"spam": 0.1, "hate": 0.02},
        signals=(),
        final=True,
        mode="live",
        degraded=(),
        policy_version="p1",
        ruleset_version="r1",
        model_versions={"text-fast": "3"},
        created_at=content.created_at,
        decided_at=content.created_at + timedelta(milliseconds=7),
        latency_ms=7.0,
    )
    outputs = (ModelOutput("text-fast", "3", "", 0.9, {"spam": 0.1, "hate": 0.02}),)
    return Judgement(content, replace(decision, **changes), outputs)


def blocked(content_id: str = "c1", category: str = "spam", **changes: Any) -> Judgement:
    """A blocked post whose rule `r-1` scored 0.97 in `category`."""
    made: dict[str, Any] = {
        "action": "block",
        "category": category,
        "scores": {category: 0.97},
        "signals": (Signal("rules", "r-1", category, 0.97),),
    }
    return judgement(content_id, **(made | changes))
