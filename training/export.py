"""Fine-tuned weights to what the job loads: ONNX in INT8, tokenizer, calibration, card.

`python -m training.export --data DIR --weights FILE…` of the transformer; of several weights the
mean is taken. Calibration and the loss by quantization are measured on the texts of the validation
split with up to 400 characters, the figures of the card on the whole test split.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor

from models.text.transformer import ARTEFACTS, TransformerModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.cards import write_card, write_draft
from training.classifier import (
    MAX_TOKENS,
    Classifier,
    base_directory,
    load_tokenizer,
    mean_weights,
)
from training.datasets import Corpus, load
from training.graph import settle
from training.metrics import by_category
from training.platt import platt
from training.smooth import smooth

MAX_BYTES: Final = 25_000_000
_ABOUT: Final = {
    "text": Path(__file__).with_name("transformer_card.md"),
    "text-student": Path(__file__).with_name("student_card.md"),
}
_MAX_CHARACTERS: Final = 400
_HEARD: Final = 3072
"""Training texts that show how loud the activations are."""


def export(data: Path, out: Path, *, work: Path, model: Classifier, name: str = "text") -> None:
    """Writes model.onnx (INT8), tokenizer.json, runtime.json, card.json and card.md to `out`.

    `model`, called `name`, is smoothed on the way. Raises ValueError when it is larger than
    MAX_BYTES.
    """
    model.eval()
    corpus = load(data)
    heard = _batches(corpus)
    smooth(model, heard)
    floating = work / "float32"
    _write_float32(model, floating)
    _write_int8(floating, out, heard)
    rows, texts = _split(corpus, "validation", _MAX_CHARACTERS)
    targets = corpus.targets[rows]
    odds = TransformerModel(out).logits(texts)
    loss = _loss_by_quantization(floating, texts, odds, targets)
    fitted = [platt(odds[:, column], targets[:, column]) for column in range(len(TEXT_CATEGORIES))]
    _write_runtime(out, fitted)
    write_draft(out, ARTEFACTS, TEXT_CATEGORIES)
    rows, texts = _split(corpus, "test")
    scores = TransformerModel(out).predict(texts)
    write_card(
        out,
        name=name,
        artefacts=ARTEFACTS,
        categories=TEXT_CATEGORIES,
        command="breakwater models train text --data DIR",
        about=_ABOUT[name].read_text("utf-8"),
        files=corpus.files,
        figures=by_category(corpus.targets[rows], scores),
        facts={
            "test_rows": len(rows),
            f"validation_rows_of_up_to_{_MAX_CHARACTERS}_characters": len(targets),
            "quantization_on_these": loss,
        },
    )


def _batches(corpus: Corpus) -> list[tuple[Tensor, Tensor]]:
    """Token ids and masks of some training texts."""
    rows = np.random.default_rng(0).choice(corpus.where("train"), _HEARD, replace=False)
    texts = [n.text for n in normalize([corpus.texts[row] for row in rows.tolist()])]
    tokenizer = load_tokenizer()
    tokenizer.enable_padding()
    found = [tokenizer.encode_batch(texts[at : at + 64]) for at in range(0, _HEARD, 64)]
    return [
        (torch.tensor([e.ids for e in batch]), torch.tensor([e.attention_mask for e in batch]))
        for batch in found
    ]


def _split(
    corpus: Corpus, split: str, longest: int | None = None
) -> tuple[NDArray[np.int64], list[str]]:
    """Rows of a split and their normalized texts, those over `longest` characters left out."""
    rows = corpus.where(split)
    if longest is not None:
        rows = np.array([row for row in rows.tolist() if len(corpus.texts[row]) <= longest])
    return rows, [n.text for n in normalize([corpus.texts[row] for row in rows.tolist()])]


def _write_float32(model: Classifier, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(base_directory() / "tokenizer.json", out / "tokenizer.json")
    ids = torch.ones((2, 16), dtype=torch.int64)
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        model,
        (ids, ids),
        str(out / "model.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "n", 1: "tokens"} for name in names} | {"logits": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(str(out / "model.onnx"))
    _write_runtime(out, [(1.0, 0.0)] * len(TEXT_CATEGORIES))
    write_draft(out, ARTEFACTS, TEXT_CATEGORIES)


def _write_int8(floating: Path, out: Path, heard: Sequence[tuple[Tensor, Tensor]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    quantize_dynamic(
        floating / "model.onnx",
        out / "model.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gather"],
        extra_options={"MatMulConstBOnly": True},
    )
    tokens = [{"input_ids": ids.numpy(), "attention_mask": mask.numpy()} for ids, mask in heard]
    onnx.save(settle(onnx.load(out / "model.onnx"), tokens), out / "model.onnx")
    size = (out / "model.onnx").stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{out / 'model.onnx'} is {size} bytes, at most {MAX_BYTES} are allowed")
    for name in ("tokenizer.json", "runtime.json", "card.json"):
        shutil.copy(floating / name, out / name)


def _write_runtime(out: Path, fitted: list[tuple[float, float]]) -> None:
    settings = {
        "max_tokens": MAX_TOKENS,
        "slope": [round(slope, 4) for slope, _ in fitted],
        "intercept": [round(intercept, 4) for _, intercept in fitted],
    }
    (out / "runtime.json").write_text(json.dumps(settings) + "\n")


def _loss_by_quantization(
    floating: Path, texts: list[str], odds: NDArray[np.float32], targets: NDArray[np.float32]
) -> dict[str, Any]:
    """F1 of float32 and INT8 at equal shares flagged: as many as there are positives."""
    known, small = targets[: len(texts)], odds[: len(texts)]
    full = TransformerModel(floating).logits(texts)
    found: dict[str, Any] = {"texts": len(texts)}
    for column, category in enumerate(TEXT_CATEGORIES):
        rows = ~np.isnan(known[:, column])
        truth = known[rows, column] == 1
        if truth.sum() >= 50:
            found[category] = {
                "f1_float32": round(_f1(full[rows, column], truth), 4),
                "f1_int8": round(_f1(small[rows, column], truth), 4),
            }
    return found


def _f1(odds: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    flagged = np.argsort(-odds, kind="stable")[: int(truth.sum())]
    return float(truth[flagged].mean())


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/text/minilm"))
    parser.add_argument("--work", type=Path, default=Path(".work/minilm"))
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    model = Classifier()
    model.load_state_dict(mean_weights(options.weights))
    export(options.data, options.out, work=options.work, model=model)
    print((options.out / "card.md").read_text("utf-8"))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
