"""Scoring of images: one run of the model over all pictures of a batch that it has not seen yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Final

from events.messages import Evidence, Image, Signal
from events.records import ModelOutput
from models.image.classifier import ImageClassifier
from models.image.decode import ImageError
from models.image.hashes import PDQ_MIN_QUALITY, md5_hex
from operators.image_cache import Picture, PictureCache
from operators.item import Item

SIGNAL_LEVEL: Final = 0.4
"""Categories that score above this get a signal: uncertain ones are told of too."""
_PREDICTED: Final = 0.5
_REMEMBERED: Final = 100_000
"""Scores kept of pictures seen: some 30 MB."""
_AT_ONCE: Final = 16
"""Pictures whose pixels are held while they wait for the model."""

Scores = dict[str, float]


class ImageScorer:
    """Fills `image_scores` of every item with images: of each category the worst of its images.

    Adds a `ModelOutput`, a signal (stage `image`) for each image and category above SIGNAL_LEVEL,
    and `image.undecodable:REASON` for an image that cannot be decoded; such an item is marked
    degraded, as is every item with images when the model fails. A picture seen before, by its bytes
    or by both its perceptual hashes, is not scored again. An animation scores as its worst frame.

    Args:
        cache: opens the images; shared with the other stages of images.
        load: makes the model, when the first image comes: text alone pays nothing for it.
        count_undecodable: told the reason for each image that cannot be decoded.
    """

    STAGE = "image_score"

    def __init__(
        self,
        cache: PictureCache,
        load: Callable[[], ImageClassifier] = ImageClassifier,
        count_undecodable: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._count_undecodable = count_undecodable
        self._cache = cache
        self._load = load
        self._model: ImageClassifier | None = None
        self._remembered: OrderedDict[str, Scores] = OrderedDict()

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, in order."""
        imaged = [item for item in items if item.content.images]
        if not imaged:
            return items
        self._model = self._model or self._load()
        images = [(item, image) for item in imaged for image in item.content.images]
        for first in range(0, len(images), _AT_ONCE):
            block = images[first : first + _AT_ONCE]
            found = self._scores(self._model, [image for _, image in block])
            for (item, image), scores in zip(block, found, strict=True):
                self._add(item, image, scores)
        for item in imaged:
            if item.image_scores:
                item.outputs.append(self._output(self._model, item.image_scores))
        return items

    def _scores(self, model: ImageClassifier, images: list[Image]) -> list[Scores | ImageError]:
        """Scores of each image, or why there are none."""
        found: list[Scores | ImageError | Picture] = []
        new: dict[str, Picture] = {}
        for image in images:
            known = self._recall([md5_hex(image.data)]) if image.data else None
            if known is not None:
                found.append(known)
                continue
            picture = self._cache.open(image)
            result = picture.error or self._recall(_names(picture, model)) or picture
            if isinstance(result, Picture):
                new[picture.md5] = picture
            found.append(result)
        scored = dict(zip(new, _run(model, list(new.values())), strict=True))
        for md5, picture in new.items():
            self._remember(_names(picture, model), scored[md5])
        return [scored[one.md5] if isinstance(one, Picture) else one for one in found]

    def _recall(self, names: list[str]) -> Scores | None:
        for name in names:
            if name in self._remembered:
                self._remembered.move_to_end(name)
                return self._remembered[name]
        return None

    def _remember(self, names: list[str], scores: Scores) -> None:
        for name in names:
            self._remembered[name] = scores
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _add(self, item: Item, image: Image, scores: Scores | ImageError) -> None:
        evidence = (Evidence(f"images.{image.image_id}", 0, 0),)
        if isinstance(scores, ImageError):
            self._count_undecodable(scores.reason)
            rule = f"image.undecodable:{scores.reason}"
            item.signals.append(Signal("image", rule, "", 0.0, evidence))
            item.degrade(self.STAGE)
            return
        for category, score in scores.items():
            item.image_scores[category] = max(score, item.image_scores.get(category, 0.0))
            if score > SIGNAL_LEVEL:
                assert self._model is not None
                item.signals.append(Signal("image", self._model.name, category, score, evidence))

    def _output(self, model: ImageClassifier, scores: Scores) -> ModelOutput:
        top = max(scores, key=scores.__getitem__)
        prediction = top if scores[top] >= _PREDICTED else ""
        return ModelOutput(model.name, model.version, prediction, scores[top], dict(scores))


def _names(picture: Picture, model: ImageClassifier) -> list[str]:
    """What a picture is remembered by.

    PDQ alone can be forged; with pHash besides, and for stills only, a harmless twin is hard to
    make. Pictures that PDQ sees little in go by their bytes. A small copy is not taken for the
    large one: its scores are scaled down.
    """
    names = [picture.md5]
    if picture.decoded and len(picture.pdq) == 1 and picture.pdq[0][1] >= PDQ_MIN_QUALITY:
        side = min(*picture.decoded.size, model.card.trusted_side)
        hashes = picture.pdq[0][0][0].tobytes() + picture.phash[0][0].tobytes()
        names.append(f"{hashes.hex()} {side}")
    return names


def _run(model: ImageClassifier, pictures: list[Picture]) -> list[Scores]:
    """The worst score of each category over the views of each picture."""
    decoded = [picture.decoded for picture in pictures if picture.decoded]
    views = [view for one in decoded for view in one.views]
    sides = [min(one.size) for one in decoded for _ in one.views]
    rows = iter(model.score(views, sides))
    scores: list[Scores] = []
    for one in decoded:
        worst: Scores = {}
        for row in islice(rows, len(one.views)):
            for category, score in row.items():
                worst[category] = max(round(score, 4), worst.get(category, 0.0))
        scores.append(worst)
    return scores
