"""Items with images, made from a few words each."""

from __future__ import annotations

from datetime import UTC, datetime

from events.messages import Content, Image, Position
from operators.item import Item

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def item(*images: bytes | str, text: str = "look") -> Item:
    """An item whose images are data (bytes) or URIs; their ids are `0`, `1`, ..."""
    made = [
        Image(str(i), data=image) if isinstance(image, bytes) else Image(str(i), uri=image)
        for i, image in enumerate(images)
    ]
    content = Content(content_id="c", created_at=AT, author_id="u", text=text, images=made)
    return Item(content, Position(file="-", line=1), AT.timestamp())


def in_batches(stage, items: list[Item], size: int) -> list[Item]:
    """What `stage` makes of `items`, given `size` at a time."""
    return [
        done for first in range(0, len(items), size) for done in stage(items[first : first + size])
    ]
