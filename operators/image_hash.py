"""Known pictures: images whose perceptual hash is near a listed one, or whose bytes are listed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import structlog

from events.messages import Evidence, Image, Signal
from models.image.hash_index import HashIndex, Match
from models.image.hashes import PDQ_MIN_QUALITY, Hashes
from operators.hash_match import add_known
from operators.image_cache import PictureCache
from operators.item import Item
from policy.hashlist import HASH_BYTES, HashList, Known

_log = structlog.get_logger(__name__)

PDQ_DISTANCE: Final = 31
"""Bits of 256 within which PDQ's authors call two pictures the same."""

PHASH_DISTANCE: Final = 6
"""Bits of 64: the widest of bench/RESULTS-images.md at which no two different pictures match."""


class ImageHashMatcher:
    """Adds a `Signal` (stage `hash`, score 1) for every listed picture that an image resembles.

    PDQ and pHash are looked up in all eight orientations, PDQ also inside bars and margins. The
    rule names algorithm, list, entry and distance, `pdq:SOURCE:HEX:DISTANCE`, for the nearest entry
    of each list and category. Pictures with a PDQ quality under 50 have next to nothing to compare
    and match nothing. Images that come as a URI are looked up by the MD5 of their bytes as well;
    of those sent along, `hash_match` does that. Items with an image that cannot be compared are
    marked degraded.

    Args:
        hashes: the lists; nothing is opened that they have no hashes for.
        cache: opens the images; shared with the other stages of images.
        indexes: a directory in which indexes are kept, for every process to map rather than build;
            None: built in memory.
    """

    STAGE = "image_hash"

    def __init__(self, hashes: HashList, cache: PictureCache, indexes: Path | None = None) -> None:
        self._cache = cache
        self._indexes = indexes
        self.swap(hashes)

    def swap(self, hashes: HashList) -> None:
        """Look up in `hashes` from the next batch on; another thread than the stages' may call.

        The indexes are built beside those in use, and take their place when they are whole.
        """
        kept = self._indexes and self._indexes / hashes.version
        lists = [
            _KnownPictures(algorithm, distance, known, kept)
            for algorithm, distance, known in (
                ("pdq", PDQ_DISTANCE, hashes.pdq),
                ("phash", PHASH_DISTANCE, hashes.phash),
            )
            if known
        ]
        self._lists, self._md5, self.version = lists, hashes.md5, hashes.version

    def __call__(self, items: list[Item]) -> list[Item]:
        """The same items, with the signals of what is known."""
        # One set of lists for the whole batch, whatever is pushed meanwhile.
        lists, md5 = self._lists, self._md5
        views: list[_View] = []
        for item in items:
            for image in item.content.images:
                views += self._look_at(item, image, lists, md5)
        if views:
            for known in lists:
                _add_signals(views, known.near([view.hashes[known.algorithm] for view in views]))
        return items

    def _look_at(
        self,
        item: Item,
        image: Image,
        lists: Sequence[_KnownPictures],
        md5: Mapping[bytes, Known],
    ) -> Iterator[_View]:
        """Add the signal of the bytes of `image`, if they are known; its views, to be looked up."""
        by_bytes = md5 if image.data is None else {}
        if not lists and not by_bytes:
            return
        picture, field = self._cache.open(image), f"images.{image.image_id}"
        add_known(item, by_bytes, (bytes.fromhex(picture.md5),), field, 0)
        if picture.error and (lists or not picture.md5):
            item.degrade(self.STAGE)
        for number, (_, quality) in enumerate(picture.pdq):
            if quality >= PDQ_MIN_QUALITY:
                hashes = {one.algorithm: picture.hashes(one.algorithm, number) for one in lists}
                yield _View(item, Evidence(field, 0, 0), hashes)


class _View(NamedTuple):
    """One view of an image of `item`, with its hashes by algorithm, (rows, bytes) each."""

    item: Item
    evidence: Evidence
    hashes: dict[str, Hashes]


def _add_signals(views: Sequence[_View], found: Iterable[tuple[int, str, Known]]) -> None:
    for number, rule, entry in found:
        item = views[number].item
        signal = Signal("hash", rule, entry.category, 1.0, (views[number].evidence,))
        if signal not in item.signals and not entry.expired(item.received_at):
            item.signals.append(signal)


class _KnownPictures:
    """The entries of one algorithm and the index over them."""

    def __init__(
        self,
        algorithm: str,
        max_distance: int,
        known: Mapping[bytes, Known],
        directory: Path | None,
    ) -> None:
        self.algorithm = algorithm
        self._max_distance = max_distance
        self._known = list(known.values())
        rows = np.frombuffer(b"".join(known), np.uint8).reshape(-1, HASH_BYTES[algorithm])
        self._index = _index(rows, max_distance, directory and directory / algorithm)

    def near(self, queries: Sequence[Hashes]) -> Iterator[tuple[int, str, Known]]:
        """Number of the query, rule and entry, the nearest one of each list and category.

        A query is the hashes of one view, (rows, bytes).
        """
        asked = np.repeat(np.arange(len(queries)), [len(rows) for rows in queries])
        nearest: dict[tuple[int, Known], Match] = {}
        for match in self._index.search(np.concatenate(queries), self._max_distance):
            key = (int(asked[match.query]), self._known[match.entry])
            if key not in nearest or match.distance < nearest[key].distance:
                nearest[key] = match
        for (number, known), match in nearest.items():
            entry = self._index.hashes[match.entry].tobytes().hex()
            rule = f"{self.algorithm}:{known.source}:{entry}:{match.distance}"
            yield number, rule, known


def _index(rows: Hashes, max_distance: int, directory: Path | None) -> HashIndex:
    """The index of `rows`: the one in `directory`, or a new one that is kept there."""
    if directory is None:
        return HashIndex.build(rows, max_distance)
    try:
        return HashIndex.open(directory)
    except (OSError, ValueError):
        index = HashIndex.build(rows, max_distance)
    try:
        index.save(directory)
        index = HashIndex.open(directory)
    except OSError as error:
        # Another process was faster, or the disk is full: this one goes on in memory.
        _log.info("the hash index is not kept", directory=str(directory), error=str(error))
    _forget_others(directory.parent)
    return index


def _forget_others(version: Path) -> None:
    """Remove the indexes of other versions; processes that have mapped one keep it."""
    for other in version.parent.iterdir():
        if other != version:
            shutil.rmtree(other, ignore_errors=True)
