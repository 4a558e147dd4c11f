"""The one encode: any message to JSON, UTF-8, on one line."""

from __future__ import annotations

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

Message = Content | Decision | ReviewItem | Label | UserReport | Appeal | Alert | DeadLetter

_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """One message as JSON without a line break; bytes are base64, times RFC 3339."""
    return _encoder.encode(message)
