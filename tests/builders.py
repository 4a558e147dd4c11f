"""Small messages for tests: everything has a default, a test names what it is about."""

from datetime import UTC, datetime
from typing import Any

from events.identity import decision_id
from events.messages import Content, Decision, Position
from events.records import Judgement
from operators.item import Item

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def content(content_id: str = "c1", **fields: Any) -> Content:
    if "images" not in fields:
        fields.setdefault("text", "hello")
    return Content(**{"content_id": content_id, "created_at": AT, "author_id": "a1"} | fields)


def item(content_id: str = "c1", *, line: int = 1, scores: dict[str, float] | None = None,
         **fields: Any) -> Item:  # fmt: skip
    made = Item(content(content_id, **fields), Position(file="a file", line=line), AT.timestamp())
    made.scores = scores or {}
    return made


def items(count: int, **fields: Any) -> list[Item]:
    return [item(f"c{number}", line=number + 1, **fields) for number in range(count)]


def decision(content_id: str = "c1", **fields: Any) -> Decision:
    defaults: dict[str, Any] = {
        "decision_id": decision_id(content_id, fields.get("revision", 0)),
        "content_id": content_id,
        "revision": 0,
        "author_id": "a1",
        "community": "",
        "kind": "post",
        "action": "allow",
        "category": "",
        "scores": {},
        "signals": (),
        "final": True,
        "mode": "live",
        "degraded": (),
        "policy_version": "p",
        "ruleset_version": "r",
        "model_versions": {},
        "created_at": AT,
        "decided_at": AT,
        "latency_ms": 1.0,
    }
    return Decision(**defaults | fields)


def judgement(content_id: str = "c1", text: str = "hello", **fields: Any) -> Judgement:
    made = decision(content_id, **fields)
    return Judgement(
        content(content_id, text=text, author_id=made.author_id, revision=made.revision), made
    )
