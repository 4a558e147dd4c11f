"""Pictures sent within a message, once nothing looks at them any more."""

from __future__ import annotations

from msgspec.structs import replace

from events.messages import Content
from events.records import Judgement


def drop_picture_bytes(judgements: list[Judgement]) -> list[Judgement]:
    """The same without the bytes of pictures: judgements wait for the store, some seconds of them.

    An image with bytes keeps its id and one byte: it must have some.
    """
    return [
        replace(judgement, content=_without(judgement.content))
        if judgement.content.images
        else judgement
        for judgement in judgements
    ]


def _without(content: Content) -> Content:
    return replace(
        content,
        images=[replace(each, data=b"\0") if each.data else each for each in content.images],
    )
