"""The model slot for pictures: any ONNX classifier, described by a card.

The card says what the model wants (size, order of channels, mean, deviation) and what its outputs
mean (labels and their categories), so that a platform puts its own ResNet or MobileNet here without
a line of code. The built-in card is open_nsfw (Yahoo, BSD-2) in float32; `card.md` tells why it is
not INT8 and what it cannot do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import onnxruntime as ort
from msgspec import Meta, Struct
from numpy.typing import NDArray
from PIL import Image

from policy.taxonomy import CATEGORIES

BUILT_IN: Final = Path(__file__).parent / "nsfw" / "card.json"

_BATCH: Final = 16
"""Larger batches gain nothing on a CPU and hold more memory."""

Side = Annotated[int, Meta(ge=8, le=2048)]
Channel = tuple[float, float, float]


class Label(Struct, frozen=True, forbid_unknown_fields=True):
    """One output of a model and the category that it speaks for ("": none)."""

    name: str
    category: str = ""


class ImageCard(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is and how it is to be fed; sizes are width and height in pixels."""

    name: str
    version: str
    file: str
    """The ONNX file: beside the card, or `PACKAGE:NAME` for one in an installed package."""
    sha256: str
    resize: tuple[Side, Side]
    """The whole picture is brought to this size, whatever its shape."""
    labels: tuple[Label, ...]
    """In the order of the outputs."""
    crop: tuple[Side, Side] | None = None
    """Then its middle is taken."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    """Pixels (0 to 255) are multiplied by this, then `mean` is taken off, then divided by `std`."""
    mean: Channel = (0.0, 0.0, 0.0)
    std: Channel = (1.0, 1.0, 1.0)
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    """What turns the outputs into probabilities."""
    trusted_side: Annotated[int, Meta(ge=1)] = 1
    """Of a picture whose shorter side is less, scores are scaled down by the ratio."""


class ImageClassifier:
    """A model of pictures; scores are probabilities by category."""

    def __init__(self, card: Path = BUILT_IN) -> None:
        """Load the model that `card` (a JSON file, see `ImageCard`) describes.

        Raises:
            OSError: the card or the model is missing.
            ValueError: the card is not one, the model is another than it says, or does not fit it.
        """
        self.card = read_card(card)
        self.name = self.card.name
        self.version = self.card.version
        data = model_file(card.parent, self.card.file).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.card.sha256:
            raise ValueError(f"{self.card.file} has sha256 {digest}, {card} says otherwise")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            self.outputs([Image.new("RGB", self.card.resize)])
        except Exception as error:
            # onnxruntime has exceptions of its own for each way in which a model can be wrong.
            raise ValueError(f"{self.card.file} does not work with {card}: {error}") from error

    def score(
        self, pictures: Sequence[Image.Image], sides: Sequence[int] | None = None
    ) -> list[dict[str, float]]:
        """The probability of each category that the model speaks for, for each RGB picture.

        Where labels share a category it is their sum. `sides` are the shorter sides of the pictures
        as they were posted, in pixels, if they were reduced since.
        """
        if sides is None:
            sides = [min(picture.size) for picture in pictures]
        return [
            self._by_category(row, min(1.0, side / self.card.trusted_side))
            for row, side in zip(self.outputs(pictures).tolist(), sides, strict=True)
        ]

    def outputs(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """The probability of each label, (len(pictures), labels)."""
        rows = [np.empty((0, len(self.card.labels)), np.float32)]
        for first in range(0, len(pictures), _BATCH):
            inputs = np.stack([prepare(p, self.card) for p in pictures[first : first + _BATCH]])
            rows.append(_activate(self._session.run(None, {self._input: inputs})[0], self.card))
        return np.concatenate(rows)

    def _by_category(self, row: list[float], trust: float) -> dict[str, float]:
        scores: dict[str, float] = {}
        for label, score in zip(self.card.labels, row, strict=True):
            if label.category:
                scores[label.category] = scores.get(label.category, 0.0) + score * trust
        return {category: min(score, 1.0) for category, score in scores.items()}


def model_file(directory: Path, name: str) -> Path:
    """Where the model `name` of a card in `directory` is (see `ImageCard.file`).

    Raises:
        OSError: the package is not installed.
    """
    package, colon, inner = name.rpartition(":")
    if not colon:
        return directory / inner
    try:
        return Path(str(files(package))) / inner
    except ModuleNotFoundError as error:
        raise FileNotFoundError(f"{name}: the package {package} is not installed") from error


def prepare(picture: Image.Image, card: ImageCard) -> NDArray[np.float32]:
    """What the model of `card` is given for an RGB picture, without the batch axis."""
    resized = picture.resize(card.resize, Image.Resampling.BILINEAR)
    if card.crop:
        left = (card.resize[0] - card.crop[0]) // 2
        top = (card.resize[1] - card.crop[1]) // 2
        resized = resized.crop((left, top, left + card.crop[0], top + card.crop[1]))
    pixels: NDArray[np.float32] = np.asarray(resized, dtype=np.float32)
    if card.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    # One multiplication and one subtraction for scale, mean and deviation.
    factor = (card.scale / np.asarray(card.std)).astype(np.float32)
    offset = (np.asarray(card.mean) / np.asarray(card.std)).astype(np.float32)
    pixels = pixels * factor - offset
    return np.ascontiguousarray(pixels if card.layout == "NHWC" else pixels.transpose(2, 0, 1))


def _activate(outputs: NDArray[np.float32], card: ImageCard) -> NDArray[np.float32]:
    if outputs.ndim != 2 or outputs.shape[1] != len(card.labels):
        raise ValueError(f"outputs are {outputs.shape}, the card has {len(card.labels)} labels")
    if card.activation == "softmax":
        powers: NDArray[np.float32] = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers
    if card.activation == "sigmoid":
        # exp of a large number is inf, and 1 / inf the right answer.
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-outputs)), dtype=np.float32)
    return outputs


def read_card(path: Path) -> ImageCard:
    """The checked card in a JSON file; name and version without loading the model.

    Raises:
        OSError: it is missing.
        ValueError: it is not a card.
    """
    try:
        card = msgspec.json.decode(path.read_bytes(), type=ImageCard)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is not an image card: {error}") from error
    unknown = {label.category for label in card.labels} - {"", *CATEGORIES}
    if unknown:
        raise ValueError(f"{path} names unknown categories: {', '.join(sorted(unknown))}")
    if card.crop and (card.crop[0] > card.resize[0] or card.crop[1] > card.resize[1]):
        raise ValueError(f"{path} crops {card.crop} out of {card.resize}")
    if not all(card.std):
        raise ValueError(f"{path} divides by a deviation of 0")
    return card
