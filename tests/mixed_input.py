"""A thousand posts as a platform really sends them: with repeats, edits and broken lines."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from cli.demo_traffic import day_of_traffic
from events.encode import encode

GOOD = {"content_id": "x", "created_at": "2026-11-20T10:00:00Z", "author_id": "a", "text": "hi"}

BROKEN = {
    "cut JSON": json.dumps(GOOD).encode()[:-7],
    "wrong types": json.dumps(GOOD | {"text": 7}).encode(),
    "null": b"null",
    "an empty id": json.dumps(GOOD | {"content_id": ""}).encode(),
    "a time without zone": json.dumps(GOOD | {"created_at": "2026-11-20T10:00:00"}).encode(),
    "70,000 characters": json.dumps(GOOD | {"text": "x" * 70_000}).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "invalid UTF-8": json.dumps(GOOD).encode().replace(b"hi", b"\xc3\x28"),
}


@dataclass(frozen=True)
class MixedInput:
    """Messages in the order they are sent, and what they come to."""

    messages: list[bytes]
    identities: set[tuple[str, int]]
    broken: list[bytes]


def mixed_input(posts: int = 1000) -> MixedInput:
    """`posts` posts; every tenth comes twice, every fiftieth is edited; the broken ones between."""
    # A day of this month: the store forgets allowed texts after thirty days.
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    contents = [planted.content for planted in day_of_traffic(day, posts)]
    messages: list[bytes] = []
    identities = set()
    broken = list(BROKEN.values())
    for number, content in enumerate(contents):
        messages.append(encode(content))
        identities.add((content.content_id, 0))
        if number % 10 == 0:
            messages.append(encode(content))
        if number % 50 == 0:
            messages.append(encode(msgspec.structs.replace(content, revision=1)))
            identities.add((content.content_id, 1))
        if number % 100 == 0 and number // 100 < len(broken):
            messages.append(broken[number // 100])
    return MixedInput(messages, identities, broken[: (posts + 99) // 100])
