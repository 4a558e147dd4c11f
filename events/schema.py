"""JSON Schemas of the messages: `python -m events.schema` writes them to `events/schemas/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from events.messages import (
    Alert,
    Appeal,
    Content,
    DeadLetter,
    Decision,
    Label,
    ReviewItem,
    UserReport,
)

SCHEMA_DIR = Path(__file__).parent / "schemas"

TOPIC_MESSAGES: dict[str, type[msgspec.Struct]] = {
    "content.submitted.v1": Content,
    "moderation.decisions.v1": Decision,
    "moderation.review.v1": ReviewItem,
    "moderation.labels.v1": Label,
    "moderation.true-labels.v1": Label,
    "moderation.user-reports.v1": UserReport,
    "moderation.appeals.v1": Appeal,
    "moderation.alerts.v1": Alert,
    "moderation.dead-letter.v1": DeadLetter,
}


def schema(topic: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the messages on `topic`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(TOPIC_MESSAGES[topic]),
    }


def write_schemas() -> None:
    """Write `events/schemas/<topic>.json` for every topic."""
    SCHEMA_DIR.mkdir(exist_ok=True)
    for topic in TOPIC_MESSAGES:
        text = msgspec.json.format(msgspec.json.encode(schema(topic)), indent=2)
        (SCHEMA_DIR / f"{topic}.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas()
