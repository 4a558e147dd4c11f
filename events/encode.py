"""The one encode: any message to JSON, UTF-8, on one line."""

from __future__ import annotations

import msgspec

from events.messages import Alert, Content, DeadLetter, Decision, Label, ReviewItem

Message = Content | Decision | ReviewItem | Label | Alert | DeadLetter

_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """One message as JSON without a line break; bytes are base64, times RFC 3339."""
    return _encoder.encode(message)
