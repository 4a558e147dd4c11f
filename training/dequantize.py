"""The weights of a shipped transformer back in floats, to learn from it or to train it on.

`python -m training.dequantize DIR OUT` writes what `torch.load` reads. A weight comes back as its
whole number times its scale: as good as what the job runs, not as what was trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from training.graph import TABLES, Graph, embedding


def weights(directory: Path) -> dict[str, Tensor]:
    """The state of a `Classifier`, of the model.onnx that training/export.py made.

    The kinds of token are in the embeddings of the places; the encoder's own pooler, which nothing
    reads, is left out.
    """
    graph = Graph(onnx.load(directory / "model.onnx"))
    found = {name: graph.constant(name) for name in graph.constants if "LayerNorm" in name}
    for node in graph.model.graph.node:
        if node.op_type != "MatMulIntegerToFloat":
            continue
        inputs, matrix, _, scale, _, zero, bias = node.input
        weight = graph.floats(matrix, zero, scale)
        (evened,) = graph.giver[graph.giver[inputs].input[0]].input[1:] or ("",)
        if evened.endswith("shrink"):
            weight *= graph.constant(evened)[:, None]
        layer = bias.removesuffix(".bias").removesuffix(".linear")
        found |= {f"{layer}.weight": weight.T, f"{layer}.bias": graph.constant(bias)}
    words = embedding(graph, "word_embeddings")
    found[f"{TABLES}.word_embeddings.weight"] = words
    found[f"{TABLES}.position_embeddings.weight"] = graph.constant(f"{TABLES}.places")
    found[f"{TABLES}.token_type_embeddings.weight"] = np.zeros((2, words.shape[1]))
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()}


def main() -> None:
    """Command line of the way back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.save(weights(options.directory), options.out)


if __name__ == "__main__":
    main()
