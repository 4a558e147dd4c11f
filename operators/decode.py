"""Raw messages to those of one type; what does not decode is a dead letter, and the job goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream, operator

from events.decode import DecodeError, Decoder
from events.messages import Appeal, Content, DeadLetter, Label, UserReport
from events.records import Raw
from operators.item import Item

T = TypeVar("T", Content, Label, UserReport, Appeal)
M = TypeVar("M")


class MessageDecoder(Generic[T]):
    """Decodes messages of `message_type`; `stage` is what their dead letters name.

    `decoder.unknown_fields` counts what producers sent beyond the contract.
    """

    def __init__(self, message_type: type[T], stage: str) -> None:
        self.decoder: Decoder[T] = Decoder(message_type)
        self._stage = stage

    def __call__(self, batch: list[Raw]) -> list[T | DeadLetter]:
        """A message or a dead letter for each, in order."""
        return [self._decode(raw) for raw in batch]

    def _decode(self, raw: Raw) -> T | DeadLetter:
        try:
            return self.decoder(raw.value)
        except DecodeError as error:
            return DeadLetter(
                raw=raw.value,
                error=str(error),
                stage=self._stage,
                source=raw.position,
                failed_at=datetime.now(UTC),
            )


class ContentDecoder:
    """Decodes contents to items; `decoder.unknown_fields` is as in `MessageDecoder`."""

    def __init__(self) -> None:
        self._contents: MessageDecoder[Content] = MessageDecoder(Content, "decode")
        self.decoder = self._contents.decoder

    def __call__(self, batch: list[Raw]) -> list[Item | DeadLetter]:
        """An item or a dead letter for each message, in order."""
        return [
            decoded
            if isinstance(decoded, DeadLetter)
            else Item(decoded, raw.position, raw.received_at)
            for decoded, raw in zip(self._contents(batch), batch, strict=True)
        ]


@dataclass(frozen=True)
class DecodeOut(Generic[M]):
    """Streams of `decode`."""

    messages: Stream[M]
    dead_letters: Stream[DeadLetter]


@operator
def decode(
    step_id: str, up: Stream[Raw], decoder: Callable[[list[Raw]], list[M | DeadLetter]]
) -> DecodeOut[M]:
    """Bytewax shell of `MessageDecoder` and `ContentDecoder`."""
    decoded = op.flat_map_batch("decode", up, decoder)
    messages: Stream[M] = op.flat_map_batch(
        "messages", decoded, lambda batch: [x for x in batch if not isinstance(x, DeadLetter)]
    )
    dead_letters = op.flat_map_batch(
        "dead_letters", decoded, lambda batch: [x for x in batch if isinstance(x, DeadLetter)]
    )
    return DecodeOut(messages, dead_letters)
