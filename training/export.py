"""Weights to ONNX in INT8, with calibration and a card: what the job loads.

`python -m training.export --data DIR` measures on the validation split alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from models.text.transformer import TransformerModel
from operators.normalize import normalize
from policy.taxonomy import TEXT_CATEGORIES
from training.datasets import Corpus, load
from training.transformer import MAX_TOKENS, Classifier, base_directory

MAX_BYTES: Final = 25_000_000


def export(data: Path, out: Path, *, work: Path, weights: str = "weights.pt") -> dict[str, Any]:
    """Writes model.onnx (INT8), tokenizer.json and card.json to `out`; returns the card.

    Raises ValueError when the model is larger than MAX_BYTES.
    """
    saved = torch.load(work / weights, weights_only=False)
    model = Classifier()
    model.load_state_dict(saved.get("model", saved))
    model.eval()
    floating = work / "float32"
    for directory in (floating, out):
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(base_directory() / "tokenizer.json", directory / "tokenizer.json")
    _to_onnx(model, floating / "model.onnx")
    quantize_dynamic(
        floating / "model.onnx",
        out / "model.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=False,
        op_types_to_quantize=["MatMul", "Gather"],
        extra_options={"MatMulConstBOnly": True},
    )
    size = (out / "model.onnx").stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{out / 'model.onnx'} is {size} bytes, at most {MAX_BYTES} are allowed")
    corpus = load(data)
    rows = corpus.where("validation")
    texts = [n.text for n in normalize([corpus.texts[row] for row in rows])]
    targets = corpus.targets[rows]
    card = _card(out, corpus)
    _write(floating, card)
    _write(out, card)
    full, small = (TransformerModel(path).logits(texts) for path in (floating, out))
    card["calibration"] = _calibration(small, targets)
    card["version"] = _version(out / "model.onnx", card["calibration"])
    card["size_bytes"] = size
    card["quantization"] = {
        "f1_float32": _f1(full, targets),
        "f1_int8": _f1(small, targets),
        "measured_on": f"validation split, {len(rows)} texts, threshold of best F1 each",
    }
    _write(out, card)
    return card


def _to_onnx(model: Classifier, path: Path) -> None:
    ids = torch.ones((2, 16), dtype=torch.int64)
    torch.onnx.export(
        model,
        (ids, ids),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "n", 1: "tokens"},
            "attention_mask": {0: "n", 1: "tokens"},
            "logits": {0: "n"},
        },
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(str(path))


def _card(out: Path, corpus: Corpus) -> dict[str, Any]:
    return {
        "name": "text",
        "version": "uncalibrated",
        "categories": list(TEXT_CATEGORIES),
        "max_tokens": MAX_TOKENS,
        "calibration": {
            "slope": [1.0] * len(TEXT_CATEGORIES),
            "intercept": [0.0] * len(TEXT_CATEGORIES),
        },
        "data": [
            {
                "source": f.source,
                "path": f.path,
                "sha256": f.sha256,
                "licence": f.licence,
                "rows": f.rows,
            }
            for f in corpus.files
        ],
    }


def _calibration(
    logits: NDArray[np.float32], targets: NDArray[np.float32]
) -> dict[str, list[float]]:
    """Platt's scaling by category (Platt 1999): slope and intercept of the log odds."""
    slopes, intercepts = [], []
    for column in range(targets.shape[1]):
        known = ~np.isnan(targets[:, column])
        fitted = LogisticRegression(C=10.0).fit(logits[known, column, None], targets[known, column])
        slopes.append(round(float(fitted.coef_[0, 0]), 4))
        intercepts.append(round(float(fitted.intercept_[0]), 4))
    return {"slope": slopes, "intercept": intercepts}


def _f1(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, category in enumerate(TEXT_CATEGORIES):
        known = ~np.isnan(targets[:, column])
        odds, truth = logits[known, column], targets[known, column] == 1
        cuts = np.quantile(odds, np.linspace(0.4, 0.999, 200))
        found[category] = round(max(float(f1_score(truth, odds >= cut)) for cut in cuts), 4)
    return found


def _version(model: Path, calibration: dict[str, list[float]]) -> str:
    digest = hashlib.sha256(model.read_bytes() + json.dumps(calibration).encode())
    return f"minilm-{digest.hexdigest()[:12]}"


def _write(directory: Path, card: dict[str, Any]) -> None:
    (directory / "card.json").write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/text/minilm"))
    parser.add_argument("--work", type=Path, default=Path(".work/minilm"))
    parser.add_argument("--weights", default="weights.pt")
    options = parser.parse_args()
    card = export(options.data, options.out, work=options.work, weights=options.weights)
    print(
        json.dumps(
            {k: card[k] for k in ("version", "size_bytes", "quantization", "calibration")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
