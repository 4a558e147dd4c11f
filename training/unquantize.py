"""The weights of a shipped transformer back in floats, to learn from it or to train it on.

`python -m training.unquantize DIR OUT` writes what `torch.load` reads. A weight comes back as its
whole number times its scale: as good as what the job runs, not as what was trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

_TABLES = "encoder.embeddings"


def weights(directory: Path) -> dict[str, Tensor]:
    """The state of a `Classifier`, of the model.onnx that training/export.py made.

    The kinds of token are in the embeddings of the places; the encoder's own pooler, which nothing
    reads, is left out.
    """
    graph = onnx.load(directory / "model.onnx").graph
    constants = {one.name: np.asarray(numpy_helper.to_array(one)) for one in graph.initializer}
    giver = {output: node for node in graph.node for output in node.output}
    found = {name: value for name, value in constants.items() if "LayerNorm" in name}
    for node in graph.node:
        if node.op_type != "MatMulIntegerToFloat":
            continue
        inputs, matrix, _, scale, _, zero, bias = node.input
        weight = _floats(constants[matrix], constants[zero], constants[scale])
        (evened,) = giver[giver[inputs].input[0]].input[1:] or ("",)
        if evened.endswith("shrink"):
            weight *= constants[evened][:, None]
        layer = bias.removesuffix(".bias").removesuffix(".linear")
        found |= {f"{layer}.weight": weight.T, f"{layer}.bias": constants[bias]}
    words = f"{_TABLES}.word_embeddings.weight"
    found[words] = _floats(
        *(constants[f"{words}_{p}"] for p in ("quantized", "zero_point", "scale"))
    )
    found[f"{_TABLES}.position_embeddings.weight"] = constants[f"{_TABLES}.places"]
    found[f"{_TABLES}.token_type_embeddings.weight"] = np.zeros((2, found[words].shape[1]))
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()}


def _floats(
    numbers: NDArray[np.generic], zero: NDArray[np.generic], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    return (numbers.astype(np.float32) - zero.astype(np.float32)) * scale


def main() -> None:
    """Command line of the way back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.save(weights(options.directory), options.out)


if __name__ == "__main__":
    main()
