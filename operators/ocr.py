"""Text in images: read, judged by the text stages, its findings brought back.

Two stages, as reading happens in the thread of images and judging in the stream's, where the stages
of text are.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import PIL.Image
from msgspec import structs

from events.messages import Content, Evidence, Signal
from events.records import ModelOutput
from models.image.ocr import Reading, TextReader, may_hold_text
from operators.image_cache import Picture, PictureCache
from operators.item import Item, Stage
from policy.policy import OcrMode

_REMEMBERED: Final = 10_000
_MAX_IMAGES: Final = 4
"""Images of one content that are read: at some 0.3 s each, 2 s if they are full of text."""


class Reader(Protocol):
    """What reads pictures."""

    def read(self, picture: PIL.Image.Image) -> Reading:
        """The text of an RGB picture."""
        ...


class ImageTextReader:
    """Reads images that look as if they carry text, into `Item.image_texts`.

    An item is marked `ocr` in degraded where the time was over before all was read, `ocr_partial`
    where there is more than is read of one content: images past the first four that look like text,
    or lines of a full one. Whatever the reader raises is passed on.

    Args:
        cache: opens the images; shared with the other stages of images.
        mode_of: which images of a content are read. `off`: none; `on`: every one; `suspicion`: if a
            stage has found something in it, or its author is new or has violations.
        load: makes the reader, when the first image with text comes.
        batch_seconds: past this the rest of a batch goes unread, and degraded; text does not wait
            for it.
    """

    STAGE = "ocr"
    PARTIAL = "ocr_partial"

    def __init__(
        self,
        cache: PictureCache,
        mode_of: Callable[[Content], OcrMode] = lambda _: "suspicion",
        load: Callable[[], Reader] = TextReader,
        batch_seconds: float = 30.0,
    ) -> None:
        self._cache = cache
        self._mode_of = mode_of
        self._load = load
        self._batch_seconds = batch_seconds
        self._reader: Reader | None = None
        self._remembered: OrderedDict[str, Reading] = OrderedDict()

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        deadline = time.monotonic() + self._batch_seconds
        for item in items:
            if item.content.images and self._is_read(item):
                self._read_item(item, deadline)
        return items

    def _is_read(self, item: Item) -> bool:
        mode = self._mode_of(item.content)
        return mode == "on" or (mode == "suspicion" and _is_suspicious(item))

    def _read_item(self, item: Item, deadline: float) -> None:
        legible = [
            (image.image_id, picture.md5, view)
            for image in item.content.images
            if (view := _legible_view(picture := self._cache.open(image)))
        ]
        partial = len(legible) > _MAX_IMAGES
        for image_id, md5, view in legible[:_MAX_IMAGES]:
            if time.monotonic() > deadline:
                item.degrade(self.STAGE)
                break
            reading = self._reading(md5, view)
            partial |= not reading.whole
            if text := reading.text.strip():
                item.image_texts.setdefault(image_id, []).append(text)
        if partial:
            item.degrade(self.PARTIAL)

    def _reading(self, md5: str, view: PIL.Image.Image) -> Reading:
        """What is written in `view`, of the picture with this MD5."""
        if md5 in self._remembered:
            self._remembered.move_to_end(md5)
            return self._remembered[md5]
        self._reader = self._reader or self._load()
        reading = self._reader.read(view)
        self._remembered[md5] = reading
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return reading


def _legible_view(picture: Picture) -> PIL.Image.Image | None:
    """The first view that looks as if it carried text.

    White letters on nothing show without their transparency alone, and an animation may begin with
    an empty frame.
    """
    views = picture.decoded.views if picture.decoded else ()
    return next(filter(may_hold_text, views), None)


class ImageTextJudge:
    """Has the stages of text judge what images say.

    Text scores become the higher of the content's own and its images'; signals keep stage and rule,
    and their evidence is `images.IMAGE_ID` with code points of the text read, which is in
    `Item.image_texts`.

    Args:
        text_way: the stages of text in their order, from normalizing to scoring.
    """

    def __init__(self, text_way: Sequence[Stage]) -> None:
        self._text_way = text_way

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        read = [
            (item, image_id, _as_text(item, text))
            for item in items
            for image_id, texts in item.image_texts.items()
            for text in texts
        ]
        if read:
            judged = [text for _, _, text in read]
            for stage in self._text_way:
                judged = stage(judged)
            for (item, image_id, _), found in zip(read, judged, strict=True):
                _bring_back(found, item, f"images.{image_id}")
        return items


def _is_suspicious(item: Item) -> bool:
    author = item.author
    return bool(item.signals) or author.decisions == 0 or author.violations > 0


def _as_text(item: Item, text: str) -> Item:
    """An item of the same author that says `text` and has been through no stage yet."""
    content = structs.replace(item.content, text=text, images=[])
    return Item(content, item.position, item.received_at, author=item.author)


def _bring_back(found: Item, item: Item, field: str) -> None:
    for category, score in found.text_scores.items():
        item.text_scores[category] = max(score, item.text_scores.get(category, 0.0))
    item.signals += (_seen_in(field, signal) for signal in found.signals)
    item.hints += found.hints
    item.shadow_signals += (_seen_in(field, signal) for signal in found.shadow_signals)
    item.asked_review = item.asked_review or found.asked_review
    for stage in found.degraded:
        item.degrade(stage)
    for output in found.outputs:
        _merge_output(item.outputs, output)


def _seen_in(field: str, signal: Signal) -> Signal:
    evidence = tuple(Evidence(field, span.start, span.end) for span in signal.evidence)
    return structs.replace(signal, evidence=evidence or (Evidence(field, 0, 0),))


def _merge_output(outputs: list[ModelOutput], other: ModelOutput) -> None:
    """One row a model: the one that is surer of a violation."""
    for row, own in enumerate(outputs):
        if own.model == other.model:
            outputs[row] = max(own, other, key=lambda output: output.confidence)
            return
    outputs.append(other)
