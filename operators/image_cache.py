"""Pictures decoded once: the stages of images share their pixels and hashes, within a bound."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from events import messages
from models.image.decode import DEFAULT_LIMITS, DecodedImage, ImageError, Limits, decode
from models.image.hashes import Hashes, md5_hex, pdq, pdq_variants, phash

Fetch = Callable[[str], bytes]
"""The bytes behind a URI; raises OSError (PermissionError where it may not be fetched)."""

_URI_SECONDS: Final = 30.0
"""What lies behind a URI may change: it is fetched once for the stages of a batch, not for ever."""


@dataclass
class Picture:
    """An image of a content as the stages see it: decoded, or the reason why it is not."""

    md5: str
    """Of the bytes, in hex; "" where there are none."""
    decoded: DecodedImage | None
    error: ImageError | None = None
    opened_at: float = field(default_factory=time.monotonic)

    @cached_property
    def pdq(self) -> list[tuple[Hashes, int]]:
        """PDQ hashes (8, 32) and quality of each view."""
        return [pdq(view) for view in self.decoded.views] if self.decoded else []

    @cached_property
    def pdq_variants(self) -> list[Hashes]:
        """The further PDQ hashes (8k, 32) to look each view up by."""
        return [pdq_variants(view) for view in self.decoded.views] if self.decoded else []

    @cached_property
    def phash(self) -> list[Hashes]:
        """The pHash (8, 8) of each view."""
        return [phash(view) for view in self.decoded.views] if self.decoded else []

    def hashes(self, algorithm: str, view: int) -> Hashes:
        """The hashes to look a view up by, of the algorithm `pdq` or `phash`."""
        if algorithm == "phash":
            return self.phash[view]
        return np.concatenate([self.pdq[view][0], self.pdq_variants[view]])

    @property
    def nbytes(self) -> int:
        """Memory of the pixels, and something for the rest."""
        return 1024 + (self.decoded.nbytes if self.decoded else 0)


class PictureCache:
    """Opens images; those opened last are kept within `max_bytes` of pixels.

    A stage that was left behind may still open images while the next one does.

    Args:
        fetch: reads images that come as a URI; None: such images cannot be used.
        limits: what decoding one may take.
        max_bytes: the bound on the pixels that are kept.
    """

    def __init__(
        self,
        fetch: Fetch | None = None,
        limits: Limits = DEFAULT_LIMITS,
        max_bytes: int = 128 * 1024 * 1024,
    ) -> None:
        self._fetch = fetch
        self._limits = limits
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held = 0
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def open(self, image: messages.Image) -> Picture:
        """The picture of `image`; what is wrong with it is its `error`, nothing is raised."""
        key = f"uri {image.uri}" if image.data is None else md5_hex(image.data)
        picture = self._pictures.get(key)
        if picture is None or self._is_stale(image, picture):
            picture = self._read(image)
        self._keep(key, picture)
        return picture

    def _keep(self, key: str, picture: Picture) -> None:
        # Not held while one is read: that may take a stage's whole time and more.
        with self._lock:
            known = self._pictures.pop(key, None)
            self._held += picture.nbytes - (known.nbytes if known else 0)
            self._pictures[key] = picture
            while self._held > self._max_bytes and len(self._pictures) > 1:
                self._held -= self._pictures.popitem(last=False)[1].nbytes

    def _is_stale(self, image: messages.Image, picture: Picture) -> bool:
        return image.data is None and time.monotonic() - picture.opened_at > _URI_SECONDS

    def _read(self, image: messages.Image) -> Picture:
        data = image.data or b""
        try:
            data = data or self._fetched(image.uri or "")
            return Picture(md5_hex(data), decode(data, self._limits))
        except ImageError as error:
            return Picture(md5_hex(data) if data else "", None, error)

    def _fetched(self, uri: str) -> bytes:
        if self._fetch is None:
            raise ImageError("not_fetched", "no prefix is allowed")
        try:
            return self._fetch(uri)
        except PermissionError as error:
            raise ImageError("not_allowed", str(error)) from error
        except OSError as error:
            raise ImageError("not_fetched", str(error)) from error
