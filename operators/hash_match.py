"""Known material: texts and images whose digest is on a hash list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import md5

from events.messages import Evidence, Signal
from operators.item import Item
from policy.hashlist import HashList, Known


class HashMatcher:
    """Adds a `Signal` (stage `hash`, score 1) for every digest of an item that is on a list.

    The rule names algorithm, list, entry and distance, as those of images do: `md5:SOURCE:HEX:0`.
    Of a text two MD5 are looked up: of its UTF-8 as it is, and of its canonical form, so that
    blanks and case do not hide a copy. Of an image, that of its bytes as they were sent. An entry
    past its `expires` is ignored, by the clock of `Item.received_at`.
    Perceptual hashes (PDQ, pHash) are the image stage's, and so are images that come as a URI.
    """

    STAGE = "hash"

    def __init__(self, hashes: HashList) -> None:
        self._known = hashes.md5

    def swap(self, hashes: HashList) -> None:
        """Look up in `hashes` from the next batch on; another thread than the stream's may call."""
        self._known = hashes.md5

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, with the signals of what is known."""
        known = self._known
        if not known:
            return items
        for item in items:
            text = item.content.text
            if text:
                add_known(item, known, (_digest(text), _digest(canonical(text))), "text", len(text))
            for image in item.content.images:
                if image.data:
                    add_known(item, known, (_md5(image.data),), f"images.{image.image_id}", 0)
        return items


def add_known(
    item: Item, listed: Mapping[bytes, Known], digests: Iterable[bytes], field: str, length: int
) -> None:
    """Add the signal of the first of `digests` that is listed and has not expired, if any is.

    The digests are of `field`, of `length` characters.
    """
    for digest in digests:
        known = listed.get(digest)
        if known is not None and not known.expired(item.received_at):
            rule = f"md5:{known.source}:{digest.hex()}:0"
            evidence = (Evidence(field, 0, length),)
            item.signals.append(Signal(HashMatcher.STAGE, rule, known.category, 1.0, evidence))
            return


def canonical(text: str) -> str:
    """`text` without case and with runs of blanks as one space: what lists hold of texts."""
    return " ".join(text.split()).casefold()


def _digest(text: str) -> bytes:
    return _md5(text.encode("utf-8", "replace"))


def _md5(data: bytes) -> bytes:
    # A name for known bytes, agreed with the exchanges; nothing secret depends on it.
    return md5(data, usedforsecurity=False).digest()
