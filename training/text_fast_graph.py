"""The ONNX graph of the fast text model: sums of 8-bit weights, two norms, a calibrated sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.text.features import BUCKETS, KINDS

WORD_KINDS: Final = 2
"""Of KINDS the first two are of words, the others of characters; each has a norm of its own."""
LEAST: Final = 1e-3
"""Added to squared norms: a text without known features divides by no zero."""
_OPSET: Final = 18
_IR_VERSION: Final = 10


@dataclass(frozen=True)
class Linear:
    """A logistic regression over hashed features; c categories."""

    weights: NDArray[np.float32]
    """(BUCKETS, c): weight times idf; bucket 0 has none."""
    squares: NDArray[np.float32]
    """(BUCKETS,): idf squared, what a feature adds to its family's squared norm."""
    bias: NDArray[np.float32]
    """(c,)"""
    slopes: NDArray[np.float32]
    """(c,): the logit is multiplied by this before the bias is added (Platt's calibration)."""


def export(model: Linear) -> bytes:
    """The graph of `model` as ONNX, its table in 8 bits.

    Inputs: `buckets` int32 (1 + m,), `bounds` int64 (5n + 1,), as in models/text/features.py.
    Outputs: `probabilities` float32 (n, c); `weights` float32 (1 + m, c) and `norms` float32
    (5, n), from which weights / norms is what a feature adds to the logit.
    """
    columns = np.column_stack([model.weights * model.slopes, model.squares])
    columns[0] = 0
    scales = np.abs(columns).max(axis=0) / 127
    table = np.rint(columns / scales).astype(np.int8)
    categories = model.weights.shape[1]
    constants = {
        "table": table,
        "weight_scales": scales[:categories].astype(np.float32),
        "square_scale": scales[categories:].astype(np.float32),
        "bias": model.bias.astype(np.float32),
        "least": np.array([LEAST], dtype=np.float32),
        "kinds_by_texts": np.array([len(KINDS), -1, categories + 1], dtype=np.int64),
        "sizes": np.array([WORD_KINDS, len(KINDS) - WORD_KINDS], dtype=np.int64),
        "parts": np.array([categories, 1], dtype=np.int64),
        "zero": np.array([0], dtype=np.int64),
        "one": np.array([1], dtype=np.int64),
        "minus_one": np.array([-1], dtype=np.int64),
        "all": np.array([np.iinfo(np.int64).max], dtype=np.int64),
        "axis": np.array(0, dtype=np.int64),
        "last": np.array([2], dtype=np.int64),
        "word_kinds": np.array([WORD_KINDS, 1, 1], dtype=np.int64),
        "character_kinds": np.array([len(KINDS) - WORD_KINDS, 1, 1], dtype=np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "buckets"], ["rows"]),
        # Whole numbers: the running sum is exact however long the batch is.
        node("Cast", ["rows"], ["numbers"], to=TensorProto.INT32),
        node("CumSum", ["numbers", "axis"], ["running"]),
        node("Gather", ["running", "bounds"], ["reached"]),
        node("Slice", ["reached", "one", "all", "zero"], ["ends"]),
        node("Slice", ["reached", "zero", "minus_one", "zero"], ["begins"]),
        node("Sub", ["ends", "begins"], ["segments"]),
        node("Reshape", ["segments", "kinds_by_texts"], ["by_kind"]),
        node("Split", ["by_kind", "sizes"], ["of_words", "of_characters"], axis=0),
        node("ReduceSum", ["of_words", "zero"], ["word_sums"], keepdims=1),
        node("ReduceSum", ["of_characters", "zero"], ["character_sums"], keepdims=1),
        node("Concat", ["word_sums", "character_sums"], ["whole_sums"], axis=0),
        node("Cast", ["whole_sums"], ["sums"], to=TensorProto.FLOAT),
        node("Split", ["sums", "parts"], ["weight_sums", "square_sums"], axis=2),
        node("Mul", ["square_sums", "square_scale"], ["squares"]),
        node("Add", ["squares", "least"], ["positive_squares"]),
        node("Sqrt", ["positive_squares"], ["family_norms"]),
        node("Div", ["weight_sums", "family_norms"], ["normed"]),
        node("ReduceSum", ["normed", "zero"], ["both"], keepdims=0),
        node("Mul", ["both", "weight_scales"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["logits"]),
        node("Sigmoid", ["logits"], ["probabilities"]),
        node("Split", ["family_norms", "singles"], ["word_norms", "character_norms"], axis=0),
        node("Tile", ["word_norms", "word_kinds"], ["word_kind_norms"]),
        node("Tile", ["character_norms", "character_kinds"], ["character_kind_norms"]),
        node("Concat", ["word_kind_norms", "character_kind_norms"], ["kind_norms"], axis=0),
        node("Squeeze", ["kind_norms", "last"], ["norms"]),
        node("Split", ["numbers", "parts"], ["weight_numbers", "square_numbers"], axis=1),
        node("Cast", ["weight_numbers"], ["weight_floats"], to=TensorProto.FLOAT),
        node("Mul", ["weight_floats", "weight_scales"], ["weights"]),
    ]
    constants["singles"] = np.array([1, 1], dtype=np.int64)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "text-fast",
        [info("buckets", TensorProto.INT32, ["m"]), info("bounds", TensorProto.INT64, ["b"])],
        [
            info("probabilities", TensorProto.FLOAT, ["n", categories]),
            info("weights", TensorProto.FLOAT, ["m", categories]),
            info("norms", TensorProto.FLOAT, [len(KINDS), "n"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    proto.ir_version = _IR_VERSION
    onnx.checker.check_model(proto)
    assert table.shape[0] == BUCKETS
    return bytes(proto.SerializeToString())
