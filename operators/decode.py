"""Raw messages to items; what does not decode becomes a dead letter, and the job goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import bytewax.operators as op
from bytewax.dataflow import Stream, operator

from events.decode import DecodeError, Decoder
from events.messages import Content, DeadLetter, Raw
from operators.item import Item


class ContentDecoder:
    """Decodes contents. `decoder.unknown_fields` counts what producers sent beyond the contract."""

    def __init__(self) -> None:
        self.decoder = Decoder(Content)

    def __call__(self, batch: list[Raw]) -> list[Item | DeadLetter]:
        """An item or a dead letter for each message, in order."""
        return [self._decode(raw) for raw in batch]

    def _decode(self, raw: Raw) -> Item | DeadLetter:
        try:
            return Item(self.decoder(raw.value), raw.position, raw.received_at)
        except DecodeError as error:
            return DeadLetter(
                raw=raw.value,
                error=str(error),
                stage="decode",
                source=raw.position,
                failed_at=datetime.now(UTC),
            )


@dataclass(frozen=True)
class DecodeOut:
    """Streams of `decode`."""

    items: Stream[Item]
    dead_letters: Stream[DeadLetter]


@operator
def decode(
    step_id: str, up: Stream[Raw], decoder: Callable[[list[Raw]], list[Item | DeadLetter]]
) -> DecodeOut:
    """Bytewax shell of `ContentDecoder`."""
    decoded = op.flat_map_batch("decode", up, decoder)
    items = op.flat_map_batch(
        "items", decoded, lambda batch: [x for x in batch if isinstance(x, Item)]
    )
    dead_letters = op.flat_map_batch(
        "dead_letters", decoded, lambda batch: [x for x in batch if isinstance(x, DeadLetter)]
    )
    return DecodeOut(items, dead_letters)
