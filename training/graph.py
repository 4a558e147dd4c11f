"""The graph of an INT8 transformer made ready for the job: fixed scales, no arithmetic on shapes.

`onnxruntime.quantization` scales every activation by the range that it has in the batch at hand, so
that a text's score depends on its neighbours (by up to 0.4 of log odds). After SmoothQuant the
ranges hardly differ between batches, so the ranges of some training texts serve for all: a text has
one score in whatever batch, and the search for each batch's range is saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Tokens: TypeAlias = dict[str, NDArray[np.int64]]
"""`input_ids` and `attention_mask`, (n, tokens) each."""

_LEVELS: Final = 255
_EMBEDDINGS: Final = "/encoder/embeddings"
TABLES: Final = "encoder.embeddings"


def settle(model: onnx.ModelProto, heard: Sequence[Tokens]) -> onnx.ModelProto:
    """`model` with its shapes and its scales settled; `heard` are texts like those to come."""
    _merge_twins(model)
    return _settle_scales(_settle_shapes(model), heard)


class Graph:
    """A graph whose nodes are found by what they give and by what they take."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        nodes = model.graph.node
        self.constants = {one.name: one for one in model.graph.initializer}
        self.giver = {output: node for node in nodes for output in node.output}
        self.takers: dict[str, list[Any]] = defaultdict(list)
        for node in nodes:
            for taken in node.input:
                self.takers[taken].append(node)
            if node.op_type == "Constant":
                self.constants[node.output[0]] = node.attribute[0].t

    def constant(self, name: str) -> NDArray[Any]:
        """The value of a constant."""
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def floats(self, numbers: str, zero: str, scale: str) -> NDArray[np.float32]:
        """Whole numbers as what they stand for."""
        levels = self.constant(numbers).astype(np.float32) - self.constant(zero).astype(np.float32)
        return np.asarray(levels * self.constant(scale))

    def add_constant(self, name: str, value: Any) -> str:
        """`name`, which is a constant from now on."""
        self.giver.pop(name, None)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def put(self, kind: str, taken: Sequence[str], output: str, **attributes: Any) -> None:
        """A node that gives `output` from now on."""
        self.giver[output] = helper.make_node(kind, taken, [output], **attributes)

    def written(self) -> onnx.ModelProto:
        """The model with the nodes and constants that its outputs need, each after its givers."""
        graph = self.model.graph
        ordered: dict[int, Any] = {}
        waiting = [self.giver[output.name] for output in graph.output]
        while waiting:
            node = waiting[-1]
            before = [self.giver[taken] for taken in node.input if taken in self.giver]
            missing = [giver for giver in before if id(giver) not in ordered]
            if not missing:
                ordered[id(node)] = waiting.pop()
            waiting += missing
        needed = {taken for node in ordered.values() for taken in node.input}
        kept = [one for one in graph.initializer if one.name in needed]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(ordered.values())
        graph.initializer.extend(kept)
        return self.model


def _merge_twins(model: onnx.ModelProto) -> None:
    """Nodes that do the same with the same inputs become one: three readers divide one input."""
    renamed: dict[str, str] = {}
    first: dict[tuple[Any, ...], Any] = {}
    for node in model.graph.node:
        taken = [renamed.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(taken)
        if node.op_type == "Identity":
            renamed[node.output[0]] = taken[0]
            continue
        attributes = (one.SerializeToString() for one in node.attribute)
        twin = first.setdefault((node.op_type, *taken, *attributes), node)
        renamed.update(zip(node.output, twin.output, strict=True))


def _settle_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` whose heads are split and joined, and places embedded, without counting tokens.

    Some forty tiny nodes of an exported BERT find out what is known: a reshape may copy dimensions,
    and all tokens are of the first type. In short runs they take a tenth of the time.
    """
    graph = Graph(model)
    for node in model.graph.node:
        shape = graph.giver.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.op_type == "Concat":
            sizes = [
                int(graph.constant(size)[0]) if size in graph.constants else 0
                for size in shape.input
            ]
            node.input[1] = graph.add_constant(f"{node.output[0]}_shape", sizes)
    places = embedding(graph, "position_embeddings") + embedding(graph, "token_type_embeddings")[0]
    table = graph.add_constant(f"{TABLES}.places", places)
    zero = graph.add_constant(f"{TABLES}.zero", np.zeros(1, np.int64))
    graph.put("Shape", ["input_ids"], f"{_EMBEDDINGS}/tokens", start=1, end=2)
    graph.put("Slice", [table, zero, f"{_EMBEDDINGS}/tokens", zero], f"{_EMBEDDINGS}/places")
    words = f"{_EMBEDDINGS}/word_embeddings/Gather_output_0"
    graph.put("Add", [words, f"{_EMBEDDINGS}/places"], f"{_EMBEDDINGS}/Add_1_output_0")
    return graph.written()


def embedding(graph: Graph, name: str) -> NDArray[np.float32]:
    """An embedding's table as it was before it was quantized."""
    parts = (f"{TABLES}.{name}.weight_{part}" for part in ("quantized", "zero_point", "scale"))
    return graph.floats(*parts)


def _settle_scales(model: onnx.ModelProto, heard: Sequence[Tokens]) -> onnx.ModelProto:
    """`model` with the scale of each activation fixed to the widest range that `heard` gives it."""
    graph = Graph(model)
    quantizers = [node for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"]
    for node, (low, high) in zip(quantizers, _ranges(model, quantizers, heard), strict=True):
        quantized, scale, zero = node.output
        width = np.float32((high - low) / _LEVELS)
        graph.add_constant(scale, width)
        graph.add_constant(zero, np.uint8(np.clip(np.rint(-low / width), 0, _LEVELS)))
        graph.put("QuantizeLinear", [node.input[0], scale, zero], quantized)
        for product in graph.takers[quantized]:
            _fuse(graph, product, scale)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return graph.written()


def _fuse(graph: Graph, product: Any, scale: str) -> None:
    """One node for a product in whole numbers, its way back to floats and the bias.

    onnxruntime does so itself only where the scale is found at run time.
    """
    (floats,) = graph.takers[product.output[0]]
    (scaled,) = graph.takers[floats.output[0]]
    (biased,) = graph.takers[scaled.output[0]]
    (weights,) = (name for name in graph.giver[scaled.input[1]].input if name in graph.constants)
    (bias,) = (name for name in biased.input if name in graph.constants)
    inputs, matrix, zero, matrix_zero = product.input
    graph.put(
        "MatMulIntegerToFloat",
        [inputs, matrix, scale, weights, zero, matrix_zero, bias],
        biased.output[0],
        domain="com.microsoft",
    )


def _ranges(
    model: onnx.ModelProto, quantizers: Sequence[Any], heard: Sequence[Tokens]
) -> NDArray[np.float64]:
    """Lowest and highest input of each of `quantizers` over all batches, (quantizers, 2)."""
    listening = onnx.ModelProto()
    listening.CopyFrom(model)
    names = [name for node in quantizers for name in node.output[1:]]
    listening.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what became of no use is left out at the end
    session = onnxruntime.InferenceSession(
        listening.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    told = np.array([session.run(names, dict(tokens)) for tokens in heard], dtype=np.float64)
    scales, zeros = told[:, 0::2], told[:, 1::2]
    lowest, highest = -zeros * scales, (_LEVELS - zeros) * scales
    return np.stack([lowest.min(axis=0), highest.max(axis=0)], axis=1)
