"""The ONNX graph of the fast text model: sums of 8-bit weights, two norms, a calibrated sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.text.features import BUCKETS, KINDS, WORD_KINDS

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
    Outputs: `probabilities` float32 (n, c), and for explaining them, at no cost: `rows` int8
    (1 + m, c + 1), the table at each bucket, `scales` float32 (c,) and `norms` float32 (2, n, 1) of
    words and of characters. A feature adds row * scale / norm to a logit.
    """
    columns = np.column_stack([model.weights * model.slopes, model.squares])
    columns[0] = 0
    scales = np.abs(columns).max(axis=0) / 127
    table = np.rint(columns / scales).astype(np.int8)
    categories = model.weights.shape[1]
    constants = {
        "table": table,
        "own_scales": scales[:categories].astype(np.float32),
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
    }
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        _nodes(),
        "text-fast",
        [info("buckets", TensorProto.INT32, ["m"]), info("bounds", TensorProto.INT64, ["b"])],
        [
            info("probabilities", TensorProto.FLOAT, ["n", categories]),
            info("rows", TensorProto.INT8, ["m", categories + 1]),
            info("scales", TensorProto.FLOAT, [categories]),
            info("norms", TensorProto.FLOAT, [2, "n", 1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    proto.ir_version = _IR_VERSION
    onnx.checker.check_model(proto)
    assert table.shape[0] == BUCKETS
    return bytes(proto.SerializeToString())


def _nodes() -> list[onnx.NodeProto]:
    """From buckets and bounds to probabilities; names that no node gives are constants."""
    node = helper.make_node
    return [
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
        node("Sqrt", ["positive_squares"], ["norms"]),
        node("Div", ["weight_sums", "norms"], ["normed"]),
        node("ReduceSum", ["normed", "zero"], ["both"], keepdims=0),
        node("Identity", ["own_scales"], ["scales"]),
        node("Mul", ["both", "scales"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["logits"]),
        node("Sigmoid", ["logits"], ["probabilities"]),
    ]
