"""Messages as a broken or hostile producer sends them: one line of bytes each."""

import json
import random
from typing import Any

WORDS = ("free", "money", "now", "call", "you", "idiot", "hello", "nice", "picture")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
VALUES: tuple[Any, ...] = (
    None, True, -1, 2**70, 1e308, [], {}, [[]] * 50, "", "x" * 70_000, "\ud800", "\x00",
    "2026-11-20T10:00:00", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59-23:59",
    "\u202e[bold]\x1b[2J",
)  # fmt: skip


def fuzzed_messages(count: int, seed: int = 5) -> list[bytes]:
    """`count` messages, some of them still fine, none with a line end, none blank."""
    rng = random.Random(seed)
    made = (_fuzzed(rng, number) for number in range(count))
    return [line if line.strip() else b"{}" for line in map(_one_line, made)]


def _one_line(message: bytes) -> bytes:
    return message.replace(b"\n", b" ").replace(b"\r", b" ")


def _fuzzed(rng: random.Random, number: int) -> bytes:
    import base64

    message: dict[str, Any] = {
        "content_id": f"fuzz-{number}", "created_at": "2026-11-20T10:00:00Z", "author_id": "a",
        "text": " ".join(rng.choices(WORDS, k=rng.randint(1, 12))),
    }  # fmt: skip
    if rng.random() < 0.05:
        data = bytearray(PNG + rng.randbytes(rng.randint(0, 200)))
        message["images"] = [{"image_id": "i", "data": base64.b64encode(data).decode()}]
    kind = rng.randrange(6)
    if kind == 0:
        message[rng.choice([*message, "images", "revision", "kind", "new"])] = rng.choice(VALUES)
    if kind == 1:
        del message[rng.choice(list(message))]
    raw = json.dumps(message).encode()
    if kind == 2:
        raw = raw[: rng.randrange(len(raw))]
    if kind == 3:
        broken = bytearray(raw)
        for _ in range(rng.randint(1, 5)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        raw = bytes(broken)
    if kind == 4:
        raw = rng.choice([
            rng.randbytes(rng.randint(1, 300)), b"[" * 10_000, b'{"a":' * 10_000, b"null", b"NaN",
            b"\xef\xbb\xbf" + raw, raw + raw, b"\x1f\x8b" + raw, raw.decode().encode("utf-16"),
        ])  # fmt: skip
    return raw
